"""Every phase of a pipeline composed and checked before the first one runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from modelwright import launch
from modelwright.assemble import Bound, assemble, problems
from modelwright.errors import ModelwrightError
from modelwright.hooks import discover
from modelwright_plugins.explain import blaming, explained
from modelwright_plugins.pipeline.phases import Phase, Pipeline
from modelwright_plugins.stage.wanted import There, there, unwanted


@dataclass(frozen=True, kw_only=True)
class Composed:
    """A phase that can be run."""

    phase: Phase
    config: dict[str, Any]  # frozen
    bound: list[Bound]

    @property
    def makes(self) -> set[str]:
        return {kind.name for b in self.bound for kind in b.stage.makes}


def compose(pipeline: Pipeline, folder: Path) -> list[Composed]:
    """The phases of a pipeline that is to run in `folder`. ModelwrightError, with the phase's name: one does not compose."""
    found = []
    for phase in pipeline.phases:
        try:
            config = _composed(phase, pipeline, folder.absolute())
            found.append(Composed(phase=phase, config=config, bound=assemble(config, discover().registry)))
        except ModelwrightError as e:
            raise ModelwrightError(f"phase {phase.name}: {e}", e.key) from e
    return found


def _composed(phase: Phase, pipeline: Pipeline, folder: Path) -> dict[str, Any]:
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from modelwright.compose import freeze, hydrated

    base = phase.builds_on
    earlier = str(folder / base) if base in pipeline.names() else base
    own: dict[str, str] = {}
    for word in reversed(phase.overrides):  # of two that set the same key, the last is said, and blamed
        own.setdefault(word.partition("=")[0], word)
    words = [*reversed(own.values()), f"run.dir='{folder / phase.name}'", *([f"from='{earlier}'"] if earlier else [])]
    try:
        config = hydrated(words)
    except (HydraException, OmegaConfBaseException, ValueError, yaml.YAMLError) as e:
        raise explained(e, words) from e
    if config.hydra.mode is not None and config.hydra.mode.name == "MULTIRUN":
        raise ModelwrightError("its recipe is a sweep, and a phase is one run; name a recipe of one run")
    with blaming(config.hydra, config):
        return freeze(config, config.hydra)


def troubles(phases: Sequence[Composed]) -> list[str]:
    """Everything that would stop one of the phases, a line each, before any has run: what earlier phases will make counts as there."""
    found, world = [], joined[1] if (joined := launch.world()) else None
    known = dict[str | None, There]()
    for each in phases:
        makers, outside = coming(each, phases)
        later = [replace(b, producers={k: p for k, p in b.producers.items() if p or k.name not in makers}) for b in each.bound]
        lines = problems(later, {**each.config, "from": outside})
        for b in each.bound if world and not lines else []:
            if (ranks := b.stage.ranks(b.parts)) not in {None, world}:
                lines.append(f"stage {b.name!r} needs {ranks} ranks, and {world} were started; set parallel.*, or start {ranks}")
        try:
            before = known[each.phase.builds_on] if each.phase.builds_on in known else there(outside)
        except ModelwrightError as e:  # there is no such run, which `problems` says too
            lines, before = [str(e)], {}
        wanting, known[each.phase.name] = unwanted(each.bound, before)
        lines += wanting
        found += [f"phase {each.phase.name}: {line}" for line in lines]
    return found


def coming(each: Composed, phases: Sequence[Composed]) -> tuple[dict[str, str], str | None]:
    """What the phases that this one goes back to make -> the phase that it is taken from, the nearest; and the run outside the pipeline
    that the first of them is from."""
    named = {other.phase.name: other for other in phases}
    makers, base = dict[str, str](), each.phase.builds_on
    while base in named:
        makers = dict.fromkeys(named[base].makes, base) | makers
        base = named[base].phase.builds_on
    return makers, base
