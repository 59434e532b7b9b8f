"""Places on a Slurm cluster: an array job whose tasks are looked after until each has ended, by squeue and the marks that they leave.

datatrove's own Slurm executor submits its array and returns. What became of a task is here asked of squeue alone, since accounting (sacct)
is not everywhere: Slurm keeps an ended job there for MinJobAge (300 s), and what is gone without a mark has failed.
Run as a program, this module is what a job of the array runs: `python -m modelwright_plugins.executor._slurm FOLDER NUMBER`."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright.errors import ModelwrightError
from modelwright_plugins.executor._tasks import GRACE, Failure, Places, Tasks, attempt, note, pack

if TYPE_CHECKING:
    from modelwright_plugins.executor.slurm import Slurm

SOONEST, LATEST = 0.5, 10.0  # seconds between two looks at the queue
SILENCE = 180.0  # seconds without an answer of Slurm until, and between, lines that say so
MOST = 1001  # Slurm's own default of MaxArraySize
LIVES = {"PENDING", "RUNNING", "SUSPENDED", "COMPLETING", "CONFIGURING", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED", "SPECIAL_EXIT",
         "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD"}  # fmt: skip
NEVER = {"PartitionTimeLimit", "PartitionNodeLimit", "BadConstraints", "InvalidAccount", "InvalidQOS", "launch failed requeued held"}
ENDED = {
    "TIMEOUT": "its time ran out (executor.time)",
    "OUT_OF_MEMORY": "it ran out of memory (executor.mem_per_cpu_gb)",
    "NODE_FAIL": "its node failed",
    "BOOT_FAIL": "its node failed",
    "PREEMPTED": "it was preempted",
    "CANCELLED": "it was cancelled",
}


@dataclass
class Turn:
    """A place in an array, for one attempt."""

    rank: int
    log: Path  # what the job prints


class Arrays(Places):
    grace = GRACE

    def __init__(self, tasks: Tasks, asked: Slurm) -> None:
        self.tasks, self.asked = tasks, asked
        self.folder = tasks.logs / "slurm"
        self.folder.mkdir(exist_ok=True)
        (self.folder / "tasks.pickle").write_bytes(pack(tasks))
        self.waiting: deque[int] = deque()
        self.turns: dict[tuple[str, int], Turn] = {}  # by array and index
        self.looked, self.pause = 0.0, SOONEST
        self.queue = Queue(tasks.logs)
        end_earlier(self.folder)
        said = _slurm("scontrol", "show", "config").stdout
        self.most = int(found[1]) if (found := re.search(r"MaxArraySize\s*=\s*(\d+)", said)) else MOST

    def submit(self, ranks: Sequence[int]) -> None:
        self.waiting.extendleft(reversed(ranks))
        self.pause = SOONEST

    def ended(self) -> list[tuple[int, Failure | None]]:
        # With `workers`, an array has as many jobs as may be added to those that have not ended: its own limit (%) would count its own.
        while self.waiting and (free := self.most if (most := self.asked.workers) is None else most - len(self.turns)) > 0:
            self._sbatch([self.waiting.popleft() for _ in range(min(free, self.most, len(self.waiting)))])
        time.sleep(self.pause)
        self.pause = min(self.pause * 1.2, LATEST)
        if (queue := self.queue.states(sorted({job for job, _ in self.turns}))) is None:
            return []
        found: list[tuple[int, Failure | None]] = []
        for place, turn in list(self.turns.items()):
            state, reason = queue.get(place, ("", ""))
            if state in LIVES and reason in NEVER:
                _slurm("scancel", f"{place[0]}_{place[1]}")
                why = f"Slurm will not start task {turn.rank} as it was asked to ({reason}): see executor.partition, time, qos and sbatch"
                found.append((turn.rank, Failure(why, final=True, key="executor")))
            elif state in LIVES:
                continue
            elif not self.tasks.is_rank_completed(turn.rank):
                found.append((turn.rank, self._why(turn, state, reason)))
            else:
                found.append((turn.rank, None))
            del self.turns[place]
        return found

    def close(self) -> None:
        if jobs := sorted({job for job, _ in self.turns}):
            _slurm("scancel", *jobs)
        else:
            (self.folder / "jobs.txt").unlink(missing_ok=True)
        self.waiting.clear()

    def _sbatch(self, ranks: list[int]) -> None:
        number = len(list(self.folder.glob("ranks_*.json")))
        (self.folder / f"ranks_{number}.json").write_text(json.dumps(ranks))
        for rank in ranks:
            self._failure(rank).unlink(missing_ok=True)
        asked = self.asked
        options = {
            "array": f"0-{len(ranks) - 1}",
            "job-name": f"modelwright_{self.tasks.logs.name}",
            "output": f"{self.folder}/%A_%a.out",
            "cpus-per-task": asked.cpus_per_task,
            "mem-per-cpu": None if asked.mem_per_cpu_gb is None else f"{int(asked.mem_per_cpu_gb * 1024)}M",
            "partition": asked.partition,
            "time": asked.time,
            "qos": asked.qos,
            "account": asked.account,
        }
        words = [f"--{key}={value}" for key, value in options.items() if value is not None]
        words += [f"--{key}={value}" if value != "" else f"--{key}" for key, value in asked.sbatch.items()]
        program = shlex.join([asked.python or sys.executable, "-m", __name__, str(self.folder), str(number)])
        script = f"#!/bin/bash\n{asked.env_command or ''}\nexec {program}\n"
        (self.folder / f"job_{number}.sh").write_text(script)
        done = _slurm("sbatch", "--parsable", *words, str(self.folder / f"job_{number}.sh"))
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["it failed"])[-1]
            raise ModelwrightError(f"executor=slurm: {said}", "executor")
        job = done.stdout.strip().partition(";")[0]
        with (self.folder / "jobs.txt").open("a") as jobs:
            jobs.write(f"{job}\n")
        self.tasks.note(f"Slurm array {job}: {len(ranks)} tasks ({' '.join(words)})")
        self.turns |= {(job, index): Turn(rank, self.folder / f"{job}_{index}.out") for index, rank in enumerate(ranks)}

    def _failure(self, rank: int) -> Path:
        return self.folder / f"failed_{rank:05d}.json"

    def _why(self, turn: Turn, state: str, reason: str) -> Failure | None:
        """Why a task has failed that has left no mark; None: nothing says so."""
        try:
            return Failure(**json.loads(self._failure(turn.rank).read_bytes()))
        except (OSError, ValueError):
            pass
        if not state:
            return Failure("it is gone from Slurm's queue, without a completion mark", guessed=True)
        if state == "COMPLETED":
            return None
        last = ([line for line in turn.log.read_text(errors="replace").splitlines() if line] if turn.log.exists() else []) or [""]
        said = f"; {turn.log} ends: {last[-1][:200]}" if last[-1] else ""
        return Failure(ENDED.get(state, f"its Slurm job has {state.lower()} ({reason}){said}"))


def end_earlier(folder: Path) -> None:
    """Arrays of a leader that was killed: their jobs would write where ours do."""
    file = folder / "jobs.txt"
    if not (jobs := file.read_text().split() if file.exists() else []):
        return
    _slurm("scancel", *jobs)
    look = Queue(folder.parent)
    while (queue := look.states(jobs)) is None or any(state in LIVES for state, _ in queue.values()):
        time.sleep(SOONEST)
    file.unlink()


class Queue:
    """Slurm's queue, which may not answer for hours while it is repaired, and jobs run on: it is waited for, and that is told."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.silent: float | None = None  # since when
        self.told = 0.0  # when it was said last

    def states(self, jobs: Sequence[str]) -> dict[tuple[str, int], tuple[str, str]] | None:
        """(array, index) -> its state and why it waits or what ended it; None: Slurm does not answer now."""
        done = _slurm("squeue", "--noheader", "--array", "--states=all", f"--jobs={','.join(jobs)}", "--format=%F|%K|%T|%r")
        if done.returncode and "Invalid job id" not in done.stderr:
            self._silent((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
            return None
        if self.silent is not None:
            note(self.logs, "Slurm answers again")
            self.silent = None
        rows = [line.split("|", 3) for line in done.stdout.splitlines()]
        return {(row[0], int(row[1])): (row[2], row[3]) for row in rows if len(row) == 4 and row[1].isdigit()}

    def _silent(self, said: str) -> None:
        now = time.monotonic()
        if self.silent is None:
            self.silent = self.told = now
            note(self.logs, f"Slurm does not answer: {said}")
        elif now - self.told >= SILENCE:
            from tqdm import tqdm

            self.told = now
            line = f"Slurm has not answered for {(now - self.silent) / 60:.0f} minutes; this waits until it does (Ctrl-C ends it): {said}"
            note(self.logs, line)
            tqdm.write(f"  {line}", file=sys.stderr)  # above the bar


def _slurm(*words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=120)
    except FileNotFoundError:
        raise ModelwrightError(f"executor=slurm needs {words[0]}, which is not on this machine: start the run where Slurm's are") from None
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, 1, "", f"{words[0]} does not answer")


def main(folder: Path, number: str) -> int:
    """A job of the array: the exit code."""
    rank = json.loads((folder / f"ranks_{number}.json").read_bytes())[int(os.environ["SLURM_ARRAY_TASK_ID"])]
    failure = attempt((folder / "tasks.pickle").read_bytes(), rank)
    if failure is None:
        return 0
    print(failure.why, flush=True)
    half = folder / f".failed_{rank:05d}.{os.getpid()}"
    half.write_text(json.dumps(asdict(failure)))
    half.rename(folder / f"failed_{rank:05d}.json")
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
