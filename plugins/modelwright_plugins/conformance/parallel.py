"""What a parallel layout promises."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from modelwright.testing import Conformance
from modelwright_plugins.conformance.process import elsewhere, heavy_modules
from modelwright_plugins.conformance.promise import close, hold, promised
from modelwright_plugins.conformance.settings import unknown_settings
from modelwright_plugins.conformance.training import Case, built_in, losses, small_decoder

ALONE = {
    "data": None, "tensor": 1, "pipeline": 1, "virtual": None, "context": 1, "expert": 1, "expert_tensor": None,
    "distributed_optimizer": False, "fully_sharded": False,
}  # fmt: skip
LAYOUTS: dict[str, dict[str, Any]] = {
    "tensor=2": {"tensor": 2},
    "pipeline=2": {"pipeline": 2},
    "data=2": {"data": 2},
    "data=2 distributed_optimizer=true": {"data": 2, "distributed_optimizer": True},
}
FITS = {"global_batch": 8, "micro_batch": 2, "sequence_length": 32, "world": None}


@dataclass(frozen=True, kw_only=True)
class Parallels(Conformance):
    """A parallel layout: it says what does not divide before anything starts, and on two ranks it learns what one rank learns."""

    example = "modelwright_plugins.conformance.examples.parallel"

    def check(self, component: Any, folder: Path) -> None:
        off = {name: value for name, value in ALONE.items() if name in {field.name for field in fields(component)}}
        alone = replace(component, **off)
        layouts = {name: replace(component, **{**off, **changes}) for name, changes in LAYOUTS.items()}
        with promised(component, "ranks(None) is how many ranks data, tensor and pipeline make, from 1 up"):
            hold(isinstance(ranks := component.ranks(None), int) and ranks >= 1, f"it is {ranks!r}")
            hold((ranks := alone.ranks(None)) == 1, f"of no parallelism at all it is {ranks}")
            for name, layout in layouts.items():
                hold((ranks := layout.ranks(None)) == 2, f"of {name} it is {ranks}")
            hold((ranks := replace(component, **{**off, "tensor": 2}).ranks(4)) == 4, f"of tensor=2 with 4 started it is {ranks}")
        with promised(component, "problems tells in a line each what does not divide, and nothing when all does"):
            for name, layout in {"1 rank": alone, **layouts}.items():
                hold(not (said := layout.problems(small_decoder(), **FITS)), f"{name} divides all, and it says {said}")
            odd = small_decoder(layers=3, width=48, heads=3, kv_heads=None)
            for name, layout in (("tensor=2", layouts["tensor=2"]), ("pipeline=2", layouts["pipeline=2"])):
                hold(said := layout.problems(odd, **FITS), f"it says nothing of {name} with 3 heads and 3 layers")
                hold(all(isinstance(line, str) and "\n" not in line for line in said), f"{said} are not lines")
            hold(alone.problems(small_decoder(), **{**FITS, "micro_batch": 3}), "it says nothing of a batch of 8 in micro-batches of 3")
        with promised(component, "problems is arithmetic: it imports nothing heavy"):
            hold(not (heavy := elsewhere(_problems, component, folder=folder / "problems")), f"it imports {', '.join(heavy)}")
        with promised(component, "settings are fields of Megatron's TransformerConfig"):
            hold(not (unknown := unknown_settings(component, folder, ["TransformerConfig"])), f"there is no {', '.join(unknown)}")
        with promised(component, "every layout learns what one rank learns: losses of 4 steps within 1e-5"):
            one, *others = losses(
                [Case(parts={"parallel": layout}) for layout in (built_in()["parallel"], alone, *layouts.values())], folder, ranks=2
            )
            for name, other in zip(("no parallelism", *layouts), others, strict=True):
                hold(close(one, other, 1e-5), f"{name}: losses are {other}, and without this component {one}")


def _problems(component: Any) -> list[str]:
    component.problems(small_decoder(), **FITS)
    component.ranks(None)
    return heavy_modules()
