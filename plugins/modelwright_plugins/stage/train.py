"""The stage that trains a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from modelwright.component import Artifact, Job, Parts
from modelwright_plugins.artifacts import Checkpoint, Tokenizer, TokenShards
from modelwright_plugins.stage._training_stage import TrainingStage


@dataclass(frozen=True, kw_only=True)
class Train(TrainingStage):
    """Train a model with Megatron-Core on token shards, in any parallel layout."""

    key: ClassVar[str] = "train"
    uses: ClassVar[tuple[str, ...]] = (
        "architecture", "objective", "optimizer", "schedule", "parallel", "precision", "kernel", "attention",
        "stability", "tracker", "tokenizer",
    )  # fmt: skip
    takes: ClassVar[tuple[type[Artifact], ...]] = (TokenShards, Tokenizer)

    init_from: Path | None = None  # a checkpoint folder to take the first weights from, of the same architecture
    resume_from: Path | None = None  # another run's checkpoint folder to go on from, in any layout: optimizer and place in the data too

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.init_from is not None and self.resume_from is not None:
            raise ValueError(
                f"init_from is {self.init_from} and resume_from {self.resume_from}; one says where the first weights come from"
            )

    def fingerprint(self) -> str:
        """Which checkpoints `init_from` and `resume_from` hold."""
        return " ".join(Checkpoint(folder).weights() for folder in (self.init_from, self.resume_from) if folder)

    def problems(self, parts: Parts) -> list[str]:
        found = self.fit(parts, parts["architecture"], parts["objective"].lengths(self.sequence_length)[1:])
        for name, folder in (("init_from", self.init_from), ("resume_from", self.resume_from)):
            if folder is not None and not (folder / "model.json").is_file():
                found.append(f"train.{name}={folder}: there is no model.json; a checkpoint folder has one")
        return found + self.parts_problems(parts) + parts["objective"].problems(parts["architecture"])

    def forecast(self, parts: Parts) -> dict[str, Any]:
        from modelwright_plugins.engine.forecast import forecast

        return forecast(self, parts, ranks=self.ranks(parts))

    def run(self, job: Job) -> dict[str, Any]:
        from modelwright_plugins.engine.start import started

        with started(job.parts["parallel"], seed=job.seed):
            from modelwright_plugins.stage._pretraining import Pretraining

            return Pretraining(self, job).run()
