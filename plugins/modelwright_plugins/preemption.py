"""Preemption: a run that SIGTERM ends is stopped, not failed. It first lets its ranks save, and then asks Slurm for another turn.

A job that ends by itself is done for Slurm, whatever it has left to do, so it has to ask. The job's command then is run again, and goes
on where it was: `modelwright run … run.dir=RUN` does that in the folder of the same run, as `modelwright resume RUN` does
(docs/checkpoints.md).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

PATIENCE = 30.0  # seconds that the other ranks get once one has ended: they save together, so a rank that takes longer waits for nobody
SIGTERM = "SIGTERM"  # what an error begins with that ends a run which SIGTERM stopped: a Preempted, or a rank's Terminated


class Preempted(KeyboardInterrupt):
    """SIGTERM, where Ctrl-C is a KeyboardInterrupt."""

    def __str__(self) -> str:
        return SIGTERM


def notice() -> None:
    """From here on SIGTERM raises Preempted once the ranks that this process started have ended, each at the end of its step.

    How long a step and a checkpoint take is the run's own, and how long there is the scheduler's, who ends with SIGKILL: so there is no
    limit here while all ranks live. More SIGTERMs change nothing, as one request may come in several ways (to a job's process and through
    srun). Ctrl-C ends them at once. Where the command line does not have SIGTERM raise KeyboardInterrupt, it is somebody else's.
    """
    heard_before = False

    def heard(*_: object) -> None:
        nonlocal heard_before
        if heard_before:
            return
        heard_before = True
        if ranks := _ranks():
            # print could be in the midst of a line here
            os.write(2, b"\nmodelwright: SIGTERM: the ranks end their step and save; Ctrl-C ends them at once\n")
            _let_end(ranks)
        raise Preempted

    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.default_int_handler:
        signal.signal(signal.SIGTERM, heard)


def ask_again(error: BaseException | None) -> None:
    """Ask Slurm to put this job in its queue again, if it was SIGTERM that ended the run. A job that was cancelled is not put back.

    Called where a run is led, so that of a job's tasks one asks.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if error is None or not str(error).startswith(SIGTERM) or not job:
        return
    again = f"Slurm will not run job {job} again"
    if not shutil.which("scontrol"):
        warnings.warn(f"{again}: there is no scontrol here to ask with; submit it once more", stacklevel=2)
        return
    told = _scontrol("show", "job", "--oneliner", job)
    state = re.search(r"\bJobState=(\w+)", told.stdout)
    if told.returncode or state is None:
        warnings.warn(f"{again}: {told.stderr.strip() or 'scontrol does not tell its state'}", stacklevel=2)
        return
    if state[1] != "RUNNING":  # it is cancelled, or Slurm ends it for good
        return
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: None)  # Slurm ends what it queues again: that is no news
    if (said := _scontrol("requeue", job)).returncode:
        warnings.warn(f"{again}: {said.stderr.strip()}", stacklevel=2)
    else:
        print(f"Slurm will run job {job} again, and it goes on from here", flush=True)


def _scontrol(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["scontrol", *words], capture_output=True, text=True, timeout=60)


def _ranks() -> list[psutil.Process]:
    """The processes of ranks that this one has started (`modelwright.launch`)."""
    import psutil

    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):  # it is ending
            if "modelwright.rank" in child.cmdline():
                found.append(child)
    return found


def _let_end(ranks: list[psutil.Process]) -> None:
    """Ask these processes to end and wait until they have. Who started them still finds out how they ended."""
    deadline = None
    for rank in ranks:
        rank.terminate()
    while (left := [rank for rank in ranks if not _ended(rank)]) and (deadline is None or time.monotonic() < deadline):
        if len(left) < len(ranks) and deadline is None:
            deadline = time.monotonic() + PATIENCE
        time.sleep(0.02)


def _ended(rank: psutil.Process) -> bool:
    import psutil

    try:
        return bool(rank.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
