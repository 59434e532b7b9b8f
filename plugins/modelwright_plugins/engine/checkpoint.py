"""Checkpoints: saved atomically, also while training goes on; damaged ones skipped; loaded into any layout.

Tensors are kept by their global names in Megatron's `torch_dist` format; `checkpoint_files` says what is in a folder. Nothing in a
checkpoint is ever run (`safe_load`).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as torch_checkpoint
from megatron.core import dist_checkpointing
from megatron.core.optimizer.optimizer import MegatronOptimizer
from megatron.core.transformer.module import MegatronModule

from modelwright.errors import ModelwrightError
from modelwright_plugins.engine.checkpoint_files import damage, keep, latest, oldest, step_folder, steps
from modelwright_plugins.engine.optimizer_state import kind, load_state, named_metadata, sharded_state
from modelwright_plugins.engine.safe_load import SafeCommonLoad, SafeLoad, without_code
from modelwright_plugins.engine.writing import Buffers, Writing

__all__ = ["Checkpoints", "damage", "latest", "load", "oldest", "save", "step_folder", "steps"]

Progress = Mapping[str, Any]  # how far training is, as plain values, the same on every rank: {"updates": 200}


class Checkpoints:
    """The checkpoints of a run that trains, on one rank. All ranks call each method together.

    `save` returns when later updates can't change what is saved. What was begun moves on at `settle`, which ranks call after each
    update, and `finish`, which waits. Both give the steps that became whole, and raise OSError where a rank could not write.
    """

    def __init__(
        self,
        folder: Path,
        chunks: list[MegatronModule],
        optimizer: MegatronOptimizer | None,
        *,
        keep_last: int | None = None,
        keep_every: int | None = None,
        asynchronous: bool = True,
    ) -> None:
        """`keep_last`: the newest that are kept, None: all; `keep_every`: of older ones, the steps that it divides are kept too.
        `asynchronous`: training may go on while a checkpoint is written, which costs this rank's memory for one copy of its part.
        """
        self.folder, self.chunks, self.optimizer = folder, chunks, optimizer
        self.keep_last, self.keep_every = keep_last, keep_every
        self.buffers: Buffers | None = {} if asynchronous else None
        self.threads = ThreadPoolExecutor(1, "checkpoint")
        self.writing: Writing | None = None
        self.check = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.threads.shutdown(cancel_futures=True)  # after an error, what a thread does by itself is all that is done

    def save(self, step: int, progress: Progress | None = None) -> list[int]:
        """Begin to save; what was begun before is finished first. Without `asynchronous` it is whole on return."""
        whole = self.finish()
        state = {**_state(self.chunks, self.optimizer), "progress": {"updates": step, **(progress or {})}}
        tidy = functools.partial(keep, self.folder, step, last=self.keep_last, every=self.keep_every)
        self.writing = Writing(self.folder, step, state, self.threads, buffers=self.buffers, check=self.check, then=tidy)
        self.check = False  # the next one has the same tensors
        return whole if self.buffers is not None else whole + self.finish()

    def settle(self, stop: bool = False) -> tuple[list[int], bool]:
        """Move on as far as is possible without waiting. The steps that became whole, and whether any rank says `stop`."""
        work = self.writing
        resting, failed = work is None or work.resting, work is not None and work.resting and work.error() is not None
        if dist.get_world_size() > 1:
            said = torch.tensor([stop, not resting, failed], dtype=torch.int32, device=torch.cuda.current_device())
            dist.all_reduce(said, dist.ReduceOp.MAX)
            stop, busy, failed = (bool(each) for each in said.tolist())
            resting = not busy
        return (self._move_on(failed) if work is not None and resting else []), stop

    def finish(self) -> list[int]:
        """Wait until what was begun is whole."""
        whole: list[int] = []
        while self.writing is not None:
            self.writing.wait()
            whole += self.settle()[0]
        return whole

    def _move_on(self, failed: bool) -> list[int]:
        """No rank's thread has work."""
        assert self.writing is not None
        if failed:
            raise self._failure(self.writing)
        if not self.writing.gathered:
            self.writing.gather()
            return []
        step, self.writing = self.writing.step, None
        return [step]

    def _failure(self, work: Writing) -> BaseException:
        """What the first rank that failed has met, on every rank."""
        mine, self.writing = work.error(), None
        told: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(told, mine and (getattr(mine, "errno", None), str(mine), getattr(mine, "filename", None)))
        number, text, file = next(each for each in told if each)
        return mine or (OSError(number, os.strerror(number), file) if number else RuntimeError(text))


def save(
    folder: Path, step: int, chunks: list[MegatronModule], optimizer: MegatronOptimizer | None, *,
    keep_last: int | None, keep_every: int | None = None, progress: Progress | None = None,
) -> Path:  # fmt: skip
    """Write step `step`, on all ranks together, and wait until it is whole. The folder of the step."""
    with Checkpoints(folder, chunks, optimizer, keep_last=keep_last, keep_every=keep_every, asynchronous=False) as checkpoints:
        checkpoints.save(step, progress)
    return step_folder(folder, step)


def load(folder: Path, step: int, chunks: list[MegatronModule], optimizer: MegatronOptimizer | None) -> dict[str, Any]:
    """Load weights, and the optimizer's state if one is given, into this layout, whichever they were saved from. The progress saved."""
    path = step_folder(folder, step)
    told = SafeCommonLoad().load_common(path).get("optimizer", {})
    if optimizer is not None and (theirs := told.get("kind", kind(optimizer))) != kind(optimizer):
        why = f"holds the state of another optimizer, {theirs} and not {kind(optimizer)}"
        raise ModelwrightError(f"{path} {why}; to start from its weights alone: train.init_from={folder}")
    template = _state(chunks, optimizer, loading=True, begun=told.get("begun", True))
    try:
        state = dist_checkpointing.load(template, str(path), SafeLoad(), SafeCommonLoad())
    except (Exception, torch_checkpoint.CheckpointException) as e:
        if isinstance(e, torch_checkpoint.CheckpointException):  # what each rank raised
            for each, _ in e.failures.values():
                if isinstance(each, ModelwrightError):
                    raise each from e
        if optimizer is not None and "optimizer.state" in str(e):
            why = f"holds the state of another optimizer; to start from its weights alone: train.init_from={folder}"
            raise ModelwrightError(f"{path} {why}") from e
        raise
    for name, chunk in _named(chunks):
        chunk.load_state_dict(without_code(state[name], path))
    progress: dict[str, Any] = state["progress"]
    if optimizer is not None:
        load_state(optimizer, chunks, state["optimizer"], step=progress["updates"])
    return progress


def _named(chunks: list[MegatronModule]) -> list[tuple[str, MegatronModule]]:
    return [(f"chunk{i}", chunk) for i, chunk in enumerate(chunks)]


def _state(
    chunks: list[MegatronModule], optimizer: MegatronOptimizer | None, *, loading: bool = False, begun: bool = True
) -> dict[str, Any]:
    state: dict[str, Any] = {name: chunk.sharded_state_dict(metadata=named_metadata()) for name, chunk in _named(chunks)}
    if optimizer is not None:
        state["optimizer"] = sharded_state(optimizer, chunks, dict(state), loading=loading, begun=begun)
    return state
