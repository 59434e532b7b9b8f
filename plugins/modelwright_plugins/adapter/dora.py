"""Weight-decomposed low-rank adaptation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwright_plugins.adapter.lora import LoRA

if TYPE_CHECKING:
    from megatron.core.transformer.module import MegatronModule


@dataclass(frozen=True, kw_only=True)
class DoRA(LoRA):
    """DoRA (Liu et al. 2024, arXiv:2402.09353): LoRA of the direction of W's rows; their lengths are trained by themselves.

    W becomes m (W + sBA) / ‖W + sBA‖, where lengths are of what gives one output, and no gradient goes through the length (section
    4.3). Dropout is of the low-rank part's inputs only.
    """

    def apply(self, chunks: list[MegatronModule], *, seed: int) -> None:
        self._attach(chunks, seed, magnitude=True)
