"""Turns of a conversation, as the formats that people have write them, in one form: [{"role", "content"}]."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from modelwright.errors import nearest

Message = dict[str, Any]
Record = Mapping[str, Any]
Example = dict[str, Any]

ROLES = {  # what people call them
    **dict.fromkeys(("user", "human", "prompter", "User", "Human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bard", "bing", "bot", "model", "function_call", "Assistant"), "assistant"),
    **dict.fromkeys(("system", "developer", "System"), "system"),
    **dict.fromkeys(("tool", "function", "observation", "ipython", "function_response"), "tool"),
}
BEFORE = {  # whose turn may come before; "" is the beginning
    "system": ("",),
    "user": ("", "system", "assistant"),
    "assistant": ("user", "tool"),
    "tool": ("assistant", "tool"),
}
KEPT = ("name", "tool_calls", "tool_call_id", "reasoning_content")  # of a message, beside its role and content: templates use them
DEEP = 60
HUMAN = re.compile(r"\n\n(Human|Assistant):")


class Malformed(ValueError):
    """Why a record is no example, in a few words: records are counted by it."""


def key(record: Mapping[str, Any], *names: str) -> Any:
    """The first of these that the record has. Malformed: none, with the nearest key that it has."""
    for name in names:
        if record.get(name) is not None:
            return record[name]
    near = nearest(names[0], list(record))
    raise Malformed(f"no key {names[0]!r}{near if near.startswith('; did') else ''}")


def string(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise Malformed(f"{what} is no string")
    if not value.strip():
        raise Malformed(f"empty {what}")
    return value


def number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 3e38:  # float32
        raise Malformed(f"{what} is no number")
    return float(value)


def listed(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise Malformed(f"{what} is no list")
    if not value:
        raise Malformed(f"{what} is empty")
    return value


def shallow(value: Any, what: str) -> Any:
    """The same. Malformed: it is nested so deep that what walks through it would fail."""
    level = [value]
    for _ in range(DEEP):
        inner = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level = [each for one in inner for each in one]
    if level:
        raise Malformed(f"{what} nested over {DEEP} deep")
    return value


def turns(value: Any, what: str) -> list[Message]:
    """The messages of a list, {"role", "content"} or ShareGPT's {"from", "value"}; in order or not."""
    return [_turn(one, what) for one in listed(value, what)]


def _turn(value: Any, what: str) -> Message:
    if not isinstance(value, dict):
        raise Malformed(f"a turn of {what} is no object")
    role = key(value, "role", "from")
    if not isinstance(role, str) or role not in ROLES:
        raise Malformed(f"unknown role {role!r}"[:60])
    kept = {name: shallow(value[name], name) for name in KEPT if value.get(name) not in (None, [], "")}
    for name in kept:
        if name != "tool_calls" and not isinstance(kept[name], str):
            raise Malformed(f"{name} is no string")
    weight = value.get("weight")
    if weight is not None and (isinstance(weight, bool) or weight not in (0, 1)):
        raise Malformed("a turn's weight is neither 0 nor 1")
    if weight == 0 and ROLES[role] == "assistant":  # OpenAI's: no target
        kept["weight"] = 0
    content = value.get("content", value.get("value"))
    if content is None and "tool_calls" in kept:
        content = ""
    elif isinstance(content, list):  # parts, as OpenAI and Hugging Face write them
        if not all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in content):
            raise Malformed("a turn's content has a part that is no text")
        content = "".join(part["text"] for part in content)
    elif content is None:
        raise Malformed(f"a turn of {what} has no content")
    if not isinstance(content, str):
        raise Malformed("a turn's content is no string")
    if not content.strip() and "tool_calls" not in kept:
        raise Malformed("empty reply" if ROLES[role] == "assistant" else f"empty {ROLES[role]} turn")
    return {"role": ROLES[role], "content": content, **kept}


def ordered(messages: Sequence[Message]) -> list[Message]:
    """The same. Malformed: a role comes where it can't."""
    before = ""
    for message in messages:
        role = message["role"]
        if before not in BEFORE[role]:
            raise Malformed(f"roles out of order: {role} {f'after {before}' if before else 'first'}")
        before = role
    return list(messages)


def prompt(value: Any) -> list[Message]:
    """A prompt: a string is one turn of the user's; messages end where the assistant is to answer."""
    found = [{"role": "user", "content": string(value, "prompt")}] if isinstance(value, str) else ordered(turns(value, "prompt"))
    if found[-1]["role"] not in ("user", "tool"):
        raise Malformed(f"the prompt ends with the {found[-1]['role']}'s turn")
    return found


def reply(value: Any, what: str, asked: Sequence[Message]) -> list[Message]:
    """A reply to the turns asked: a string is one turn of the assistant's; one message, or several that end with the assistant's.
    Messages that repeat the prompt are taken for what comes after it."""
    if isinstance(value, str):
        string(value, "reply" if what in ("completion", "response") else what)
        return [{"role": "assistant", "content": value}]
    found = [_turn(value, what)] if isinstance(value, dict) else turns(value, what)
    if len(found) > len(asked) and found[: len(asked)] == list(asked):
        found = found[len(asked) :]
    ordered([*asked, *found])
    if found[-1]["role"] != "assistant":
        raise Malformed(f"{what} ends with the {found[-1]['role']}'s turn")
    return found


def with_system(record: Record, said: list[Message]) -> list[Message]:
    system = record.get("system")
    if not system or said[0]["role"] == "system":
        return said
    return [{"role": "system", "content": string(system, "system")}, *said]


def made(kind: str, asked: list[Message], replies: list[list[Message]], **more: Any) -> Example:
    return {"kind": kind, "prompt": asked, "replies": replies, "scores": None, "labels": None, **more}


def spoken(value: Any, what: str) -> list[Message]:
    """Anthropic's "\\n\\nHuman: … \\n\\nAssistant: …" as messages."""
    before, *parts = HUMAN.split("\n\n" + string(value, what).lstrip())
    if before.strip() or not parts:
        raise Malformed(f"{what} does not begin with 'Human:'")
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return ordered([_turn({"role": role, "content": content.strip()}, what) for role, content in pairs])


def shared(one: Sequence[Message], other: Sequence[Message]) -> int:
    """How many turns two conversations begin with alike, up to where the assistant answers."""
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        count += 1
    while count and one[count - 1]["role"] not in ("user", "tool"):
        count -= 1
    return count


def readable(example: Mapping[str, Any]) -> str:
    """All that an example says, turn by turn, replies one after another: what filters and dedupers see."""
    from json import dumps

    said = []
    for message in [*example["prompt"], *(message for turn in example["replies"] for message in turn)]:
        said += [text for text in (message.get("reasoning_content"), message["content"]) if text]
        said += [dumps(message["tool_calls"], ensure_ascii=False)] if "tool_calls" in message else []
    return "\n\n".join(said)
