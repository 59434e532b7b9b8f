"""The stage that trains a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from modelwright.component import Artifact, Job, Parts
from modelwright.errors import ModelwrightError
from modelwright_plugins.artifacts import Checkpoint, Tokenizer, TokenShards
from modelwright_plugins.stage._training_stage import TrainingStage
from modelwright_plugins.stage.known_model import LENGTH, TOKENS, Model, OfModel

if TYPE_CHECKING:
    from modelwright_plugins.architecture import Architecture


@dataclass(frozen=True, kw_only=True)
class Train(OfModel, TrainingStage):
    """Train a model with Megatron-Core on token shards, in any parallel layout."""

    key: ClassVar[str] = "train"
    uses: ClassVar[tuple[str, ...]] = (
        "architecture", "objective", "optimizer", "schedule", "parallel", "precision", "kernel", "attention",
        "stability", "tracker", "tokenizer",
    )  # fmt: skip
    takes: ClassVar[tuple[type[Artifact], ...]] = (TokenShards, Tokenizer)

    continued: bool = False  # first weights are those of the checkpoint that a stage before made, or else the run that `from` names
    init_from: Path | None = None  # a checkpoint or Hugging Face folder to take the first weights from, of the same architecture
    resume_from: Path | None = None  # another run's checkpoint folder to go on from, in any layout: optimizer and place in the data too

    def __post_init__(self) -> None:
        super().__post_init__()
        paths = [f"{name} is {path}" for name in ("init_from", "resume_from") if (path := getattr(self, name)) is not None]
        if len(given := [*(["continued is true"] if self.continued else []), *paths]) > 1:
            raise ValueError(f"{' and '.join(given)}; one says where the first weights come from")
        if self.continued:  # what this one takes; a run looks at the instance
            object.__setattr__(self, "takes", (*self.takes, Checkpoint))

    def fingerprint(self) -> str:
        """Which checkpoints `init_from` and `resume_from` hold."""
        from modelwright_plugins.architecture.hugging_face import is_folder, stamp

        folders = (self.init_from, self.resume_from)
        return " ".join(stamp(folder) if is_folder(folder) else Checkpoint(folder).weights() for folder in folders if folder)

    def problems(self, parts: Parts) -> list[str]:
        from modelwright_plugins.architecture.hugging_face import is_folder

        found = self.fit(parts, parts["architecture"], parts["objective"].lengths(self.sequence_length)[1:])
        for name, folder in (("init_from", self.init_from), ("resume_from", self.resume_from)):
            if folder is None or (name == "init_from" and is_folder(folder)):
                found += _hugging_face(folder, parts["architecture"]) if folder else []
            elif not (folder / "model.json").is_file():
                or_theirs = ", and a folder of Hugging Face's config.json" if name == "init_from" else ""
                found.append(f"train.{name}={folder}: there is no model.json; a checkpoint folder has one{or_theirs}")
        return found + self.parts_problems(parts) + parts["objective"].problems(parts["architecture"])

    def forecast(self, parts: Parts) -> dict[str, Any]:
        from modelwright_plugins.engine.forecast import forecast

        return forecast(self, parts, ranks=self.ranks(parts))

    def model_after(self, parts: Parts, before: Model, whose: str) -> Model:
        return Model(whose, parts["architecture"], length=self.sequence_length)

    def model_misfits(self, parts: Parts, model: Model) -> list[str]:
        """Of one that it goes on with; it takes no other."""
        from modelwright_plugins.engine.card import ModelCard

        named = "train.continued=true: "
        if model.adapter:
            return [f"{named}{model.whose} has an adapter; to train further on it, merge it into its model first (the stage merge)"]
        if made := model.other_tokenizer:
            return [f"{named}{model.whose} knows other tokens than those of stage {made}; leave {made} out of stages"]
        if model.few:
            return [f"{named}{model.few}, which can't be trained further; train the one that it was made of"]
        if model.architecture is None:
            return []
        ours, theirs = (ModelCard(a, TOKENS, LENGTH, end_of_document=0, seed=0) for a in (parts["architecture"], model.architecture))
        return [f"{named}{model.whose}: {why}"] if (why := ours.difference(theirs)) else []

    def run(self, job: Job) -> dict[str, Any]:
        from modelwright_plugins.engine.start import started

        with started(job.parts["parallel"], seed=job.seed):
            from modelwright_plugins.stage._pretraining import Pretraining

            return Pretraining(self, job).run()


def _hugging_face(folder: Path, architecture: Architecture) -> list[str]:
    """What is wrong with a folder of Hugging Face's that first weights are to come from."""
    from modelwright_plugins.architecture.hugging_face import other_architecture, read_folder

    try:
        _, _, theirs = read_folder(folder)
    except ModelwrightError as e:
        return [f"train.init_from: {e}"]
    why = other_architecture(architecture, theirs)
    return [f"train.init_from={folder}: {why}"] if why else []
