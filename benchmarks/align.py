"""One step of DPO and one of GRPO: the stage `align` against TRL's trainers, on the same model shape, tokenizer and texts.

    OMP_NUM_THREADS=1 python benchmarks/align.py            # needs pip install trl
    OMP_NUM_THREADS=1 python benchmarks/align.py --trl OTHER/bin/python

One thread, FP32. Each side is a process of its own and a whole training, as one starts it; they take turns, a few steps at a
time, so that a noisy machine disturbs both. DPO: pairs of about 40 + 40 tokens, 8 an update, the reference's log-probabilities
computed once before. GRPO: 8 prompts of 4 replies each, 32 new tokens. The ratio is the median of the turns' ratios of steps a
CPU-second; the exit code is 1 if either is below 1.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

METHODS = ("dpo", "grpo")
WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "small", "large", "red", "green", "house", "tree", "river"]
HERE = Path(__file__).parent


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("methods", nargs="*", default=METHODS, help="dpo, grpo; both by default")
    ask.add_argument("--trl", default=sys.executable, help="the Python that has TRL; this one by default")
    ask.add_argument("--turns", type=int, default=9, help="turns of each side")
    ask.add_argument("--steps", type=int, default=5, help="steps a turn")
    say = ask.parse_args()
    below = False
    for method in say.methods:
        ours, theirs = measured(method, say.trl, say.turns, say.steps)
        ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        each = f"Modelwright {1e3 / statistics.median(ours):.0f} ms and TRL {1e3 / statistics.median(theirs):.0f} ms of one core a step"
        print(f"{method:>5}: {each}; ratio {ratio:.2f}", flush=True)
        below |= ratio < 1
    sys.exit(below)


def measured(method: str, trl: str, turns: int, steps: int) -> tuple[list[float], list[float]]:
    """Steps a CPU-second of Modelwright, and of TRL, turn by turn."""
    with tempfile.TemporaryDirectory() as folder:
        texts(Path(folder))
        given = [folder, method, str(turns), str(steps)]
        sides = []
        for python, script in ((sys.executable, "_align_modelwright.py"), (trl, "_align_trl.py")):
            log = (Path(folder) / f"{script}.log").open("w")
            sides.append(
                subprocess.Popen(
                    [python, "-W", "ignore", str(HERE / script), *given],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                )
            )
            if len(sides) == 1 and sides[0].stdout.readline() != "ready\n":  # it makes the tokenizer that the other reads
                sys.exit(f"Modelwright's side failed:\n{(Path(folder) / f'{script}.log').read_text()[-3000:]}")
        rates: tuple[list[float], list[float]] = ([], [])
        for turn in range(turns + 1):
            for side, found in zip(sides, rates, strict=True):
                side.stdin.write("go\n")
                side.stdin.flush()
                line = side.stdout.readline()
                while line and not line.startswith("rate "):  # what a trainer prints by itself
                    line = side.stdout.readline()
                if not line:
                    sys.exit(f"{side.args[3]} failed:\n{(Path(folder) / (Path(side.args[3]).name + '.log')).read_text()[-3000:]}")
                if turn:  # the first one warms up
                    found.append(float(line.split()[1]))
        for side in sides:
            side.kill()
        return rates


def texts(folder: Path) -> None:
    """Prompts of 30 to 50 words, and two replies to each."""
    draw = random.Random(1)

    def some(least: int, most: int) -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(least, most)))

    rows = [{"prompt": some(30, 50), "chosen": " " + some(20, 60), "rejected": " " + some(20, 60)} for _ in range(256)]
    (folder / "texts.json").write_text(json.dumps(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
