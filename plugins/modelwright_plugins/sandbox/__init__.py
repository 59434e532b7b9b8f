"""Running programs that nobody has read: in namespaces of their own, without network, files, environment or other processes.

Two floors, the strongest that works: bubblewrap, then namespaces set up by ourselves; where neither works, programs are refused.
On both, the kernel filters system calls (seccomp) and limits memory, files and time.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from modelwright_plugins.sandbox._process import Limits, Outcome, Started
from modelwright_plugins.sandbox._wrapped import NoSandbox, wrapping

__all__ = ["Limits", "NoSandbox", "Outcome", "cores", "run", "run_all", "wrapping"]


def run(code: str, *, stdin: str = "", files: Mapping[str, str] | None = None, limits: Limits | None = None) -> Outcome:
    """Run a Python program (this interpreter, standard library only) and say how it ended.

    `files` (name: text) lie in its folder, which is gone afterwards. NoSandbox: there is nothing here to run it in.
    """
    return Started(code, stdin=stdin, files=files, limits=limits or Limits()).outcome()


def run_all(codes: Sequence[str], *, limits: Limits | None = None, at_once: int | None = None) -> list[Outcome]:
    """Run many, as many at once as there are processor cores, unless `at_once` says how many; outcomes in their order."""
    wrapping()  # tried once, not by each thread
    with ThreadPoolExecutor(at_once or cores()) as pool:
        return list(pool.map(lambda code: run(code, limits=limits), codes))


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0))
