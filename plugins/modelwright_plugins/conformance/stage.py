"""What a stage promises."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.component import Artifact
from modelwright.errors import ModelwrightError
from modelwright.hooks import discover
from modelwright.schema import conform
from modelwright.testing import Conformance
from modelwright_plugins.conformance.process import elsewhere, heavy_modules
from modelwright_plugins.conformance.promise import hold, promised


@dataclass(frozen=True, kw_only=True)
class Stages(Conformance):
    """A stage: it declares kinds and artifacts that exist, and is quick to say what is wrong with a recipe."""

    example = "modelwright_plugins.conformance.examples.stage"

    def check(self, component: Any, folder: Path) -> None:
        with promised(component, "uses names kinds that there are"):
            known = discover().registry.kinds
            hold(isinstance(component.uses, tuple), f"it is {component.uses!r}, and no tuple")
            hold(not (unknown := [kind for kind in component.uses if kind not in known]), f"there is no kind {unknown}")
        for what in ("takes", "makes"):
            with promised(component, f"{what} has types of artifacts, each with the name of its file or folder"):
                found = getattr(component, what)
                hold(isinstance(found, tuple), f"it is {found!r}, and no tuple")
                for artifact in found:
                    hold(isinstance(artifact, type) and issubclass(artifact, Artifact), f"{artifact!r} is no type of Artifact")
                    name = getattr(artifact, "name", None)
                    hold(isinstance(name, str) and name and "/" not in name, f"the name of {artifact.__name__} is {name!r}")
        with promised(component, "what it makes has names of its own"):
            names = [artifact.name for artifact in component.makes]
            hold(len({*names}) == len(names), f"they are {names}")
        with promised(component, "problems gives lines, imports nothing heavy and writes nothing"):
            problems, heavy, written = elsewhere(_problems, component, folder=folder / "problems")
            hold(isinstance(problems, list), f"it gives {problems!r}")
            hold(all(isinstance(line, str) and "\n" not in line for line in problems), f"it gives {problems}")
            hold(not heavy, f"it imports {', '.join(heavy)}")
            hold(not written, f"it wrote {', '.join(written)}")
        with promised(component, "ranks is a number from 1 up, or None"):
            ranks = component.ranks(default_parts(component.uses))
            hold(ranks is None or (isinstance(ranks, int) and ranks >= 1), f"it is {ranks!r}")
        if not problems:
            with promised(component, "forecast gives label -> value, and runs and writes nothing"):
                forecast, written = elsewhere(_forecast, component, folder=folder / "forecast")
                hold(isinstance(forecast, dict) and all(isinstance(label, str) for label in forecast), f"it gives {forecast!r}")
                hold(not written, f"it wrote {', '.join(written)}")


def default_parts(kinds: tuple[str, ...]) -> dict[str, Any]:
    """A component of each kind: the default one, or else the first that needs no parameters; of a kind that takes a list, none."""
    registry = discover().registry
    found: dict[str, Any] = {}
    for kind in kinds:
        about = registry.kind(kind)
        if about.many:
            found[kind] = {}
            continue
        for name in [about.default] if about.default else registry.names(kind):
            try:
                found[kind] = conform({}, registry.load(kind, name), kind)
                break
            except ModelwrightError:
                continue
    return found


def _problems(component: Any) -> tuple[Any, list[str], list[str]]:
    return component.problems(default_parts(component.uses)), heavy_modules(), _files()


def _forecast(component: Any) -> tuple[Any, list[str]]:
    return component.forecast(default_parts(component.uses)), _files()


def _files() -> list[str]:
    return sorted(p.name for p in Path().iterdir() if p.name != "call.pickle")
