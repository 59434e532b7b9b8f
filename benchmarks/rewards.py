"""The two recipes of learning from rewards: by how much the reward rises, and how far the model goes from its first weights.
Run: python benchmarks/rewards.py [recipe …] [--seeds 1,2] (two runs at a time, some minutes; it fails where a bar is not met)."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

WINDOW = 8  # updates that a moving average is over
BARS = {
    "grpo-arithmetic": (0.06, 0.2),
    "ppo-rules": (0.15, 0.15),
}  # the least rise of the reward's moving average; the most that of the divergence reaches (nats a token from the first weights, k3)


@dataclass(frozen=True)
class Found:
    first: float  # moving average of the reward, of the first updates
    last: float  # and of the last
    kl: float  # the greatest moving average of the divergence
    peak: float  # the greatest divergence of one update
    cpu: float  # seconds of both runs of the recipe, with all that begins and ends them

    def short_of(self, rise: float, most: float) -> Iterator[str]:
        if self.last - self.first < rise:
            yield f"the reward rises by {self.last - self.first:.3f}; it is to rise by {rise}"
        if not self.kl <= most:
            yield f"the model goes {self.kl:.3f} nats a token from its first weights; it may go {most}"


def run(recipe: str, seed: int, folder: Path) -> Found:
    out, log = folder / f"{recipe}-{seed}", folder / f"{recipe}-{seed}.log"
    words = [sys.executable, "-m", "modelwright", "run", f"recipe=align/{recipe}", f"seed={seed}", f"run.dir={out}"]
    words += ["run.reuse=false"]  # or it would tell again what an earlier run of the same settings had found
    with log.open("w") as told:
        begun = subprocess.Popen(words, stdout=told, stderr=told, cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"})
        _, status, used = os.wait4(begun.pid, 0)  # its own seconds and its children's, which run beside another run's
    begun.returncode = os.waitstatus_to_exitcode(status)
    if begun.returncode:
        raise SystemExit(log.read_text()[-4000:])
    steps = [json.loads(line) for line in (out / "rewarded" / "align" / "metrics.jsonl").read_text().splitlines()]

    def averages(name: str) -> list[float]:
        return [sum(step[name] for step in steps[n : n + WINDOW]) / WINDOW for n in range(len(steps) - WINDOW + 1)]

    reward = averages("reward")
    return Found(reward[0], reward[-1], max(averages("kl")), max(step["kl"] for step in steps), used.ru_utime + used.ru_stime)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recipes", nargs="*", default=[*BARS])
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[1, 2])
    asked = parser.parse_args()
    failed, runs = [], [*product(asked.recipes, asked.seeds)]
    print(f"{'recipe':18} {'seed':>4} {'reward at first':>16} {'at last':>8} {'kl, most':>9} {'of one update':>14} {'cpu s':>6}")
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as two:
        for (recipe, seed), found in zip(runs, two.map(lambda one: run(*one, Path(folder)), runs), strict=True):
            print(
                f"{recipe:18} {seed:4} {found.first:16.3f} {found.last:8.3f} {found.kl:9.3f} {found.peak:14.3f} {found.cpu:6.0f}",
                flush=True,
            )
            failed += [f"{recipe}, seed {seed}: {line}" for line in found.short_of(*BARS[recipe])]
    if failed:
        raise SystemExit("\n".join(failed))


if __name__ == "__main__":
    main()
