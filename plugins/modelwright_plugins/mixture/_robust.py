"""Group DRO as DoReMi has it: the domains' weights from their excess, and the proxy's loss from their weights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from modelwright_plugins.engine.reference import Inputs, Reference
from modelwright_plugins.objective.causal_lm import CausalLM

if TYPE_CHECKING:
    from megatron.core.transformer.module import MegatronModule

Numbers = NDArray[np.float64]


def stepped(weights: Numbers, excess: Numbers, *, step_size: float, smoothing: float) -> Numbers:
    """α_t from α_{t-1} and λ_t, each [k] (Algorithm 1)."""
    grown = weights * np.exp(step_size * (excess - excess.max()))  # what all are divided by is divided out again below
    return (1 - smoothing) * grown / grown.sum() + smoothing / len(weights)


@dataclass
class Steps:
    """What was found in each step, a row [k] each."""

    weights: list[Numbers] = field(default_factory=list)  # α_t
    excess: list[Numbers] = field(default_factory=list)  # λ_t, nats a token
    reference: list[Numbers] = field(default_factory=list)  # mean loss, nats a token
    proxy: list[Numbers] = field(default_factory=list)  # the same, before the update


class Excess(Reference):
    """The reference, and the proxy before its update, over all of a step's micro-batches: these then have `loss_weight` [rows], what each
    target of a sequence counts in the proxy's loss."""

    def __init__(
        self, reference: list[MegatronModule], proxy: MegatronModule, length: int, domains: int, *, step_size: float, smoothing: float
    ) -> None:
        super().__init__(reference, length)
        self.proxy, self.step_size, self.smoothing = proxy, step_size, smoothing
        self.weights = np.full(domains, 1 / domains)
        self.steps = Steps()

    def beside(self, micro_batches: list[Inputs], size: int) -> Iterable[Inputs]:
        tokens, excess, reference, proxy = self._sums(micro_batches)
        if not tokens.all():
            raise RuntimeError(f"a batch has no target of domain {int(tokens.argmin())}")
        self.weights = stepped(self.weights, excess / tokens, step_size=self.step_size, smoothing=self.smoothing)
        for kept, found in zip(
            (self.steps.weights, self.steps.excess, self.steps.reference, self.steps.proxy),
            (self.weights, excess / tokens, reference / tokens, proxy / tokens),
            strict=True,
        ):
            kept.append(found)
        # the trainer divides by the batch's targets: what is left is the sum over domains of weight x mean
        counts = torch.from_numpy(self.weights * tokens.sum() / tokens)
        for inputs in micro_batches:
            yield {**inputs, "loss_weight": counts.to(inputs["loss_domain"].device)[inputs["loss_domain"]]}

    @torch.no_grad()
    def _sums(self, micro_batches: list[Inputs]) -> Numbers:
        """By domain, [4, k]: targets, and sums over them of the excess, the reference's loss and the proxy's."""
        found = torch.zeros(4, len(self.weights), dtype=torch.float64, device=micro_batches[0]["labels"].device)
        self.proxy.eval()  # without dropout, as the reference
        for inputs in micro_batches:
            told = {name: value for name, value in inputs.items() if not name.startswith("loss_")}
            proxy, reference = self.proxy(**told).double(), self.chunks[0](**told).double()
            each = torch.stack([torch.ones_like(proxy), (proxy - reference).clamp(min=0), reference, proxy])
            found.index_add_(1, inputs["loss_domain"], (each * (inputs["labels"] >= 0)).sum(-1))
        self.proxy.train()
        return found.cpu().numpy()


@dataclass(frozen=True, kw_only=True)
class DomainRobust(CausalLM):
    """Next-token prediction in which each sequence's targets count `loss_weight`."""

    def loss(self, output: torch.Tensor, inputs: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        total, count = super().loss(output * inputs["loss_weight"][:, None], inputs)
        return total, count
