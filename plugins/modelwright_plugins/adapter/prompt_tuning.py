"""Prompt tuning: embeddings before the input are trained, and the model is not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from modelwright.component import Parts
from modelwright.errors import ModelwrightError
from modelwright_plugins.adapter import Adapter
from modelwright_plugins.adapter._read import contents
from modelwright_plugins.adapter.lora import plain_layers
from modelwright_plugins.adapter.prefix_tuning import own_attention

if TYPE_CHECKING:
    from megatron.core.transformer.module import MegatronModule


@dataclass(frozen=True, kw_only=True)
class PromptTuning(Adapter):
    """Prompt tuning (Lester et al. 2021, arXiv:2104.08691): trained embeddings before the input of a causal decoder.

    Every text has them before it, also each of several that are packed into one sequence: they see nothing of a text, and every text
    sees them, whatever a window hides. The text's places begin behind them; learned positions must reach so far. They are there
    from the beginning, so the model does not start as it was.
    """

    merges: ClassVar[bool] = False
    exact_start: ClassVar[bool] = False

    length: int = 100  # trained embeddings (section 3.2 there)
    start: Literal["vocabulary", "text", "random"] = "vocabulary"  # embeddings of common tokens, or of a text's, or uniform in ±0.5
    text: str = ""  # start=text: what is wanted, in words; again and again, or cut
    tokenizer: Path | None = None  # start=text: the folder of the model's tokenizer.json

    def __post_init__(self) -> None:
        if self.length < 1:
            raise ValueError(f"length is {self.length}; it is 1 or more")
        if (self.start == "text") != bool(self.text):
            raise ValueError(f"text is {self.text!r} with start={self.start}; they are for each other")
        if self.start == "text" and self.tokenizer is None:
            raise ValueError("tokenizer is null; it is the folder of the tokenizer.json that text is read with")

    @property
    def saved(self) -> PromptTuning:
        return replace(self, start="random", text="", tokenizer=None)

    def fingerprint(self) -> str:
        """Which tokenizer reads the text."""
        return contents([self.tokenizer / "tokenizer.json"]) if self.tokenizer else ""

    def problems(self, parts: Parts) -> list[str]:
        found = plain_layers(parts) + own_attention(parts)
        if self.tokenizer is not None and not (self.tokenizer / "tokenizer.json").is_file():
            found.append(f"adapter.tokenizer: there is no tokenizer.json in {self.tokenizer}")
        return found

    def apply(self, chunks: list[MegatronModule], *, seed: int) -> None:
        from modelwright_plugins.adapter._prompt import attach, read, some, start_from

        attach(chunks, length=self.length, seed=seed)
        if self.start == "vocabulary":
            start_from(chunks, some(chunks, self.length, seed))
        elif self.start == "text":
            start_from(chunks, read(self.text, self.tokenizer, self.length))

    def merge(self, chunks: list[MegatronModule]) -> None:
        raise ModelwrightError("prompt tuning puts embeddings before the input, which no plain weights have; it can't be merged")
