"""How long the command line takes to answer, beside a bare Python that starts: `python benchmarks/startup.py`."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 9
CASES = {
    "python -c pass": ["-c", "pass"],
    "modelwright --help": ["-m", "modelwright", "--help"],
    "modelwright list": ["-m", "modelwright", "list"],
    "modelwright show optimizer/muon": ["-m", "modelwright", "show", "optimizer/muon"],
}


def main() -> None:
    seconds: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(ROUNDS):  # interleaved, so that a noisy machine disturbs all alike
        for name, words in CASES.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - began)
    bare = statistics.median(seconds["python -c pass"])
    for name, found in seconds.items():
        median = statistics.median(found)
        print(f"{name:<34}{median:.3f} s   {median / bare:5.1f} x bare Python   (fastest {min(found):.3f}, slowest {max(found):.3f})")


if __name__ == "__main__":
    main()
