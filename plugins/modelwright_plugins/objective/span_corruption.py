"""Span corruption: spans of the text leave sentinels, and are to be told (T5, and UL2's mixture stands on it)."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from modelwright_plugins.objective import Objective

if TYPE_CHECKING:
    import torch

    from modelwright_plugins.architecture import Architecture
    from modelwright_plugins.objective import Example, Passage
    from modelwright_plugins.tokenizer.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class Denoising(Objective):
    """Spans are taken out of each document and leave a sentinel each.

    They are the targets, each after its sentinel; both sides are closed by the end of document. Documents of one passage are corrupted
    each on its own and don't see each other.
    """

    architectures: ClassVar[tuple[str, ...]] = ("encoder_decoder", "prefix_decoder")

    family: Literal["encoder_decoder", "prefix_decoder"] = "encoder_decoder"  # two sequences, or one that begins with what is given
    sentinels: int = 100  # <extra_id_0> to <extra_id_99>; a document has no more spans
    targets: int | None = None  # positions of the decoder; None: what one document needs that fills the encoder, up to a multiple of 8

    def __post_init__(self) -> None:
        for name in ("sentinels", "targets"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is 1 or more")
        if self.targets is not None and self.family == "prefix_decoder":
            raise ValueError(f"targets is {self.targets}; with family=prefix_decoder there is one sequence, and it is left out")

    @property
    @abstractmethod
    def denoisers(self) -> tuple[tuple[float, float, str | None], ...]:
        """(share of tokens taken out, mean length of a span, token that begins what is given): each document draws one."""

    @property
    def special_tokens(self) -> tuple[str, ...]:
        modes = dict.fromkeys(mode for _, _, mode in self.denoisers if mode)
        return (*(f"<extra_id_{place}>" for place in range(self.sentinels)), *modes)

    def text(self, length: int) -> int:
        """Tokens of text a sequence of `length` positions is made of."""
        return length

    def spans(self, length: int) -> tuple[int, ...]:
        import numpy as np

        from modelwright.errors import ModelwrightError
        from modelwright_plugins.objective._denoising import counts

        text = self.text(length)
        most = max(int(counts(np.array(text), density, mean)[1]) for density, mean, _ in self.denoisers)
        if most > self.sentinels:
            raise ModelwrightError(
                f"objective.sentinels={self.sentinels} are fewer than the {most} spans of a document of {text} tokens; "
                f"take objective.sentinels={most} or a shorter train.sequence_length"
            )
        return (text,)

    def lengths(self, length: int) -> tuple[int, ...]:
        return (length, self.decoder_positions(length)) if self.family == "encoder_decoder" else (length,)

    def decoder_positions(self, length: int) -> int:
        """Positions of the decoder, where the encoder has `length`."""
        from modelwright_plugins.objective._denoising import most_targets

        return self.targets or -(-most_targets(self.text(length), self.denoisers) // 8) * 8

    def example(self, passage: Passage) -> Example:
        from modelwright_plugins.objective._denoising import denoising
        from modelwright_plugins.objective._two_sides import encoder_decoder, one_sequence

        vocabulary, length = passage.vocabulary, passage.length
        two = self.family == "encoder_decoder"
        limits = (length, self.decoder_positions(length)) if two else length
        known = [(density, mean, None if mode is None else vocabulary.special[mode]) for density, mean, mode in self.denoisers]
        end = vocabulary.end_of_document
        given, targets = denoising(passage.tokens, end, self._sentinels(vocabulary), known, limits, passage.random)
        if isinstance(limits, tuple):
            return encoder_decoder(given, targets, lengths=limits, end=end)
        return one_sequence(given, targets, length=length, end=end)

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        from modelwright_plugins.objective._targets import sum_over_targets

        return sum_over_targets(output, inputs["labels"])

    def problems(self, architecture: Architecture) -> list[str]:
        found = super().problems(architecture)
        if not found and architecture.family != self.family:
            found = [
                f"objective.family={self.family}, and architecture {type(architecture).__name__} is of the family {architecture.family}; "
                f"take objective.family={architecture.family}"
            ]
        return found

    def _sentinels(self, vocabulary: Vocabulary) -> list[int]:
        return [vocabulary.special[f"<extra_id_{place}>"] for place in range(self.sentinels)]


@dataclass(frozen=True, kw_only=True)
class SpanCorruption(Denoising):
    """T5's denoising of spans (Raffel et al. 2020, arXiv:1910.10683, section 3.1.4; random_spans_noise_mask in its code).

    A document of n tokens loses round(n x noise_density) of them in round(those / mean_span) spans, and every way to place as many spans
    of 1 token or more, each after 1 token or more that stays, is as likely as any other. So a document ends in a span, as in T5's code.

    A sequence is made of as much text as one document may have whose tokens given fill it (T5: 568 tokens for 512); where many short
    documents need more room, the last one is cut before it is corrupted.
    """

    noise_density: float = 0.15  # share of tokens that are taken out
    mean_span: float = 3.0  # mean length of a span, in tokens

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.noise_density < 1:
            raise ValueError(f"noise_density is {self.noise_density}; it is a share, above 0 and below 1")
        if not self.mean_span >= 1:
            raise ValueError(f"mean_span is {self.mean_span}; it is 1 token or more")

    @property
    def denoisers(self) -> tuple[tuple[float, float, str | None], ...]:
        return ((self.noise_density, self.mean_span, None),)

    def text(self, length: int) -> int:
        from modelwright_plugins.objective._denoising import most_text

        return most_text(length, self.noise_density, self.mean_span, 0, self.family == "prefix_decoder")
