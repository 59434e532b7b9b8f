"""The two recipes of learning from rewards, each with two seeds: by how much the reward rises, and how far the model goes from its first
weights. Run: python benchmarks/rewards.py [recipe …] (some minutes; it fails where a bar is not met)."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

WINDOW = 8  # updates that the moving average is over
BARS = {
    "grpo-arithmetic": (0.06, 0.3),
    "ppo-rules": (0.2, 0.3),
}  # the least rise of the reward; the most nats a token from the first weights


def run(recipe: str, seed: int, folder: Path) -> tuple[float, float, float]:
    """(moving average of the reward at first and at last, the greatest moving average of the divergence)"""
    out = folder / f"{recipe}-{seed}"
    words = [sys.executable, "-m", "modelwright", "run", f"recipe=align/{recipe}", f"seed={seed}", f"run.dir={out}"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=folder)
    if done.returncode:
        raise SystemExit(done.stdout[-2000:] + done.stderr[-4000:])
    steps = [json.loads(line) for line in (out / "rewarded" / "align" / "metrics.jsonl").read_text().splitlines()]

    def averages(name: str) -> list[float]:
        return [sum(step[name] for step in steps[n : n + WINDOW]) / WINDOW for n in range(len(steps) - WINDOW + 1)]

    reward = averages("reward")
    return reward[0], reward[-1], max(averages("kl"))


def main() -> None:
    failed = []
    print(f"{'recipe':18} {'seed':>4} {'reward at first':>16} {'at last':>8} {'kl, most':>9}")
    with tempfile.TemporaryDirectory() as folder:
        for recipe in sys.argv[1:] or BARS:
            for seed in (1, 2):
                first, last, kl = run(recipe, seed, Path(folder))
                print(f"{recipe:18} {seed:4} {first:16.3f} {last:8.3f} {kl:9.3f}", flush=True)
                rise, most = BARS[recipe]
                if last - first < rise or kl > most:
                    failed.append(f"{recipe}, seed {seed}: the reward is to rise by {rise}, with at most {most} nats a token")
    if failed:
        raise SystemExit("\n".join(failed))


if __name__ == "__main__":
    main()
