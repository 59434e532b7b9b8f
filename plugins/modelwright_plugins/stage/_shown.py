"""What an example has beside its messages' content, and whether the text that a chat template made of it shows that.

A template that knows nothing of tools renders a reply that is a tool call as an empty reply: training on that teaches to say nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from modelwright.errors import ModelwrightError
from modelwright_plugins.tokenizer.chat_template import render_all
from modelwright_plugins.tokenizer.chat_tokens import Chat, ChatEncoder


def hidden(chat: Chat, said: Sequence[Mapping[str, Any]], learned: Sequence[bool]) -> str | None:
    """What the text does not show of the assistant's turns, as a reason; None: nothing. `learned`: whether each is a target; templates of
    reasoning models leave the others' reasoning out on purpose."""
    for message, (begin, end), target in zip(said, chat.turns, learned, strict=True):
        text = chat.text[begin:end]
        if not all(_shown(text, call) for call in _listed(message.get("tool_calls"))):
            return "the template's text does not show a turn's tool_calls"
        if target and (message.get("reasoning_content") or "").strip() not in text:
            return "the template's text does not show a turn's reasoning_content"
    return None


def hides_tools(conversations: Sequence[Mapping[str, Any]], encoder: ChatEncoder) -> list[bool]:
    """Of each conversation: it has tools, and its text is the same without."""
    having = [place for place, one in enumerate(conversations) if one.get("tools")]
    given = [{**encoder.variables, **conversations[place]} for place in having]
    whole, without = render_all(encoder.template, given), render_all(encoder.template, [{**one, "tools": None} for one in given])
    found = [False] * len(conversations)
    for place, one, other in zip(having, whole, without, strict=True):
        found[place] = not isinstance(one, ModelwrightError) and not isinstance(other, ModelwrightError) and one.text == other.text
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []


def _shown(text: str, call: Any) -> bool:
    """Does the text have a call's name and arguments, however the template writes JSON?"""
    call = call.get("function", call) if isinstance(call, Mapping) else call
    if not isinstance(call, Mapping) or "name" not in call:
        return all(_has(text, word) for word in _words(call))
    arguments = call.get("arguments")
    if isinstance(arguments, str) and not _has(text, arguments.strip()):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return False
    return _has(text, str(call["name"])) and all(_has(text, word) for word in _words(arguments))


def _has(text: str, word: str) -> bool:
    return any(one in text for one in (word, json.dumps(word)[1:-1], json.dumps(word, ensure_ascii=False)[1:-1]))


def _words(value: Any) -> Iterator[str]:
    """The keys and texts in it."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield key
            yield from _words(one)
    elif isinstance(value, list):
        for one in value:
            yield from _words(one)
