"""What is written while training goes on is what a training that waits would have written; a failure is told on every rank; and a kill
between any two steps of saving leaves a checkpoint that loads."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
import signal
import threading
import warnings
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from ranks import joined, on_ranks

LAYOUTS: dict[str, dict[str, Any]] = {"one rank": {}, "tensor 2": {"tensor": 2}, "shared out": {"data": 2, "distributed_optimizer": True}}


def trainer(layout: dict[str, Any], steps: int = 12) -> Any:
    from modelwright_plugins.conformance.training import Case, _trainer, built_in
    from modelwright_plugins.parallel.megatron import Megatron

    return _trainer({**built_in(), "parallel": Megatron(**layout)}, Case({}, steps=steps))


def ways(rank: int, layout: dict[str, Any], out: Path) -> dict[str, Any]:
    """The shards of step 3, saved while waiting, asynchronously, and asynchronously without copies, each written only after step 6."""
    from modelwright_plugins.engine import writing
    from modelwright_plugins.engine.checkpoint import Checkpoints, latest, step_folder
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.parallel.megatron import Megatron

    parallel = Megatron(**layout)
    joined(rank, parallel.ranks(None) or 1)
    with started(parallel, seed=3):
        training = trainer(layout)
        chunks, updates, go = [chunk.module for chunk in training.chunks], training.updates(), threading.Event()
        list(islice(updates, 3))
        saving = {name: Checkpoints(out / name, chunks, training.optimizer, asynchronous=name != "waits") for name in ("waits", "copies")}
        assert saving["waits"].save(3) == [3]
        write = writing.Writing._write
        writing.Writing._write = lambda *of: go.wait() and write(*of)  # type: ignore[method-assign, assignment, return-value]
        assert saving["copies"].save(3) == []
        leaks = Checkpoints(out / "leaks", chunks, training.optimizer)
        copies, writing.Copies = writing.Copies, lambda plan, planner, buffers: planner  # type: ignore[assignment, misc]
        assert leaks.save(3) == []
        writing.Copies = copies  # type: ignore[misc]
        list(islice(updates, 3))
        assert saving["copies"].settle(stop=rank == 0) == ([], True) and latest(out / "copies") is None
        go.set()
        assert saving["copies"].finish() == leaks.finish() == [3]
        list(islice(updates, 3))
        assert saving["copies"].save(9) == [] and saving["copies"].finish() == [9]  # into the same buffers
        assert saving["waits"].save(9) == [9]
        writing.Writing._write = write  # type: ignore[method-assign]
    return {f"{name} {step}": digests(step_folder(out / name, step)) for name in ("waits", "copies", "leaks") for step in (3, 9)}


def digests(step: Path) -> dict[str, str]:
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(step.glob("*")) if file.suffix in (".distcp", ".pt")
    }


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_later_steps_never_leak_into_what_is_written(tmp_path: Path, layout: str) -> None:
    ranks = 2 if LAYOUTS[layout] else 1
    found = on_ranks(ways, ranks, tmp_path / "o", layout=LAYOUTS[layout], out=tmp_path)[0]
    assert len(found["waits 3"]) == ranks + 1
    assert found["copies 3"] == found["waits 3"] and found["copies 9"] == found["waits 9"] != found["waits 3"]
    assert found["leaks 3"] != found["waits 3"], "without copies they would"


def fails(rank: int, out: Path) -> list[tuple[int | None, str]]:
    """What each of two ranks hears when the other can't write; and that the checkpoint before is still the newest."""
    from modelwright_plugins.engine import writing
    from modelwright_plugins.engine.checkpoint import Checkpoints, latest
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.parallel.megatron import Megatron

    joined(rank, 2)
    told = []
    with started(Megatron(tensor=2), seed=3):
        training = trainer({"tensor": 2})
        chunks, updates = [chunk.module for chunk in training.chunks], training.updates()
        saving = Checkpoints(out, chunks, training.optimizer)
        saving.save(1)
        assert saving.finish() == [1]
        for failing in (0, 1):
            write = writing._Hashed.write
            if rank == failing:
                writing._Hashed.write = full  # type: ignore[method-assign]
            saving.save(2)
            try:
                for _ in islice(updates, 5):
                    saving.settle()
                saving.finish()
            except OSError as e:
                told.append((e.errno, e.filename))
            writing._Hashed.write = write  # type: ignore[method-assign]
            assert latest(out) == 1
        saving.save(3)
        assert saving.finish() == [3] and latest(out) == 3
    return told


def full(*_: Any) -> int:
    raise OSError(errno.ENOSPC, "a full disk")


@pytest.mark.slow
def test_a_rank_that_cannot_write_is_heard_by_all(tmp_path: Path) -> None:
    ranks = on_ranks(fails, 2, tmp_path / "o", out=tmp_path / "c")
    assert ranks == [[(errno.ENOSPC, str(tmp_path / "c" / "step_00000002.tmp"))] * 2] * 2


