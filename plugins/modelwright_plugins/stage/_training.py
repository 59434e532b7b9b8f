"""A training on one rank: trackers, checkpoints, stopping when asked, and going back before a spike."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch.distributed as dist

from modelwright.component import Job
from modelwright.errors import ModelwrightError
from modelwright_plugins.artifacts import Checkpoint, Metrics, Tokenizer, TokenShards
from modelwright_plugins.engine import checkpoint
from modelwright_plugins.engine.batches import Batches
from modelwright_plugins.engine.blend import BlendTexts
from modelwright_plugins.engine.card import ModelCard
from modelwright_plugins.engine.loop import Spike, Trainer
from modelwright_plugins.engine.position import Position
from modelwright_plugins.engine.termination import Terminated, Termination
from modelwright_plugins.engine.trainer import assembled
from modelwright_plugins.progress import progress
from modelwright_plugins.tokenizer.vocabulary import Vocabulary
from modelwright_plugins.tracker import forgiving
from modelwright_plugins.tracker.jsonl import Jsonl

if TYPE_CHECKING:
    from modelwright_plugins.stage.train import Train


class Training:
    """What `Train.run` does, once ranks have joined."""

    def __init__(self, stage: Train, job: Job) -> None:
        self.stage, self.job, self.folder = stage, job, job.make(Checkpoint).path
        self.first = dist.get_rank() == 0
        done = checkpoint.latest(self.folder) or 0
        self.trainer = self._trainer(done)
        self.chunks: list[Any] = [chunk.module for chunk in self.trainer.chunks]
        self.position = self._loaded(done) if done else self._gone_on_from(stage.resume_from) if stage.resume_from else Position()

    def run(self) -> dict[str, Any]:
        """The last loss, the tokens trained on, and the ranges of sequences that were skipped."""
        metrics: dict[str, float] = {}
        with Termination() as termination:
            while True:
                try:
                    metrics = self._train(termination) or metrics
                    break
                except Spike as spike:
                    self.position = self._gone_back(spike)
        if self.first and not metrics:  # a resumed run with nothing left to train
            metrics = json.loads(self.job.make(Metrics).path.read_text().splitlines()[-1])
        skipped = {"skipped": self.position.skipped} if self.position.skipped else {}
        return {**{name: metrics[name] for name in ("loss", "tokens") if name in metrics}, **skipped}

    def _train(self, termination: Termination) -> dict[str, float]:
        """Train to the end; the last metrics. Raises Spike, and Terminated if a rank was asked to end."""
        stage, metrics, stop = self.stage, {}, False
        with ExitStack() as closing:
            logs, bar = self._open(closing) if self.first else ([], None)
            kept = {"keep_last": stage.keep_last, "keep_every": stage.keep_every}
            saving = checkpoint.Checkpoints(
                self.folder, self.chunks, self.trainer.optimizer, **kept, asynchronous=stage.asynchronous_checkpoints
            )
            closing.enter_context(saving)
            for metrics in self._updates(saving):
                step = int(metrics["step"])
                if bar is not None:
                    for tracker, log in logs:
                        with forgiving(tracker):
                            log.log(metrics)
                    bar.set_postfix_str(f"loss {metrics['loss']:.3f}", refresh=False)
                    bar.update(int(metrics["tokens"]) - bar.n)
                    self.job.hooks.call("on_step_end", step=step, metrics=metrics)
                whole, stop = saving.settle(termination.asked)
                if stop or step == stage.steps or (stage.checkpoint_every and step % stage.checkpoint_every == 0):
                    whole += saving.save(step, self.position.saved())
                self._tell(whole)
                if stop:
                    break
            self._tell(saving.finish())
        if stop and self.position.updates < stage.steps:
            told = f"SIGTERM: stopped after step {self.position.updates}, which is saved"
            raise Terminated(f"{told}; to go on: modelwright resume {self.job.run}")
        return metrics

    def _updates(self, saving: checkpoint.Checkpoints) -> Iterator[dict[str, float]]:
        """Until a spike, before which what is being written is made whole: it may be the checkpoint to go back to."""
        try:
            yield from self.trainer.updates(self.position)
        except Spike:  # on every rank
            self._tell(saving.finish())
            raise

    def _open(self, closing: ExitStack) -> tuple[list[Any], Any]:
        """Trackers at work, and the progress bar."""
        logs = []
        for tracker in ({"jsonl": Jsonl()} | self.job.parts["tracker"]).values():  # metrics.jsonl is made in any case
            with forgiving(tracker):
                log = tracker.open(self.job.out, self.job.config, step=self.position.updates)
                logs.append((tracker, log))
                closing.callback(forgiving(tracker)(log.close))
        length, ramp = self.stage.sequence_length, self.stage.ramp()
        bar = closing.enter_context(progress("training", Position.after(self.stage.steps, ramp).trained * length, "tok"))
        bar.update(self.position.trained * length)
        return logs, bar

    def _tell(self, whole: list[int]) -> None:
        for step in whole if self.first else ():
            self.job.hooks.call("on_checkpoint", step=step, path=checkpoint.step_folder(self.folder, step))

    def _gone_back(self, spike: Spike) -> Position:
        """Where training stands after PaLM's remedy: at a checkpoint from before the spike, with the batches up to it skipped.

        Raises the spike itself when there is no such checkpoint, or when training has gone back as often as it may.
        """
        how, often = self.job.parts["stability"], len(self.position.skipped)
        if often >= how.rollbacks:
            if how.rollbacks:
                raise ModelwrightError(f"{spike}; training has gone back {often} times, as often as stability.rollbacks allows") from spike
            raise spike
        # where none is as old as it should be, the oldest that there is
        back = checkpoint.latest(self.folder, below=max(1, spike.step - how.before + 1)) or checkpoint.oldest(self.folder, below=spike.step)
        if back is None:
            raise ModelwrightError(f"{spike}; no checkpoint is from before it (train.checkpoint_every={self.stage.checkpoint_every})")
        position = self._loaded(back)
        batch = self.trainer.ramp.size(position.trained)
        to = max(spike.drawn, position.drawn + how.skip * batch)
        why = {"step": spike.step, "back_to": back, "why": spike.why}
        # skips after the checkpoint's are told too: they were made on a way that is left
        position.skipped = list(self.position.skipped)
        position.skip_to(to, **why)
        if self.first:
            warnings.warn(f"{spike.why} at step {spike.step}: back to step {back}, sequences up to {to:,} are "
                          "skipped", stacklevel=2)  # fmt: skip
        return position

    def _loaded(self, step: int, folder: Path | None = None) -> Position:
        return Position.of(checkpoint.load(folder or self.folder, step, self.chunks, self.trainer.optimizer), self.trainer.ramp)

    def _gone_on_from(self, folder: Path) -> Position:
        step = self._newest("resume_from", folder)
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

    def _newest(self, name: str, folder: Path) -> int:
        """The newest whole step in the folder that setting `name` names, if it is of this model."""
        if why := self.card.difference(ModelCard.read(folder / "model.json", self.job.hooks.registry)):
            raise ModelwrightError(f"train.{name}={folder}: {why}")
        if (step := checkpoint.latest(folder)) is None:
            raise ModelwrightError(f"train.{name}={folder} holds no whole checkpoint")
        return step

    def _trainer(self, done: int) -> Trainer:
        stage, job, parts, shards = self.stage, self.job, self.job.parts, self.job.take(TokenShards).path
        vocabulary = Vocabulary.of(job.take(Tokenizer).path, shards, parts["objective"].special_tokens)
        self.card = ModelCard.of(
            parts["architecture"], vocabulary, stage.sequence_length, job.seed, parts["objective"].spans(stage.sequence_length)
        )
        sizes = {"length": stage.sequence_length, "global_batch": stage.global_batch}
        batches = Batches.of(shards / "train", parts["objective"], vocabulary, **sizes, seed=job.seed)

        def given(chunks: list[Any]) -> None:
            assert stage.init_from is not None
            checkpoint.load(stage.init_from, self._newest("init_from", stage.init_from), chunks, None)

        if self.first and isinstance(batches.texts, BlendTexts):
            for line in batches.texts.warnings(Position.after(stage.steps, stage.ramp()).trained, stage.sequence_length):
                warnings.warn(line, stacklevel=2)
        if self.first and not done:
            self.card.write(self.folder / "model.json", job.hooks.registry)
        return assembled(
            parts,
            batches,
            global_batch=stage.ramp(),
            micro_batch=stage.micro_batch,
            steps=stage.steps,
            clip=stage.clip,
            weights=given if stage.init_from and not done else None,
        )
