"""`modelwright list`: what there is to pick from. It imports no component and no Hydra."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

from modelwright.component import Command
from modelwright.errors import ModelwrightError, nearest
from modelwright.hooks import discover
from modelwright_plugins.catalogue import presets, recipes
from modelwright_plugins.pipeline.phases import is_pipeline
from modelwright_plugins.source_code import summary


@dataclass(frozen=True, kw_only=True)
class List(Command):
    """Print every component, preset and recipe: modelwright list [kind]."""

    def run(self, arguments: list[str]) -> int:
        for line in listing(arguments[0] if arguments else None):
            print(line)
        return 0


def listing(kind: str | None) -> Iterator[str]:
    """The lines of `modelwright list [kind]`."""
    registry = discover().registry
    known = ["recipe", *registry.picked, "stage", "command", "conformance"]
    if kind is not None and kind not in known:
        raise ModelwrightError(f"no kind named {kind!r}{nearest(kind, known)}")
    for k in [kind] if kind else known[:-1]:  # what a kind promises is for who writes a plugin: modelwright list conformance
        if k == "recipe":
            rows = [(f"{n} (pipeline)" if is_pipeline(path) else n, about(path), "") for n, path in recipes().items()]
            yield "recipe  What to run: modelwright run recipe=NAME"
        else:
            interface = registry.kinds[k]
            rows = [(n, summary(registry.get(k, n)), registry.get(k, n).plugin) for n in registry.names(k)]
            rows += [(f"{n} (preset)", about(path), "") for n, path in presets(k).items()]
            yield f"{k}  {summary(interface)}" + (f"  [default: {interface.default}]" if interface.default else "")
        width = max((len(n) for n, _, _ in rows), default=0)
        for name, said, plugin in rows:
            yield f"  {name:<{width}}  {said}" + (f"  ({plugin})" if plugin else "")
    yield from (f"broken plugin {name}: {why}" for name, why in sorted(registry.broken.items()))


def about(path: Path) -> str:
    """What a YAML file says of itself: the first sentence of its comments, or so much of it as a line has."""
    lines = (line.lstrip("# ") for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#"))
    told = " ".join(line for line in lines if line and not line.startswith("@"))
    end = re.search(r"(?<!et al)(?<!\b[a-z])[.:;](?= [A-Z])", told)
    return shorten(told[: end.start() + 1] if end else told, 150, placeholder=" …")
