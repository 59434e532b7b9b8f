"""What an evaluator promises."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modelwright.testing import Conformance
from modelwright_plugins.conformance.process import elsewhere
from modelwright_plugins.conformance.promise import hold, promised

SEED = 7
KINDS = ("conversation", "preference", "ranking", "unpaired", "reward", "steps", "prompt")


@dataclass(frozen=True, kw_only=True)
class Evaluators(Conformance):
    """An evaluator: it gives scores with intervals, the same ones for the same model, and writes only where it is told to."""

    example = "modelwright_plugins.conformance.examples.evaluator"

    def check(self, component: Any, folder: Path) -> None:
        with promised(component, f"needs are kinds of examples, of {', '.join(KINDS)}"):
            hold(isinstance(component.needs, tuple), f"they are {component.needs!r}, and no tuple")
            hold(not (unknown := {*component.needs} - {*KINDS}), f"there is no kind {sorted(unknown)}")
        for kind in component.needs or ("",):
            self._judged(component, kind, folder / (kind or "none"))

    def _judged(self, component: Any, kind: str, folder: Path) -> None:
        of = f" of {kind} examples" if kind else ""
        with promised(component, f"it gives scores{of}, each a number within its 95 % interval, with a name of its own"):
            found = scored(component, kind, folder / "one")
            hold(bool(found), "it gives none")
            names = [score["name"] for score in found]
            hold(len({*names}) == len(names), f"their names are {names}")
            hold(not (odd := [name for name in names if not re.fullmatch(r"[\w./-]+", name)]), f"{odd} are no words that a tracker takes")
            for score in found:
                hold(score["low"] <= score["value"] <= score["high"], f"{score['name']} is {score}")
        with promised(component, "the same model and seed give the same scores, in another process too"):
            hold(scored(component, kind, folder / "two") == found, "the second time there were others")
            hold(elsewhere(scored, component, kind, folder / "three", folder=folder / "elsewhere") == found, "there, there were others")
        with promised(component, "it writes into its own folder alone, and only where `model.first`"):
            written = sorted(file.name for file in (folder / "elsewhere").iterdir() if file.name != "call.pickle")
            hold(not written, f"it wrote {', '.join(written)} where it was started")
            hold(scored(component, kind, folder / "other", first=False) == found, "another rank has other scores")
            hold(not (folder / "other").exists(), "another rank wrote")


def scored(component: Any, kind: str, out: Path, first: bool = True) -> list[dict[str, Any]]:
    """Its scores of a small model, on held-out examples of this kind, as plain values."""
    from modelwright_plugins.conformance.judge import judge

    model = judge(kind, out.with_name(f"{out.name} model"), first=first, shards=component.reads_shards)
    if first:
        out.mkdir(parents=True)
    return [asdict(score) for score in component.evaluate(model, out, seed=SEED)]
