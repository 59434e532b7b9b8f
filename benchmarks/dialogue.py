"""The bars of the dialogue story (recipe=dialogue/order-assistant): whether SFT and preference tuning reach them, bar by bar.

    python benchmarks/dialogue.py FOLDER          # of a finished run
    python benchmarks/dialogue.py                 # runs it first, in some ten minutes, run.reuse=false
    python benchmarks/dialogue.py --also {base,unmasked,masked,preferences}.evaluator.order_dialogues.draw=2    # with these words

It fails where a bar is not held."""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from modelwright_plugins.evaluator._order_judged import Hits, Verdict, hits

BEFORE, AFTER = "masked", "preferences"  # phases: SFT, and preference tuning
EVALUATOR = "order_dialogues"
BARS = {
    "combinations/correctness": 0.97,
    "combinations/appropriateness": 0.97,
    "phrasings/correctness": 0.92,
    "phrasings/appropriateness": 0.92,
    "names/exact_confirmation": 0.85,
}  # the least after preference tuning
LOST = 0.01  # no score may lose as much by it
DIALOGUES = 500  # of each part, at least
MINUTES = 20  # from nothing, at most
SCORES = [f"{part}/{field.name}" for part in ("combinations", "phrasings", "names") for field in fields(Hits)]


@dataclass(frozen=True)
class Bar:
    what: str
    found: str
    holds: bool


def bars(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Bar]:
    """`before`, `after`: score by name, as evaluation.json has it."""
    for name, least in BARS.items():
        score = after[name]
        if score["count"] < DIALOGUES:
            yield Bar(f"{name} is of {DIALOGUES} dialogues or more", f"{score['count']}", False)
        close = ", the bar among them" if score["low"] < least <= score["high"] else ""
        found = f"{score['value']:.1%} ({score['low']:.1%} to {score['high']:.1%}{close})"
        yield Bar(f"{name} is {least:.0%} or more", found, score["value"] >= least)
    weakest = min(BARS, key=lambda name: before[name]["value"])
    for name in sorted(SCORES, key=lambda name: name != weakest):
        change = after[name]["value"] - before[name]["value"]
        found = f"{before[name]['value']:.1%} -> {after[name]['value']:.1%}"
        if name == weakest:
            yield Bar(f"{name}, the weakest of these before preference tuning, gains by it", found, change > 0)
        else:
            yield Bar(f"{name} loses less than one point", found, change > -LOST + 1e-9)


def scores(folder: Path, phase: str) -> dict[str, Any]:
    run = folder / phase
    try:
        manifest = json.loads((run / "manifest.json").read_text())
        if manifest["status"] != "finished":
            raise SystemExit(f"phase {phase} of {folder} is {manifest['status']}; modelwright resume {folder} goes on with it")
        told = json.loads((run / "evaluate" / "evaluation.json").read_text())["scores"]
    except FileNotFoundError as error:
        raise SystemExit(f"{folder} is no finished run of recipe=dialogue/order-assistant: {error.filename} is missing") from None
    return {score["name"]: score for score in told if score["evaluator"] == EVALUATOR}


def won_and_lost(folder: Path, name: str) -> tuple[int, int]:
    """Dialogues that are right after preference tuning alone, and before it alone."""
    part, kind = name.split("/")
    found = []
    for phase in (BEFORE, AFTER):
        with (folder / phase / "evaluate" / EVALUATOR / "replies.jsonl").open() as file:
            lines = [line for line in map(json.loads, file) if line["part"] == part]
        right = getattr(hits([Verdict(**{field.name: line[field.name] for field in fields(Verdict)}) for line in lines]), kind)
        found.append(dict(zip((line["dialogue"] for line in lines[::2]), right, strict=True)))
    before, after = found
    if before.keys() != after.keys():
        raise SystemExit("the two phases were judged on other dialogues")
    return sum(after[n] and not before[n] for n in after), sum(before[n] and not after[n] for n in after)


def chance(won: int, lost: int) -> float:
    """That as many or more of so many dialogues fall to one side where neither is better: the sign test, both sides."""
    count, most = won + lost, max(won, lost)
    return min(1.0, 2 * sum(math.comb(count, k) for k in range(most, count + 1)) / 2**count)


def run(folder: Path, words: list[str]) -> float:
    """Minutes."""
    command = [
        sys.executable,
        "-m",
        "modelwright",
        "run",
        "recipe=dialogue/order-assistant",
        f"run.dir={folder}",
        "run.reuse=false",
        *words,
    ]
    began = time.monotonic()
    if subprocess.run(command).returncode:
        raise SystemExit(f"the recipe did not come to its end, in {folder}")
    return (time.monotonic() - began) / 60


def timed(folder: Path, minutes: float | None) -> Bar:
    """`minutes`: that it took here; None: its stages say, of those that were taken from another run what they had taken there."""
    phases = [phase["name"] for phase in json.loads((folder / "pipeline.json").read_text())["phases"]]
    stages = [stage for name in phases for stage in json.loads((folder / name / "manifest.json").read_text())["stages"].values()]
    reused = sum("reused_from" in stage for stage in stages)
    spent = sum(stage["seconds"] for stage in stages) / 60 if minutes is None else minutes
    told = f"{spent:.1f} minutes" + (f" in stages, {reused} of them another run's" if minutes is None else "")
    return Bar(f"from nothing in less than {MINUTES} minutes", told, spent < MINUTES)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--also", nargs="*", default=[], help="words for modelwright run, where there is no folder")
    asked = parser.parse_args()
    if asked.folder and asked.also:
        parser.error(f"{asked.folder} is run already: --also has words for a run that is made")
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="order-assistant-")) / "run"
    minutes = None if asked.folder else run(folder, asked.also)
    found = [*bars(scores(folder, BEFORE), scores(folder, AFTER)), timed(folder, minutes)]
    for bar in found:
        print(f"{'held    ' if bar.holds else 'NOT HELD'}  {bar.what}: {bar.found}")
    print("\ndialogue by dialogue, right after preference tuning alone, before it alone, and how likely that is by chance (sign test):")
    for name in BARS:
        won, lost = won_and_lost(folder, name)
        print(f"  {name:30} {won:4} {lost:4}   p {chance(won, lost):.3f}")
    print(f"\n{folder}")
    if failed := [bar for bar in found if not bar.holds]:
        raise SystemExit(f"{len(failed)} of {len(found)} bars are not held")


if __name__ == "__main__":
    main()
