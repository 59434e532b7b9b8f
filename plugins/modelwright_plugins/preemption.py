"""Preemption: a run that SIGTERM ends is stopped, not failed, and asks Slurm for another turn.

A job that ends by itself is done for Slurm, whatever it has left to do, so it has to ask. The job's command then is run again, and goes
on where it was: `modelwright run … run.dir=RUN` does that in the folder of the same run, as `modelwright resume RUN` does.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import warnings


class Preempted(KeyboardInterrupt):
    """SIGTERM, where Ctrl-C is a KeyboardInterrupt."""

    def __str__(self) -> str:
        return "SIGTERM"


def notice() -> None:
    """From here on SIGTERM raises Preempted, where the command line had it raise KeyboardInterrupt."""

    def heard(*_: object) -> None:
        raise Preempted

    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.default_int_handler:
        signal.signal(signal.SIGTERM, heard)


def ask_again(error: BaseException | None) -> None:
    """Ask Slurm to put this job in its queue again, if it was SIGTERM that ended the run. A job that was cancelled is not put back."""
    job = os.environ.get("SLURM_JOB_ID")
    if not isinstance(error, Preempted) or not job or not shutil.which("scontrol"):
        return
    state = subprocess.run(["squeue", "--noheader", "--jobs", job, "--format=%T"], capture_output=True, text=True, timeout=60)
    if state.stdout.strip() != "RUNNING":  # it is cancelled, or Slurm ends it for good
        return
    said = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, timeout=60)
    if said.returncode:
        warnings.warn(f"Slurm will not run job {job} again: {said.stderr.strip()}", stacklevel=2)
    else:
        print(f"Slurm will run job {job} again, and it goes on from here", flush=True)
