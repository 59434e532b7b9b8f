"""A checkpoint on its way to disk: what is to be written is fixed at once, and written by a thread while training goes on.

Megatron-Core 0.16.1 forks writers: they hold a copy of the memory each, outlive a killed rank, and hide why a write failed; its
persistent writer does not copy tensors that are on the CPU already, so that later steps leak into the file. A thread of torch's own
writer does none of that, and leaves Python's lock alone while it hashes and writes (docs/decisions/asynchronous-checkpoints.md).
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as torch_checkpoint
from megatron.core import dist_checkpointing
from megatron.core.dist_checkpointing.core import CheckpointingConfig, save_config
from megatron.core.dist_checkpointing.strategies import torch as strategies
from megatron.core.dist_checkpointing.strategies.async_utils import AsyncRequest
from torch.distributed.checkpoint.filesystem import FileSystem
from torch.distributed.checkpoint.planner import SavePlan

from modelwright_plugins.engine import checkpoint_files as files

Buffers = dict[Any, torch.Tensor]  # part of a tensor -> memory on the host for its copy, used again by the next checkpoint


class Writing:
    """One step's checkpoint. All ranks make one together; then each, at times that all agree on, calls `gather`, and is `resting` again.

    Each rank's thread writes, hashes and makes durable that rank's shard. After `gather`, that of rank 0 adds what holds for all,
    gives the step its name, and does what comes `then`. `buffers`: tensors are copied there first, and may change from then on; None:
    they must not. `check`: that ranks name their parts so that each is saved once.
    """

    def __init__(
        self,
        folder: Path,
        step: int,
        state: dict[str, Any],
        threads: ThreadPoolExecutor,
        *,
        buffers: Buffers | None,
        check: bool,
        then: Callable[[], None],
    ) -> None:
        self.step, self.threads, self.then = step, threads, then
        self.partial = files.step_folder(folder, step).with_suffix(".tmp")
        if dist.get_rank() == 0:
            files.fresh(folder, step)
        dist.barrier()
        strategy = Planned("torch_dist", 1)
        with _telling_why(self.partial):
            dist_checkpointing.save(state, str(self.partial), strategy, validate_access_integrity=check, async_sharded_save=True)
        self.planner, self.plan, self.writer = strategy.planner, strategy.plan, Shards(self.partial)
        self.plan = self.writer.prepare_global_plan([self.plan] * dist.get_world_size())[dist.get_rank()]
        source = self.planner if buffers is None else Copies(self.plan, self.planner, buffers)
        self.gathered = False
        self.work: Future[Any] = threads.submit(self._write, source)

    def wait(self) -> None:
        """Until this rank's thread has nothing left to do for now."""
        wait([self.work])

    @property
    def resting(self) -> bool:
        """Whether this rank's thread has nothing left to do for now."""
        return self.work.done()

    def error(self) -> BaseException | None:
        """Why this rank's thread could not write, once it is resting."""
        return self.work.exception()

    def gather(self) -> None:
        """All ranks have written: rank 0 hears what, and begins to complete the step. Called on all ranks together."""
        mine = (self.plan, *self.work.result())
        told: list[Any] | None = [mine] * dist.get_world_size() if dist.get_rank() == 0 else None
        if dist.get_world_size() > 1:
            dist.gather_object(mine, told)
        self.gathered = True
        if told is not None:
            self.work = self.threads.submit(self._complete, told)

    def _write(self, source: Any) -> tuple[list[Any], files.Hashes]:
        with _telling_why(self.partial):
            written = self.writer.write_data(self.plan, source).wait()
        return written, self.writer.fs.hashes

    def _complete(self, told: list[tuple[SavePlan, list[Any], files.Hashes]]) -> None:
        plans, results, hashes = zip(*told, strict=True)
        with _telling_why(self.partial):
            _, index = self.planner.create_global_plan(list(plans))
            self.writer.finish(index, list(results))
            save_config(CheckpointingConfig("torch_dist", 1), str(self.partial))
            files.complete(self.partial, {name: value for each in hashes for name, value in each.items()})
            self.then()


class Planned(strategies.TorchDistSaveShardedStrategy):
    """Of Megatron's saving, the part that says what each rank is to write; the writing is left to `Writing`."""

    def async_save(self, sharded_state_dict: Any, checkpoint_dir: Path) -> AsyncRequest:
        renamed, _, _ = strategies._replace_state_dict_keys_with_sharded_keys(sharded_state_dict, self.keep_only_main_replica)
        self.planner = strategies.MCoreSavePlanner(dedup_replicated_tensors=not self.keep_only_main_replica, flatten_state_dict=False)
        self.planner.set_up_planner(strategies.mcore_to_pyt_state_dict(renamed, False), is_coordinator=dist.get_rank() == 0)
        self.plan = self.planner.create_local_plan()  # each tensor has one rank that saves it, so this is its part of the global plan
        return AsyncRequest(None, (), [])


class Copies:
    """What a planner would give the writer, as it is now."""

    def __init__(self, plan: SavePlan, planner: Any, buffers: Buffers) -> None:
        self.data: dict[Any, Any] = {}
        for item in plan.items:
            now = planner.resolve_data(item)
            if isinstance(now, torch.Tensor):
                kept = buffers.get(item.index)
                if kept is None or (kept.shape, kept.dtype) != (now.shape, now.dtype):
                    kept = buffers[item.index] = torch.empty(now.shape, dtype=now.dtype, device="cpu", pin_memory=now.is_cuda)
                self.data[item.index] = kept.copy_(now.detach(), non_blocking=True)
            else:
                self.data[item.index] = io.BytesIO(now.getvalue())
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    def resolve_data(self, item: Any) -> Any:
        return self.data[item.index]


class Shards(torch_checkpoint.FileSystemWriter):
    """torch's writer, hashing what it writes. It copies nothing ahead: what it is given is on the host, or not about to change."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, per_thread_copy_ahead=0)
        self.fs: Hashing = Hashing()


class Hashing(FileSystem):
    def __init__(self) -> None:
        self.hashes: dict[str, tuple[int, str]] = {}

    @contextmanager
    def create_stream(self, path: str | os.PathLike[str], mode: str) -> Iterator[io.IOBase]:
        raw = _Hashed(path, mode)
        with io.BufferedWriter(raw, 2**20) as stream:
            yield stream
        self.hashes[Path(path).name] = (raw.size, raw.digest.hexdigest())


class _Hashed(io.FileIO):
    """A file that is written from its beginning to its end."""

    def __init__(self, path: Any, mode: str) -> None:
        super().__init__(path, mode)
        self.digest, self.size = hashlib.sha256(), 0

    def write(self, data: Any, /) -> int:
        written = super().write(data)
        self.digest.update(memoryview(data)[:written])
        self.size += written
        return written


@contextmanager
def _telling_why(partial: Path) -> Iterator[None]:
    """torch says "unexpected pos" when it can't write; the system's error is behind it, or lost where the writer is in C++."""
    try:
        yield
    except Exception as e:
        why: BaseException | None = e
        while why is not None and not (isinstance(why, OSError) and why.errno):
            why = why.__cause__ or why.__context__
        full = errno.ENOSPC if shutil.disk_usage(partial).free < 2**16 else None
        if code := why.errno if isinstance(why, OSError) else full:
            raise OSError(code, os.strerror(code), str(partial)) from e
        raise
