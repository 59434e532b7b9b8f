"""Quantizers that break one promise each."""

from __future__ import annotations

from typing import Any

from broken_table import breaks

from modelwright_plugins.quantizer.absmax import Absmax


@breaks("quantizer", "it stores something else the second time")
class Guessing(Absmax):
    def quantized(self, weight: Any, inputs: Any) -> Any:
        stored = super().quantized(weight, inputs)
        return {**stored, "scales": stored["scales"] * (1 + self._drawn())}

    def _drawn(self) -> float:
        import random

        return random.random() / 100


@breaks("quantizer", "none of what is stored is split over ranks")
class AxesUnsaid(Absmax):
    """Each rank has all of every matrix."""

    def axes(self) -> Any:
        return {}

    def part(self, stored: Any, cut: Any) -> Any:
        return super().part(stored, cut) | {name: cut(stored[name], ("outputs", "inputs")) for name in stored}


@breaks("quantizer", "it stores 131072 bytes of 32768 numbers")
class KeptWhole(Absmax):
    def quantized(self, weight: Any, inputs: Any) -> Any:
        return {"codes": weight}

    def weight(self, stored: Any) -> Any:
        return stored["codes"]


@breaks("quantizer", "two tensor ranks give the model that one rank gives; logits differ by")
class HalvedScales(Absmax):
    """A rank scales by its own part's largest."""

    def part(self, stored: Any, cut: Any) -> Any:
        found = super().part(stored, cut)
        return {**found, "scales": found["scales"] * 0.5}
