"""Distillation from a frozen teacher."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from modelwright_plugins.artifacts import Checkpoint
from modelwright_plugins.objective import Objective
from modelwright_plugins.objective.visible import documents, positions, seen

if TYPE_CHECKING:
    import torch

    from modelwright_plugins.architecture import Architecture
    from modelwright_plugins.objective import Example, Passage


@dataclass(frozen=True, kw_only=True)
class Distillation(Objective):
    """Next-token prediction that also follows the probabilities of a frozen teacher (Hinton et al. 2015, arXiv:1503.02531).

    A token's loss is alpha x T² x KL + (1 - alpha) x cross-entropy, in nats. KL compares the teacher's and the student's distributions,
    the logits of both divided by the temperature T; T² keeps its gradient's size (section 2.1). Forward KL has the teacher's
    probabilities before the logarithm, reverse KL (Gu et al. 2023, arXiv:2306.08543) the student's.

    The teacher is of the student's family, has its vocabulary, and is built in its layout. Beside its weights its logits take memory:
    micro batch x length x vocabulary / tensor ranks for one micro-batch; with a pipeline, on its last rank, for all of a step's, since
    the teacher goes through all of them before the student begins.
    """

    architectures: ClassVar[tuple[str, ...]] = ("decoder",)

    teacher: Path  # a checkpoint's folder, with model.json
    temperature: float = 2.0  # T
    alpha: float = 0.5  # weight of the divergence; the cross-entropy of the text's own tokens has the rest
    divergence: Literal["forward", "reverse"] = "forward"  # KL(teacher || student), or KL(student || teacher)

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"temperature is {self.temperature}; it is above 0")
        if not 0 < self.alpha <= 1:
            raise ValueError(f"alpha is {self.alpha}; it is above 0 and up to 1")
        if self.divergence not in ("forward", "reverse"):
            raise ValueError(f"divergence is {self.divergence}; it is forward or reverse")

    def fingerprint(self) -> str:
        """Which weights the teacher has."""
        return Checkpoint(self.teacher).weights()

    @property
    def reference(self) -> Path:
        return self.teacher

    def example(self, passage: Passage) -> Example:
        import numpy as np

        text, labels = passage.tokens[:-1], passage.tokens[1:]
        visible = seen(documents(text, passage.vocabulary.end_of_document), causal=True)
        told = {"loss_labels": labels, "loss_vocabulary": np.array(passage.vocabulary.size)}
        return {"input_ids": text, "position_ids": positions(visible), "attention_mask": visible, **told}

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        from modelwright_plugins.objective._distilled import cross_entropy, divergence, known
        from modelwright_plugins.objective._targets import sum_over_targets

        labels, tokens = inputs["loss_labels"], inputs["loss_vocabulary"][0]
        student, teacher = known(output, tokens), known(inputs["loss_reference"], tokens)
        nats = divergence(student / self.temperature, teacher / self.temperature, reverse=self.divergence == "reverse")
        nats = self.alpha * self.temperature**2 * nats
        if self.alpha < 1:
            nats = nats + (1 - self.alpha) * cross_entropy(student, labels)
        return sum_over_targets(nats, labels)

    def problems(self, architecture: Architecture) -> list[str]:
        from modelwright.errors import ModelwrightError
        from modelwright.hooks import discover
        from modelwright_plugins.engine.card import ModelCard

        found = super().problems(architecture)
        try:
            taught = ModelCard.read(self.teacher / "model.json", discover().registry).architecture
        except ModelwrightError as e:
            told = f"objective.teacher={self.teacher} is not a checkpoint's folder"
            inner = self.teacher / "train" / "checkpoint"
            return [*found, f"{told}; take objective.teacher={inner}" if (inner / "model.json").is_file() else f"{told}: {e}"]
        if not (self.teacher / "latest.json").is_file():
            found.append(f"objective.teacher={self.teacher}: there is no latest.json, so it holds no whole checkpoint")
        if (taught.family, taught.causal) != (architecture.family, architecture.causal):
            found.append(f"objective.teacher={self.teacher} is of the family {taught.family}, and the student of {architecture.family}")
        return found
