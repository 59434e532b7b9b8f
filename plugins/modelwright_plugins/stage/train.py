"""The stage that trains a model."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from modelwright.component import Artifact, Job, Parts, Stage
from modelwright_plugins.artifacts import Checkpoint, Metrics, Tokenizer, TokenShards
from modelwright_plugins.parallel.available import available
from modelwright_plugins.tracker import forgiving
from modelwright_plugins.tracker.jsonl import Jsonl

if TYPE_CHECKING:
    from modelwright_plugins.engine.loop import Trainer


@dataclass(frozen=True, kw_only=True)
class Train(Stage):
    """Train a model with Megatron-Core on token shards, in any parallel layout."""

    uses: ClassVar[tuple[str, ...]] = (
        "architecture", "objective", "optimizer", "schedule", "parallel", "precision", "kernel", "attention",
        "tracker", "tokenizer",
    )  # fmt: skip
    takes: ClassVar[tuple[type[Artifact], ...]] = (TokenShards, Tokenizer)
    makes: ClassVar[tuple[type[Artifact], ...]] = (Checkpoint, Metrics)
    resumable: ClassVar[bool] = True

    steps: int = 1000  # updates
    sequence_length: int = 1024  # tokens a sequence
    global_batch: int = 32  # sequences an update, over all ranks
    micro_batch: int = 8  # sequences a forward pass, on one rank: memory and speed, not what is learned
    clip: float = 1.0  # largest norm of the gradient; 0 leaves it as it is
    checkpoint_every: int | None = 500  # steps between checkpoints, from which a stopped run goes on; None: only at the end
    keep_last: int | None = 2  # checkpoints kept; None: all
    keep_every: int | None = None  # steps; checkpoints at multiples of it are kept beside them
    asynchronous_checkpoints: bool = True  # train on while a checkpoint is written; takes memory for a copy of what is saved
    init_from: Path | None = None  # a checkpoint folder to take the first weights from, of the same architecture

    def __post_init__(self) -> None:
        for name in ("steps", "sequence_length", "global_batch", "micro_batch", "checkpoint_every", "keep_last", "keep_every"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is 1 or more")
        if self.keep_every and (not self.checkpoint_every or self.keep_every % self.checkpoint_every):
            raise ValueError(f"keep_every is {self.keep_every}; it is a multiple of checkpoint_every={self.checkpoint_every}, or null")

    def fingerprint(self) -> str:
        """Which weights `init_from` holds."""
        told = [self.init_from / name for name in ("model.json", "latest.json")] if self.init_from else []
        return " ".join(f"{file} {file.read_text()} {file.stat().st_mtime_ns}" for file in told if file.is_file())

    def ranks(self, parts: Parts) -> int:
        return parts["parallel"].ranks(available()[0])

    def problems(self, parts: Parts) -> list[str]:
        world, started = available()
        found = parts["parallel"].problems(
            parts["architecture"],
            global_batch=self.global_batch,
            micro_batch=self.micro_batch,
            sequence_length=self.sequence_length,
            world=world,
        )
        ranks = self.ranks(parts)
        if world is not None and (ranks > world or (started and ranks != world)):
            found.append(f"parallel.* makes {ranks} ranks, and there are {world} {'started' if started else 'GPUs'}")
        positions = getattr(parts["architecture"], "positions", None)
        if positions is not None and self.sequence_length > positions:
            found.append(f"train.sequence_length={self.sequence_length} is more than architecture.positions={positions}")
        if self.init_from is not None and not (self.init_from / "model.json").is_file():
            found.append(f"train.init_from={self.init_from}: there is no model.json; a checkpoint folder has one")
        return found + parts["objective"].problems(parts["architecture"]) + parts["kernel"].problems() + parts["attention"].problems()

    def forecast(self, parts: Parts) -> dict[str, Any]:
        from modelwright_plugins.engine.forecast import forecast

        return forecast(self, parts, ranks=self.ranks(parts))

    def run(self, job: Job) -> dict[str, float]:
        from modelwright_plugins.engine.start import started

        with started(job.parts["parallel"], seed=job.seed):
            return self._train(job)

    def _train(self, job: Job) -> dict[str, float]:
        import torch.distributed as dist

        from modelwright_plugins.engine import checkpoint
        from modelwright_plugins.engine.termination import Terminated, Termination
        from modelwright_plugins.progress import progress

        folder = job.make(Checkpoint).path
        trainer, done = self._prepare(job, folder)
        chunks = [chunk.module for chunk in trainer.chunks]
        first, metrics, stop = dist.get_rank() == 0, {}, False

        def tell(whole: list[int]) -> None:
            for step in whole if first else ():
                job.hooks.call("on_checkpoint", step=step, path=checkpoint.step_folder(folder, step))

        with ExitStack() as closing:
            logs = []
            if first:
                for tracker in ({"jsonl": Jsonl()} | job.parts["tracker"]).values():  # metrics.jsonl is made in any case
                    with forgiving(tracker):
                        log = tracker.open(job.out, job.config, step=done)
                        logs.append((tracker, log))
                        closing.callback(forgiving(tracker)(log.close))
                each = self.global_batch * self.sequence_length
                bar = closing.enter_context(progress("training", self.steps * each, "tok"))
                bar.update(done * each)
            kept = {"keep_last": self.keep_last, "keep_every": self.keep_every}
            saving = checkpoint.Checkpoints(folder, chunks, trainer.optimizer, **kept, asynchronous=self.asynchronous_checkpoints)
            closing.enter_context(saving)
            termination = closing.enter_context(Termination())
            for metrics in trainer.updates(done):
                step = int(metrics["step"])
                if first:
                    for tracker, log in logs:
                        with forgiving(tracker):
                            log.log(metrics)
                    bar.set_postfix_str(f"loss {metrics['loss']:.3f}", refresh=False)
                    bar.update(each)
                    job.hooks.call("on_step_end", step=step, metrics=metrics)
                whole, stop = saving.settle(termination.asked)
                if stop or step == self.steps or (self.checkpoint_every and step % self.checkpoint_every == 0):
                    whole += saving.save(step, {"tokens": metrics["tokens"]})
                tell(whole)
                if stop:
                    break
            tell(saving.finish())
        if stop and step < self.steps:
            raise Terminated(f"SIGTERM: stopped after step {step}, which is saved; to go on: modelwright resume {job.run}")
        if first and not metrics:  # a resumed run with nothing left to train
            metrics = json.loads(job.make(Metrics).path.read_text().splitlines()[-1])
        return {name: metrics[name] for name in ("loss", "tokens") if name in metrics}

    def _prepare(self, job: Job, folder: Path) -> tuple[Trainer, int]:
        """The trainer, and how many updates are done."""
        import torch.distributed as dist

        from modelwright.errors import ModelwrightError
        from modelwright_plugins.engine import checkpoint
        from modelwright_plugins.engine.batches import Batches
        from modelwright_plugins.engine.card import ModelCard
        from modelwright_plugins.engine.trainer import assembled
        from modelwright_plugins.tokenizer.vocabulary import Vocabulary

        parts, shards = job.parts, job.take(TokenShards).path
        vocabulary = Vocabulary.of(job.take(Tokenizer).path, shards, parts["objective"].special_tokens)
        card = ModelCard.of(parts["architecture"], vocabulary, self.sequence_length, job.seed)
        sizes = {"length": self.sequence_length, "global_batch": self.global_batch}
        batches = Batches.of(shards / "train", parts["objective"], vocabulary, **sizes, seed=job.seed)
        done = checkpoint.latest(folder) or 0

        def given(chunks: list[Any]) -> None:
            assert self.init_from is not None
            if why := card.difference(ModelCard.read(self.init_from / "model.json", job.hooks.registry)):
                raise ModelwrightError(f"train.init_from={self.init_from}: {why}")
            if (step := checkpoint.latest(self.init_from)) is None:
                raise ModelwrightError(f"train.init_from={self.init_from} holds no whole checkpoint")
            checkpoint.load(self.init_from, step, chunks, None)

        trainer = assembled(
            parts,
            batches,
            global_batch=self.global_batch,
            micro_batch=self.micro_batch,
            steps=self.steps,
            clip=self.clip,
            weights=given if self.init_from and not done else None,
        )
        if done:
            checkpoint.load(folder, done, [chunk.module for chunk in trainer.chunks], trainer.optimizer)
        elif dist.get_rank() == 0:
            card.write(folder / "model.json", job.hooks.registry)
        return trainer, min(done, self.steps)
