"""Bottleneck adapters: small networks behind or beside each layer's attention and feed-forward network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from modelwright.component import Parts
from modelwright.errors import ModelwrightError
from modelwright_plugins.adapter import Adapter
from modelwright_plugins.adapter.lora import plain_layers

if TYPE_CHECKING:
    from megatron.core.transformer.module import MegatronModule

PLACES = ("attention", "feed_forward")


@dataclass(frozen=True, kw_only=True)
class Series(Adapter):
    """Bottleneck adapters in series (Houlsby et al. 2019, arXiv:1902.00751): y becomes y + up(activation(down(y))).

    y is what attention or the feed-forward network adds to the residual stream. The last matrix is 0 before training: the model starts
    as it was.
    """

    merges: ClassVar[bool] = False
    scale: ClassVar[float] = 1.0
    behind: ClassVar[bool] = True

    size: int = 64  # of the bottleneck
    activation: Literal["relu", "gelu", "silu"] = "gelu"  # in the bottleneck
    places: list[str] = field(default_factory=lambda: ["attention", "feed_forward"])  # attention, feed_forward, or both

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size is {self.size}; it is 1 or more")
        if not self.places or any(place not in PLACES for place in self.places) or len({*self.places}) < len(self.places):
            raise ValueError(f"places is {self.places}; it is attention, feed_forward, or both")

    def problems(self, parts: Parts) -> list[str]:
        return plain_layers(parts)

    def apply(self, chunks: list[MegatronModule], *, seed: int) -> None:
        from modelwright_plugins.adapter._bottleneck import attach

        how = {"size": self.size, "activation": self.activation, "scale": self.scale, "series": self.behind}
        attach(chunks, self.places, **how, seed=seed)  # type: ignore[arg-type]

    def merge(self, chunks: list[MegatronModule]) -> None:
        raise ModelwrightError(
            "a bottleneck adapter has an activation between its matrices, which no plain weights have; it can't be merged"
        )


@dataclass(frozen=True, kw_only=True)
class Parallel(Series):
    """Bottleneck adapters in parallel (He et al. 2022, arXiv:2110.04366): y becomes y + scale · up(activation(down(x))).

    x is what attention or the feed-forward network is given, after the norm, and y what it gives. Table 6 there finds the
    feed-forward network the better place, and a scale of 4.
    """

    behind: ClassVar[bool] = False

    scale: float = 4.0  # type: ignore[misc]  # of what the adapter adds
    activation: Literal["relu", "gelu", "silu"] = "relu"  # in the bottleneck
    places: list[str] = field(default_factory=lambda: ["feed_forward"])  # attention, feed_forward, or both

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.scale > 0:
            raise ValueError(f"scale is {self.scale}; it is above 0")
