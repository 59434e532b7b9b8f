"""Conversations as tokens, with a mask of those that the assistant says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modelwright.errors import ModelwrightError
from modelwright_plugins.tokenizer.chat_template import Rendered, render_all
from modelwright_plugins.tokenizer.encoder import Encoder
from modelwright_plugins.tokenizer.find_template import read_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

MARKS = [chr(code) for code in range(0xFDD0, 0xFDF0)]  # noncharacters: no text has them (Unicode, section 23.7)
MARKED = re.compile(r"\{%[-+]?\s*generation\s*[-+]?%\}")
LOOKS_SPECIAL = re.compile(r"<\|[^|<>\s]+\|>|<(?:start|end)_of_turn>|\[/?INST\]")
Span = tuple[int, int]  # from and to


@dataclass(frozen=True)
class Chat:
    """A conversation as it is rendered and tokenized."""

    text: str
    turns: tuple[Span, ...]  # characters of each of the assistant's turns, as the template marks them
    tokens: NDArray[np.int32]  # [tokens]
    begins: NDArray[np.int64]  # [tokens] the byte of the text (UTF-8) where each token begins
    ends: NDArray[np.int64]  # [tokens] and ends

    def within(self, begin: int, end: int) -> slice:
        """The tokens that have any of these characters (as transformers' `return_assistant_tokens_mask` takes them)."""
        first, last = (len(self.text[:at].encode()) for at in (begin, end))
        return slice(int(np.searchsorted(self.ends, first, "right")), int(np.searchsorted(self.begins, last, "left")))


class ChatEncoder:
    """Conversations to tokens by a chat template, which is rendered as a whole and tokenized as a whole.

    The template's special tokens are the tokenizer's (those it marks as special); what a message says is only text: a special token
    written in it is encoded as its letters, and never becomes one. The conversation is refused where a normaliser or a vocabulary would
    make it one all the same, or where what marks the template's turns is none of the tokenizer's special tokens and a message has it.
    Where turns are not marked by `{% generation %}`, they are found by rendering what comes before them, which must not change by what
    comes after."""

    def __init__(self, folder: Path, template: str) -> None:
        self.encoder, self.template = Encoder(folder), template
        config = read_json(folder / "tokenizer_config.json")
        names = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token")
        values = {name: config.get(name) for name in names}
        self.variables = {name: value.get("content", "") if isinstance(value, dict) else value or "" for name, value in values.items()}
        spec = read_json(folder / "tokenizer.json")
        added = spec.get("added_tokens", [])
        # one character can't be told apart within a text, so it stays text
        self.special = {token["content"]: token["id"] for token in added if token.get("special") and len(token["content"]) > 1}
        ends = {self.special.get(self.variables[name]) for name in ("bos_token", "eos_token")}
        unknown = {_unknown(spec.get("model", {}))} - ends  # any text may have letters that the tokenizer doesn't know
        self._counted = np.array(sorted({*self.special.values()} - unknown), np.int64)
        self._find = re.compile("|".join(map(re.escape, sorted(self.special, key=len, reverse=True))) or "(?!)")

    def encode_special(self, text: str) -> list[int]:
        """Tokens of a text in which special tokens stand for themselves, as they do in what a template has rendered."""
        tokens: list[int] = self._pieces.encode(text, add_special_tokens=False).ids
        return tokens

    @cached_property
    def as_text(self) -> list[str]:
        """What looks like special tokens in the template and is none of the tokenizer's: it is encoded as text."""
        return [one for one in dict.fromkeys(LOOKS_SPECIAL.findall(self.template)) if one not in self.special]

    @cached_property
    def _pieces(self) -> Any:
        """Hugging Face's tokenizer, with its special tokens."""
        from tokenizers import Tokenizer

        made = Tokenizer.from_str(self.encoder.hugging_face.to_str())
        made.encode_special_tokens = False
        made.no_padding()
        made.no_truncation()
        return made

    @cached_property
    def _lengths(self) -> NDArray[np.int64]:
        """[vocabulary] bytes of each token."""
        assert self.encoder.tiktoken is not None
        named = {number: len(text.encode()) for text, number in self.encoder.tiktoken._special_tokens.items()}
        whole = self.encoder.tiktoken._mergeable_ranks
        lengths = np.zeros(self.encoder.tiktoken.n_vocab, np.int64)
        for token, number in whole.items():
            lengths[number] = len(token)
        for number, length in named.items():
            lengths[number] = length
        return lengths

    def encode(self, conversations: Sequence[Mapping[str, Any]], *, whole: bool = True) -> list[Chat | ModelwrightError]:
        """Conversations, each {"messages", "tools"?, "add_generation_prompt"?}; an error in place of one that can't be rendered. What the
        template writes after the last of the assistant's turns is left out where not the whole is wanted."""
        said = [self._harmless(conversation) for conversation in conversations]
        found: list[Chat | ModelwrightError] = []
        for one, (given, mark) in zip(self._rendered([one for one, _ in said]), said, strict=True):
            if forged := next((each for each in self.as_text for text in _texts(given["messages"]) if each in text), None):
                found.append(
                    ModelwrightError(f"chat template: a message has {forged}, which marks turns and the tokenizer has no token for")
                )
            elif isinstance(one, Rendered):
                found.append(self._tokenized(one if whole or not one.spans else _cut(one), mark))
            else:
                found.append(one)
        return found

    def _harmless(self, conversation: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
        """The same, with a mark within each special token that its texts have; which mark, where there is one."""
        given = {**self.variables, **conversation}
        texts = _texts(conversation)
        if not any(self._find.search(text) for text in texts):
            return given, None
        mark = next((mark for mark in MARKS if not any(mark in text for text in texts)), None)
        if mark is None:
            raise ModelwrightError("chat template: a message has every noncharacter of Unicode, and a special token")
        return {**given, **{name: self._break(conversation.get(name), mark) for name in ("messages", "tools")}}, mark

    def _break(self, value: Any, mark: str) -> Any:
        if isinstance(value, str):
            while self._find.search(value):
                value = self._find.sub(lambda found: found[0][0] + mark + found[0][1:], value)
            return value
        if isinstance(value, Mapping):
            return {self._break(key, mark): self._break(one, mark) for key, one in value.items()}
        return [self._break(one, mark) for one in value] if isinstance(value, list | tuple) else value

    def _rendered(self, conversations: Sequence[Mapping[str, Any]]) -> list[Rendered | ModelwrightError]:
        whole = render_all(self.template, conversations)
        if MARKED.search(self.template):
            return whole
        parts = []  # for each of the assistant's turns: what comes before it, and with it
        for conversation in conversations:
            messages = conversation["messages"]
            for place in (place for place, message in enumerate(messages) if message["role"] == "assistant"):
                parts.append({**conversation, "messages": messages[:place], "add_generation_prompt": True})
                parts.append({**conversation, "messages": messages[: place + 1], "add_generation_prompt": False})
        answers = iter(render_all(self.template, parts))
        found: list[Rendered | ModelwrightError] = []
        for conversation, one in zip(conversations, whole, strict=True):
            turns = sum(message["role"] == "assistant" for message in conversation["messages"])
            found.append(_by_prefixes(one, [next(answers) for _ in range(2 * turns)]))
        return found

    def _tokenized(self, rendered: Rendered, mark: str | None) -> Chat | ModelwrightError:
        """Its tokens; an error where their special tokens are other than those that the template wrote (what messages say has marks)."""
        chat = self._encoded(rendered, mark)
        if isinstance(chat, ModelwrightError):
            return chat
        written = [number for found in self._find.finditer(rendered.text) if (number := self.special[found[0]]) in self._counted]
        if chat.tokens[np.isin(chat.tokens, self._counted)].tolist() == written:
            return chat
        return ModelwrightError("chat template: its tokens have other special tokens than it wrote; a message may forge one")

    def _encoded(self, rendered: Rendered, mark: str | None) -> Chat | ModelwrightError:
        text, turns = rendered.text, rendered.spans
        try:
            text.encode()
        except UnicodeEncodeError:
            return ModelwrightError("chat template: half of a surrogate pair in its text")
        if mark is None and self.encoder.tiktoken is not None:
            numbers = self.encoder.tiktoken.encode_to_numpy(text, allowed_special={*self.special}, disallowed_special=())
            ends = np.cumsum(self._lengths[numbers])
            return Chat(text, turns, numbers.astype(np.int32), ends - self._lengths[numbers], ends)
        if mark is None:
            whole = self._pieces.encode(text, add_special_tokens=False)
            return _chat(text, turns, whole.ids, whole.offsets)
        ids: list[int] = []
        offsets: list[Span] = []
        at = done = 0  # in the text with marks, and without
        for found in [*self._find.finditer(text), None]:
            piece = text[at : found.start() if found else len(text)].replace(mark, "")
            encoded = self.encoder.hugging_face.encode(piece, add_special_tokens=False)
            ids += encoded.ids
            offsets += [(done + begin, done + end) for begin, end in encoded.offsets]
            done += len(piece)
            if found:
                ids.append(self.special[found[0]])
                offsets.append((done, done + len(found[0])))
                at, done = found.end(), done + len(found[0])
        turns = tuple((begin - text.count(mark, 0, begin), end - text.count(mark, 0, end)) for begin, end in turns)
        return _chat(text.replace(mark, ""), turns, ids, offsets)


def _unknown(model: Mapping[str, Any]) -> int | None:
    """The token that stands for what a model has no token for."""
    vocabulary, name = model.get("vocab"), model.get("unk_token")
    return vocabulary.get(name) if isinstance(vocabulary, dict) and name is not None else model.get("unk_id")


def _cut(rendered: Rendered) -> Rendered:
    return Rendered(rendered.text[: rendered.spans[-1][1]], rendered.spans)


def _texts(value: Any) -> list[str]:
    """Every text in it, keys too."""
    if isinstance(value, str):
        return [value]
    inner = [*value, *value.values()] if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return [text for one in inner for text in _texts(one)]


def _chat(text: str, turns: tuple[Span, ...], ids: Sequence[int], offsets: Sequence[Span]) -> Chat:
    """Offsets are in characters; a Chat's are in bytes."""
    at = np.concatenate([[0], np.cumsum([len(character.encode()) for character in text], dtype=np.int64)])
    begins, ends = (at[np.array([one[side] for one in offsets], dtype=np.int64)] for side in (0, 1))
    return Chat(text, turns, np.array(ids, dtype=np.int32), begins, ends)


def _by_prefixes(whole: Rendered | ModelwrightError, parts: Sequence[Rendered | ModelwrightError]) -> Rendered | ModelwrightError:
    if isinstance(whole, ModelwrightError):
        return whole
    spans = []
    for before, after in zip(parts[::2], parts[1::2], strict=True):
        for one in (before, after):
            if isinstance(one, ModelwrightError):
                return one
        assert isinstance(before, Rendered) and isinstance(after, Rendered)
        if not (whole.text.startswith(after.text) and after.text.startswith(before.text)):
            return ModelwrightError(
                "chat template: how it renders a turn depends on what comes after it, so what the assistant says can't be found;"
                " put {% generation %} and {% endgeneration %} around it"
            )
        spans.append((len(before.text), len(after.text)))
    return Rendered(whole.text, tuple(spans))
