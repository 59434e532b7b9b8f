"""How a chat template ends what the assistant says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwright.errors import ModelwrightError

if TYPE_CHECKING:
    from modelwright_plugins.tokenizer.chat_tokens import ChatEncoder

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
