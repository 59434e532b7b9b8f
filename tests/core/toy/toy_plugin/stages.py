from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass

from modelwright.component import Artifact, Stage


class Picture(Artifact):
    name = "picture.txt"
    published = True


class Painted(Artifact):
    name = "painted"


@dataclass(frozen=True, kw_only=True)
class Draw(Stage):
    """Write down the shape."""

    uses = ("shape",)
    makes = (Picture,)
    lines: int = 1
    fail: str = ""

    def run(self, job):
        if self.fail:
            raise OSError(28, "No space left on device", str(job.out)) if self.fail == "disk" else RuntimeError(self.fail)
        job.make(Picture).path.write_text(f"{job.parts['shape']} {job.seed}\n" * self.lines)
        return {"lines": self.lines}


@dataclass(frozen=True, kw_only=True)
class Paint(Stage):
    """Fill the picture, on ranks."""

    uses = ("color", "shape")
    takes = (Picture,)
    makes = (Painted,)
    workers: int = 2
    die: str = ""  # "1:raise", "1:kill", "1:exit": what a rank does to itself

    def ranks(self, parts):
        return self.workers

    def problems(self, parts):
        return [] if self.workers > 0 else ["paint.workers: at least 1"]

    def run(self, job):
        rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        print(f"rank {rank} of {world} speaks", flush=True)
        who, _, how = self.die.partition(":")
        if self.die and rank != int(who):
            time.sleep(60)  # the innocent wait for the dead, as in a collective
        if how == "raise":
            raise RuntimeError("paint ran out")
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "exit":
            raise SystemExit(3)
        folder = job.make(Painted).path
        folder.mkdir(exist_ok=True)
        (folder / f"{rank}.txt").write_text(f"{job.take(Picture).path.read_text()}{sorted(job.parts['color'])} {world}")
        deadline = time.monotonic() + 20
        while rank == 0 and len(list(folder.iterdir())) < world and time.monotonic() < deadline:
            time.sleep(0.02)
        job.hooks.call("on_step_end", step=1, metrics={"loss": 1.0})
        return {"ranks": world}


@dataclass(frozen=True, kw_only=True)
class Learn(Stage):
    """A loss that falls with each step, to a floor."""

    uses = ("shape",)
    makes = (Picture,)
    steps: int = 20
    floor: float = 1.0  # the loss after many steps
    wait: float = 0.0  # seconds a step
    ranked: bool = True  # in a process of its own

    def ranks(self, parts):
        return 1 if self.ranked else None

    def run(self, job):
        for step in range(1, self.steps + 1):
            loss = self.floor + 1 / step
            time.sleep(self.wait)
            job.hooks.call("on_step_end", step=step, metrics={"loss": loss})
        job.make(Picture).path.write_text(f"{os.getpid()}")
        return {"loss": loss, "floor": self.floor}
