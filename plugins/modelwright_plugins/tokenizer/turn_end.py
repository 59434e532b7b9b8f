"""How what the assistant says ends: by the chat template, and by the generator's own texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from modelwright.errors import ModelwrightError

if TYPE_CHECKING:
    from modelwright_plugins.generator import Generated, Generator, Stop
    from modelwright_plugins.tokenizer.chat_tokens import ChatEncoder
    from modelwright_plugins.tokenizer.encoder import Encoder

SAID = "mmm"


@dataclass(frozen=True)
class TurnEnd:
    """After any of these tokens, or before any of these texts, the assistant has spoken."""

    tokens: frozenset[int] = frozenset()
    texts: tuple[str, ...] = ()

    @classmethod
    def of(cls, chat: ChatEncoder) -> TurnEnd:
        """What follows the assistant's words in the template: the end of its turn, or the beginning of the user's next one. A template
        that renders no such conversation says nothing, and the end of the document is all that there is."""
        user, assistant = {"role": "user", "content": "uuu"}, {"role": "assistant", "content": SAID}
        (found,) = chat.encode([{"messages": [user, assistant, user]}])
        if isinstance(found, ModelwrightError) or SAID not in found.text:
            return cls()
        begin = found.text.index(SAID) + len(SAID)
        turn = next((stop for _, stop in found.turns if stop >= begin), begin)
        following = found.text.find("uuu", begin)
        tokens, texts = set(), []
        for after in (found.text[begin:turn].strip(), found.text[begin : following if following > 0 else None].strip()):
            special = next((text for text in sorted(chat.special, key=len, reverse=True) if text and after.startswith(text)), None)
            if special is not None:
                tokens.add(chat.special[special])
            elif after:
                texts.append(after)
        return cls(frozenset(tokens), tuple(dict.fromkeys(texts)))

    def cut(self, text: str) -> str:
        """Up to the first of the texts, without white space round it."""
        return text[: min((at for end in self.texts if (at := text.find(end)) >= 0), default=len(text))].strip()


@dataclass(frozen=True)
class ReplyEnd:
    """Where a reply ends, the same wherever one is drawn: in training, in evaluation, for pairs.

    With the end of the document or one of the template's tokens, before one of the template's texts, or where the generator stops.
    """

    encoder: Encoder
    generator: Generator | None = None  # whose `stop` ends it too; None: the template alone does
    turn: TurnEnd | None = field(default_factory=TurnEnd)  # None: a document, which no turn ends, and whose white space stays

    @property
    def tokens(self) -> frozenset[int]:
        """Any of these is a reply's last."""
        return frozenset({self.encoder.end_of_document}) | (self.turn.tokens if self.turn else frozenset())

    @property
    def stop(self) -> Stop | None:
        """Whether a reply's text ends it; None: no text does."""
        decode, texts = self.encoder.decode, self.turn.texts if self.turn else ()
        own = self.generator.stopping(decode) if self.generator else None
        if not texts:
            return own
        return lambda tokens: any(text in decode(tokens) for text in texts) or (own is not None and own(tokens))

    def text(self, tokens: Sequence[int]) -> str:
        """Of a reply's tokens, without what ended it."""
        text = self.encoder.decode(tokens)
        text = text if self.generator is None else self.generator.cut(text)
        return text if self.turn is None else self.turn.cut(text)

    def said(self, found: Generated) -> str:
        """The same of what was drawn: an end token is none of its text, also where the tokenizer would show it."""
        return self.text(found.without(self.tokens))

    def upto(self, tokens: Sequence[int]) -> list[int]:
        """A reply that is written, as long as it would be had it been drawn; one that nothing ends gets the end of the document."""
        ends, stop = self.tokens, self.stop
        for place, token in enumerate(tokens):
            if token in ends or (stop is not None and stop(tokens[: place + 1])):
                return list(tokens[: place + 1])
        return [*tokens, self.encoder.end_of_document]
