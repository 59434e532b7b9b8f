"""DoReMi's two trainings, round after round."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelwright_plugins.attention.cores import Native
from modelwright_plugins.engine.loop import Trainer
from modelwright_plugins.engine.trainer import assembled
from modelwright_plugins.kernel.local import Torch
from modelwright_plugins.mixture._domain_batches import DomainBatches
from modelwright_plugins.mixture._doremi_written import Found, write
from modelwright_plugins.mixture._robust import DomainRobust, Excess, Steps
from modelwright_plugins.objective.causal_lm import CausalLM
from modelwright_plugins.parallel.megatron import Megatron
from modelwright_plugins.precision.floats import FP32
from modelwright_plugins.progress import progress
from modelwright_plugins.schedule.warmup import Cosine
from modelwright_plugins.tokenizer.vocabulary import Vocabulary

if TYPE_CHECKING:
    from modelwright_plugins.mixture import Material
    from modelwright_plugins.mixture.doremi import DoReMi
    from modelwright_plugins.objective import Objective

Numbers = NDArray[np.float64]
STILL = 1e-3  # rounds end when no weight changes by so much (the paper's iterated DoReMi)


def searched(settings: DoReMi, material: Material) -> dict[str, float]:
    """The weights, by domain. Megatron has been started on this one rank."""
    names = list(material.domains)
    weights, rounds = np.array([*settings.first_weights(material).values()]), []
    for number in range(settings.rounds):
        steps = Round(settings, material, number).run(weights)
        found = np.mean(steps.weights, 0)
        rounds.append(Found(weights, found, steps))
        still = bool(np.abs(found - weights).max() < STILL)
        weights = found / found.sum()  # it is 1, but for the last digits
        if still:
            break
    write(material.work, settings, names, rounds)
    return {name: float(weight) for name, weight in zip(names, weights, strict=True)}


@dataclasses.dataclass(frozen=True)
class Round:
    """A reference, and a proxy beside it."""

    settings: DoReMi
    material: Material
    number: int

    def run(self, weights: Numbers) -> Steps:
        reference = self.trainer(CausalLM(), weights, 0)
        self._train("reference model", reference)
        frozen = [chunk.module for chunk in reference.chunks]
        del reference  # its optimizer's state
        proxy = self.trainer(DomainRobust(), np.full(len(weights), 1 / len(weights)), 1)
        excess = Excess(
            frozen,
            proxy.chunks[0].module,
            self.settings.sequence_length,
            len(weights),
            step_size=self.settings.step_size,
            smoothing=self.settings.smoothing,
        )
        self._train("proxy model", dataclasses.replace(proxy, reference=excess))
        return excess.steps

    def trainer(self, objective: Objective, weights: Numbers, which: int, clip: float = 1.0) -> Trainer:
        """`weights` [k]: the domains' shares of sequences; `which` sets one training's chance apart from the other's."""
        settings, material = self.settings, self.material
        vocabulary = Vocabulary.of(material.tokenizer, material.shards, ())
        seed = int(np.random.SeedSequence([material.seed, self.number, which]).generate_state(1)[0])
        shards = {name: domain.shard for name, domain in material.domains.items()}
        batches = DomainBatches.blended(shards, weights, objective, vocabulary, length=settings.sequence_length, seed=seed)
        parts: dict[str, Any] = {"architecture": settings.architecture, "optimizer": settings.updater, "objective": objective}
        parts |= {"schedule": Cosine(), "parallel": Megatron(), "precision": FP32(), "kernel": Torch(), "attention": Native()}
        sizes: dict[str, Any] = {"global_batch": settings.global_batch, "micro_batch": settings.micro_batch, "steps": settings.steps}
        return assembled(parts, batches, **sizes, clip=clip)

    def _train(self, title: str, trainer: Trainer) -> None:
        settings = self.settings
        if settings.rounds > 1:
            title += f" of round {self.number + 1}"
        with progress(title, settings.steps * settings.global_batch * settings.sequence_length, "tok") as bar:
            for metrics in trainer.updates():
                bar.set_postfix_str(f"loss {metrics['loss']:.3f}", refresh=False)
                bar.update(int(metrics["tokens"]) - bar.n)
