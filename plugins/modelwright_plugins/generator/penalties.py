"""What every generator can be told of single tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from modelwright_plugins.generator import Stop

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Penalties:
    """Fields of generators: what is done to a model's logits before a token is chosen, and where a reply stops."""

    repetition_penalty: float = 1.0  # divides positive logits of tokens that the text or its prompt has (CTRL: 1.2); 1: nothing
    presence_penalty: float = 0.0  # from the logits of tokens that the reply has
    frequency_penalty: float = 0.0  # the same, as often as it has them
    no_repeat_ngram: int | None = None  # tokens one after another that a text has once at most; null: no limit
    logit_bias: dict[int, float] = field(default_factory=dict)  # is added to the logits of these tokens (ids)
    stop: list[str] = field(default_factory=list)  # texts that end a reply, and are cut off

    def __post_init__(self) -> None:
        if not self.repetition_penalty > 0:
            raise ValueError(f"repetition_penalty: expected more than 0, found {self.repetition_penalty}")
        if self.no_repeat_ngram is not None and self.no_repeat_ngram < 1:
            raise ValueError(f"no_repeat_ngram: expected 1 or more, or null for no limit, found {self.no_repeat_ngram}")
        if "" in self.stop:
            raise ValueError("stop: expected texts of at least one character, found an empty one")

    def edited(self, logits: torch.Tensor, prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]]) -> torch.Tensor:
        """`logits` [rows, vocab], or log-probabilities, with bias and penalties, in the order of Hugging Face's `generate`; themselves
        where there are none."""
        from modelwright_plugins.generator import _logits

        whole = self.repetition_penalty != 1 or self.no_repeat_ngram is not None
        texts = [[*prompt, *reply] for prompt, reply in zip(prompts, replies, strict=True)] if whole else []
        if self.logit_bias:
            logits = _logits.biased(logits, self.logit_bias)
        if self.repetition_penalty != 1:
            logits = _logits.less_repeated(logits, texts, self.repetition_penalty)
        if self.presence_penalty or self.frequency_penalty:
            logits = _logits.less_frequent(logits, replies, self.presence_penalty, self.frequency_penalty)
        if self.no_repeat_ngram is not None:
            logits = _logits.without_repeated_ngrams(logits, texts, self.no_repeat_ngram)
        return logits

    def stopping(self, decode: Callable[[Sequence[int]], str]) -> Stop | None:
        if not self.stop:
            return None
        return lambda tokens: any(text in decode(tokens) for text in self.stop)

    def cut(self, reply: str) -> str:
        return reply[: min((reply.find(text) for text in self.stop if text in reply), default=None)]
