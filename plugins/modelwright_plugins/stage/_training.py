"""A training on one rank: trackers, checkpoints, stopping when asked, and going back before a spike."""

from __future__ import annotations

import json
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch.distributed as dist

from modelwright.component import Job
from modelwright.errors import ModelwrightError
from modelwright_plugins.artifacts import Checkpoint, Metrics
from modelwright_plugins.engine import checkpoint, fake_quantized
from modelwright_plugins.engine.card import ModelCard
from modelwright_plugins.engine.loop import Spike, Trainer
from modelwright_plugins.engine.position import Position
from modelwright_plugins.engine.termination import Terminated, Termination
from modelwright_plugins.progress import progress
from modelwright_plugins.tracker import forgiving
from modelwright_plugins.tracker.jsonl import Jsonl

if TYPE_CHECKING:
    from modelwright_plugins.stage._training_stage import TrainingStage


class Training(ABC):
    """What a stage that trains does, once ranks have joined."""

    card: ModelCard

    def __init__(self, stage: TrainingStage, job: Job) -> None:
        self.stage, self.job, self.folder = stage, job, job.make(Checkpoint).path
        self.first = dist.get_rank() == 0
        done = checkpoint.latest(self.folder) or 0
        self.trainer = self._trainer(done)
        if self.first and "quantizer" in job.parts:  # it is quantization_aware
            fake_quantized.note(self.folder, job.parts["quantizer"])
        self.chunks: list[Any] = [chunk.module for chunk in self.trainer.chunks]
        self.position = self._loaded(done) if done else self._begun()

    @abstractmethod
    def _trainer(self, done: int) -> Trainer:
        """All that updates need; its first weights are set where no step is done. Sets `card`."""

    def _begun(self) -> Position:
        """Where training stands before its first update."""
        return Position()

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
                    bar.update(self.trainer.batches.come(self.position)[0] - bar.n)
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
        batches, last = self.trainer.batches, Position.after(self.stage.steps, self.stage.ramp())
        bar = closing.enter_context(progress("training", *batches.come(last)))
        bar.update(batches.come(self.position)[0])
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
            raise ModelwrightError(
                f"{spike}; no checkpoint is from before it ({self.stage.key}.checkpoint_every={self.stage.checkpoint_every})"
            )
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