def die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def after(times: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, whose call number `times` is never made."""
    left = [times]

    def counted(*arguments: Any, **options: Any) -> Any:
        left[0] -= 1
        return die() if left[0] == 0 else function(*arguments, **options)

    return counted


MOMENTS: dict[str, tuple[str, str, int, int]] = {  # module, function, which call; the step that is found then
    "before a shard": ("writing", "Shards.write_data", 1, 2),
    "in a shard": ("writing", "_Hashed.write", 2, 2),
    "before .metadata": ("writing", "Shards.finish", 1, 2),
    "between .metadata and metadata.json": ("writing", "save_config", 1, 2),
    "before files.json": ("checkpoint_files", "complete", 1, 2),
    "before it is durable": ("checkpoint_files", "_make_durable", 1, 2),
    "before it is renamed": ("checkpoint_files", "Path.rename", 1, 2),
    "before latest.json": ("checkpoint_files", "_replace", 1, 4),
    "before older ones go": ("checkpoint", "keep", 1, 4),
    "while older ones go": ("checkpoint_files", "os.unlink", 2, 4),
}


def in_child(function: Callable[..., Any], *arguments: Any) -> Any:
    """What it returns in a process of its own, or the signal that killed it."""
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        os.write(write, pickle.dumps(function(*arguments)))
        os._exit(0)
    os.close(write)
    status = os.waitpid(child, 0)[1]
    with os.fdopen(read, "rb") as told:
        return os.WTERMSIG(status) if os.WIFSIGNALED(status) else pickle.loads(told.read())


def go_on(out: Path, moment: str | None, last: int) -> tuple[int, list[float]]:
    """Train from the newest checkpoint to step `last`, saving every second one; be killed at `moment` of saving step 4."""
    from modelwright_plugins.engine import checkpoint, checkpoint_files, writing
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.parallel.megatron import Megatron

    warnings.simplefilter("ignore")
    with started(Megatron(), seed=3):
        training = trainer({})
        chunks = [chunk.module for chunk in training.chunks]
        if done := checkpoint.latest(out) or 0:
            assert checkpoint.load(out, done, chunks, training.optimizer)["updates"] == done
        losses = []
        with checkpoint.Checkpoints(out, chunks, training.optimizer, keep_last=1) as saving:
            for metrics in islice(training.updates(done), last - done):
                losses.append(metrics["loss"])
                saving.settle()
                if metrics["step"] == 4 and moment:
                    saving.finish()
                    owner, name, which, _ = MOMENTS[moment]
                    at: Any = {"checkpoint": checkpoint, "checkpoint_files": checkpoint_files, "writing": writing}[owner]
                    for part in name.split(".")[:-1]:
                        at = getattr(at, part)
                    setattr(at, name.split(".")[-1], after(which, getattr(at, name.split(".")[-1])))
                if metrics["step"] % 2 == 0:
                    saving.save(int(metrics["step"]))
            saving.finish()
    return done, losses


def kills(rank: int, out: Path) -> dict[str, Any]:
    told: dict[str, Any] = {"straight": in_child(go_on, out / "straight", None, 8)}
    for moment in MOMENTS:
        folder = out / moment.replace(" ", "_")
        told[moment] = (in_child(go_on, folder, moment, 6), in_child(go_on, folder, None, 8))
    return told


@pytest.mark.slow
def test_a_kill_between_any_two_steps_of_saving(tmp_path: Path) -> None:
    (told,) = on_ranks(kills, 1, tmp_path / "o", out=tmp_path)
    _, straight = told.pop("straight")
    for moment, (ended, (done, losses)) in told.items():
        assert ended == signal.SIGKILL, moment
        assert (done, losses) == (MOMENTS[moment][3], straight[done:]), moment


def damaged(rank: int, out: Path) -> list[tuple[int | None, bool]]:
    """For each file of step 2: which step two ranks find when a byte of it is another one, and whether that one loads."""
    from modelwright_plugins.engine.checkpoint import Checkpoints, latest, load, step_folder
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.parallel.megatron import Megatron

    warnings.simplefilter("ignore")
    joined(rank, 2)
    with started(Megatron(tensor=2), seed=3):
        import torch.distributed as dist

        training = trainer({"tensor": 2})
        chunks, found = [chunk.module for chunk in training.chunks], []
        with Checkpoints(out, chunks, training.optimizer, keep_last=2) as saving:
            for metrics in islice(training.updates(), 2):
                saving.save(int(metrics["step"]), {"drawn": 8 * int(metrics["step"])})
            saving.finish()
        assert latest(out) == 2
        for file in sorted(step_folder(out, 2).iterdir()):
            dist.barrier()
            if rank == 0:
                data = file.read_bytes()
                place = len(data) // 3
                file.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
            dist.barrier()
            at = latest(out)
            found.append((at, at is not None and load(out, at, chunks, training.optimizer) == {"updates": 1, "drawn": 8}))
            dist.barrier()
            if rank == 0:
                file.write_bytes(data)
    return found


@pytest.mark.slow
def test_a_byte_of_any_file(tmp_path: Path) -> None:
    ranks = on_ranks(damaged, 2, tmp_path / "o", out=tmp_path / "c")
    assert ranks == [[(1, True)] * 6] * 2  # .metadata, two shards, common.pt, files.json, metadata.json
