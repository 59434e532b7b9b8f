"""DoReMi: weights found by training two small models."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from modelwright.component import Component
from modelwright.errors import ModelwrightError, nearest
from modelwright_plugins.mixture import Material, Mixture
from modelwright_plugins.mixture.weights import shares
from modelwright_plugins.parts import built_parts

if TYPE_CHECKING:
    from modelwright_plugins.architecture import Architecture
    from modelwright_plugins.optimizer import Optimizer

PARTS = {"proxy": "architecture", "optimizer": "optimizer"}  # field -> kind


@dataclass(frozen=True, kw_only=True)
class DoReMi(Mixture):
    """Weights that make a small proxy model as good as a reference on every domain (Xie et al. 2023, arXiv:2305.10429).

    Algorithm 1. A reference model is trained on `reference_weights`. A proxy of its size is then trained by Group DRO on batches that
    hold all domains alike. In each step the excess of domain i is the mean over its tokens of max(proxy's loss - reference's loss, 0),
    its weight is multiplied with e^(step_size x excess), weights are made to sum to 1 and mixed with smoothing/k each, and the proxy
    learns from the sum over domains of weight x mean loss, with the weights of this very step. What comes out is the mean over the steps.

    A domain gets much where there is something that the reference has learned and the proxy has not yet: neither noise nor what is
    learned at once. Batches take domains in turn, not by chance as the paper's do, so that each has as many sequences as any other or one
    more, and none is absent; no sequence holds two domains. The excess of all micro-batches is known before the proxy learns from the
    first: the proxy goes forward twice, which takes a quarter more time and lets a batch be larger than memory.

    The two models take about 2.7 times what training a model of the proxy's size for `steps` takes, `rounds` times. Its stage begins again
    where it was stopped. `doremi.json` (weights, excess and losses over the steps) and `doremi.svg` stay in the run.
    """

    trains: ClassVar[bool] = True

    # both models' architecture, of the family decoder: its name, and its parameters
    proxy: dict[str, Any] = field(default_factory=lambda: {"name": "causal_decoder", "layers": 4, "width": 64, "heads": 4})
    # both models' optimizer; its lr goes up over 3 % of the steps, and down to a tenth as half a cosine
    optimizer: dict[str, Any] = field(default_factory=lambda: {"name": "adamw", "lr": 3e-3})
    steps: int = 500  # updates of each model (paper: 200,000)
    sequence_length: int = 256  # tokens a sequence (paper: 1,024)
    global_batch: int = 32  # sequences an update, at least one a domain (paper: 512)
    micro_batch: int = 8  # sequences a forward pass: memory and speed, not what is found
    step_size: float = 1.0  # η, how fast weights follow the excess, a nat (paper: 1; 0.3 is steadier over a few hundred steps)
    smoothing: float = 1e-3  # c, the part of the weights that all domains have alike
    reference_weights: dict[str, float] | None = None  # of each domain in the reference's training, in proportion; None: as its tokens
    rounds: int = 1  # at most so often, each time from the weights found before, until none changes by 0.001 (iterated DoReMi)

    def __post_init__(self) -> None:
        for name in ("steps", "sequence_length", "global_batch", "micro_batch", "rounds"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is 1 or more")
        if self.global_batch % self.micro_batch:
            raise ValueError(f"micro_batch is {self.micro_batch}; it divides global_batch={self.global_batch}")
        if not (self.step_size > 0 and math.isfinite(self.step_size)):
            raise ValueError(f"step_size is {self.step_size}; it is a number above 0")
        if not 0 < self.smoothing <= 1:
            raise ValueError(f"smoothing is {self.smoothing}; it is above 0 and up to 1")
        for domain, weight in (self.reference_weights or {}).items():
            if not (weight > 0 and math.isfinite(weight)):
                raise ValueError(f"reference_weights.{domain} is {weight}; it is a number above 0")
        for name, kind in PARTS.items():
            settings, _ = self._part(name, kind)
            object.__setattr__(self, name, settings)  # a frozen config says all that is trained
        if self.architecture.family != "decoder":
            raise ValueError(f"proxy is {type(self.architecture).__name__}; it is of the family decoder, such as {{name: causal_decoder}}")
        positions = getattr(self.architecture, "positions", None)
        if positions is not None and positions < self.sequence_length:
            raise ValueError(f"sequence_length is {self.sequence_length}; proxy.positions={positions} are fewer")

    @cached_property
    def architecture(self) -> Architecture:
        """Of both models."""
        built: Architecture = self._part("proxy", "architecture")[1]
        return built

    @cached_property
    def updater(self) -> Optimizer:
        """Of both models."""
        built: Optimizer = self._part("optimizer", "optimizer")[1]
        return built

    def _part(self, name: str, kind: str) -> tuple[dict[str, Any], Any]:
        """(all settings of a part, the part)."""
        try:
            settings, built = built_parts(kind, {name: getattr(self, name)}, own=DoReMi, names="parts")
        except ValueError as e:
            raise ValueError(str(e).removeprefix("parts.")) from e
        part: Component = built[name]
        return settings[name], part

    def first_weights(self, material: Material) -> dict[str, float]:
        """Shares of the domains in the reference's training, in the order of `material`'s."""
        given = self.reference_weights
        if given is None:
            return shares({name: domain.tokens for name, domain in material.domains.items()})
        for name in given:
            if name not in material.domains:
                near = nearest(name, material.domains)
                raise ModelwrightError(f"mixture.reference_weights.{name}: there is no domain of that name{near}", "mixture")
        for name in material.domains:
            if name not in given:
                near = nearest(name, given)
                raise ModelwrightError(f"mixture.reference_weights has no weight for domain {name!r}{near}", "mixture")
        return shares({name: given[name] for name in material.domains})

    def weigh(self, material: Material) -> Mapping[str, float]:
        if self.global_batch < (count := len(material.domains)):
            raise ModelwrightError(f"mixture.global_batch={self.global_batch} has no sequence for each of {count} domains", "mixture")
        self.first_weights(material)  # names that are wrong are told before Megatron starts
        from modelwright_plugins.engine.start import started
        from modelwright_plugins.mixture._doremi import searched
        from modelwright_plugins.parallel.megatron import Megatron

        with started(Megatron(), seed=material.seed):
            return searched(self, material)
