"""A training on token shards: its batches, and where its first weights come from."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.errors import ModelwrightError
from modelwright_plugins.architecture.hugging_face import is_folder
from modelwright_plugins.artifacts import Checkpoint, Tokenizer, TokenShards
from modelwright_plugins.artifacts.tokens_of import refuse_other
from modelwright_plugins.engine import checkpoint
from modelwright_plugins.engine.adapted import refuse_adapter
from modelwright_plugins.engine.batches import Batches
from modelwright_plugins.engine.blend import BlendTexts
from modelwright_plugins.engine.card import ModelCard
from modelwright_plugins.engine.hugging_face_in import Incoming
from modelwright_plugins.engine.loop import Trainer
from modelwright_plugins.engine.position import Position
from modelwright_plugins.engine.pretrained import carry_template
from modelwright_plugins.engine.trainer import assembled
from modelwright_plugins.stage._training import Training
from modelwright_plugins.tokenizer.vocabulary import Vocabulary

if TYPE_CHECKING:
    from modelwright_plugins.stage.train import Train


class Pretraining(Training):
    """What `Train.run` does, once ranks have joined."""

    stage: Train

    def _begun(self) -> Position:
        return self._gone_on_from(self.stage.resume_from) if self.stage.resume_from else Position()

    def _gone_on_from(self, folder: Path) -> Position:
        step = self._newest(folder, f"train.resume_from={folder}")
        theirs = ModelCard.read(folder / "model.json", self.job.hooks.registry)
        for name in ("seed", "sequence_length"):  # they decide which sequences there are, and in which order
            if (found := getattr(theirs, name)) != (ours := getattr(self.card, name)):
                key = name if name == "seed" else f"train.{name}"
                raise ModelwrightError(
                    f"train.resume_from={folder}: its {name} is {found}, not {ours}, so its place in the data is none here; "
                    f"{key}={found}, or start from its weights alone: train.init_from={folder}"
                )
        if step >= self.stage.steps:
            raise ModelwrightError(
                f"train.resume_from={folder} is at step {step}; train.steps={self.stage.steps} counts from the beginning"
            )
        return self._loaded(step, folder)

    def _newest(self, folder: Path, named: str) -> int:
        """The newest whole step in a folder that the settings name so, if it is of this model."""
        refuse_adapter(folder)
        if why := self.card.difference(ModelCard.read(folder / "model.json", self.job.hooks.registry)):
            raise ModelwrightError(f"{named}: {why}")
        refuse_other(folder, self.job.take(Tokenizer).path, named)
        if (step := checkpoint.latest(folder)) is None:
            raise ModelwrightError(f"{named} holds no whole checkpoint")
        return step

    def _trainer(self, done: int) -> Trainer:
        stage, job, parts, shards = self.stage, self.job, self.job.parts, self.job.take(TokenShards).path
        vocabulary = Vocabulary.of(job.take(Tokenizer).path, shards, parts["objective"].special_tokens)
        self.card = ModelCard.of(
            parts["architecture"], vocabulary, stage.sequence_length, job.seed, parts["objective"].spans(stage.sequence_length)
        )
        sizes = {"length": stage.sequence_length, "global_batch": stage.global_batch}
        batches = Batches.of(shards / "train", parts["objective"], vocabulary, **sizes, seed=job.seed)

        before = job.take(Checkpoint).path if stage.continued else stage.init_from
        named = f"train.continued=true goes on from {before}" if stage.continued else f"train.init_from={before}"

        def given(chunks: list[Any]) -> None:
            assert before is not None
            if stage.init_from and is_folder(before):
                theirs = Incoming.of(before)
                if why := theirs.misfits(self.card, job.take(Tokenizer).path):
                    raise ModelwrightError(f"{named}: {'; '.join(why)}")
                theirs.load(chunks, vocab_size=self.card.vocab_size)
            else:
                checkpoint.load(before, self._newest(before, named), chunks, None)

        if self.first and isinstance(batches.texts, BlendTexts):
            for line in batches.texts.warnings(Position.after(stage.steps, stage.ramp()).trained, stage.sequence_length):
                warnings.warn(line, stacklevel=2)
        if self.first and not done:
            self.card.write(self.folder / "model.json", job.hooks.registry)
            if before and not is_folder(before):
                carry_template(before, self.folder)  # others talk to it as to what it was
        return assembled(
            parts,
            batches,
            global_batch=stage.ramp(),
            micro_batch=stage.micro_batch,
            steps=stage.steps,
            clip=stage.clip,
            weights=given if before and not done else None,
        )
