"""UL2's mixture of denoisers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from modelwright_plugins.objective.span_corruption import Denoising


@dataclass(frozen=True, kw_only=True)
class MixtureOfDenoisers(Denoising):
    """Each document is denoised in one of seven ways and begins with its mode (UL2, Tay et al. 2022, arXiv:2205.05131).

    All are as likely (section 3.1 and table 1): [R] regular spans (mean length 3 or 8, 15 % taken out), [X] extreme ones (3, 8 or 64
    at 50 %, 64 at 15 %), [S] the last quarter, told from what comes before it. What stands twice is drawn twice as often.

    A sequence is made of as many tokens of text as it has positions; where its documents need more room than there is (with
    family=prefix_decoder, when sentinels are many), the last one is cut before it is corrupted.
    """

    regular_rates: tuple[float, ...] = (0.15, 0.15)  # share of tokens that are taken out, of each [R]
    regular_spans: tuple[float, ...] = (3.0, 8.0)  # mean length of a span in tokens, of each [R]
    sequential_rates: tuple[float, ...] = (0.25,)  # share of the document, its end, that is taken out, of each [S]
    extreme_rates: tuple[float, ...] = (0.5, 0.5, 0.15, 0.5)  # as regular_rates, of each [X]
    extreme_spans: tuple[float, ...] = (3.0, 8.0, 64.0, 64.0)  # as regular_spans, of each [X]
    sentinels: int = 200  # <extra_id_0> to <extra_id_199>; a document has no more spans

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("regular", "extreme"):
            rates, spans = getattr(self, f"{name}_rates"), getattr(self, f"{name}_spans")
            if len(rates) != len(spans):
                raise ValueError(f"{name}_spans is {spans}; it has as many as {name}_rates, and that has {len(rates)}")
        if not self.denoisers:
            raise ValueError("regular_rates, sequential_rates and extreme_rates are all empty; one of them has something")
        for density, mean, mode in self.denoisers:
            if not 0 < density < 1 or not mean >= 1:
                raise ValueError(f"{mode} has a share of {density} and a mean length of {mean}; above 0 and below 1, and 1 token or more")

    @property
    def denoisers(self) -> tuple[tuple[float, float, str | None], ...]:
        return (
            *((density, mean, "[R]") for density, mean in zip(self.regular_rates, self.regular_spans, strict=True)),
            *((density, math.inf, "[S]") for density in self.sequential_rates),
            *((density, mean, "[X]") for density, mean in zip(self.extreme_rates, self.extreme_spans, strict=True)),
        )
