"""Plan: what a run would be, without running it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from modelwright.assemble import Bound, assemble, problems
from modelwright.cli import complain
from modelwright.component import Command
from modelwright.hooks import discover
from modelwright.schema import RESERVED
from modelwright_plugins.command.run import only_overrides
from modelwright_plugins.explain import composed
from modelwright_plugins.pipeline import phases
from modelwright_plugins.stage.wanted import there, unwanted


@dataclass(frozen=True, kw_only=True)
class Plan(Command):
    """Print what a run would be, without running it: modelwright plan recipe=NAME [key=value …].

    Its stages, what each uses, takes and makes, parameters, memory, FLOPs, and every problem that would stop it; of a pipeline, all phases.
    """

    def run(self, arguments: list[str]) -> int:
        found = forecast(only_overrides(arguments))
        complain(found)
        return 2 if found else 0


def forecast(overrides: Sequence[str]) -> list[str]:
    """Print the stages, what each uses, takes and makes, and what it would cost; return the problems found."""
    if pipeline := phases.asked(overrides):
        from modelwright_plugins.command import pipelines

        return pipelines.plan(pipeline, phases.spelled(overrides), told)
    config = composed(overrides)
    bound = assemble(config, discover().registry)
    found = problems(bound, config) + unwanted(bound, there(config["from"]))[0]
    told(config, bound, found)
    return found


def told(config: Mapping[str, Any], bound: Sequence[Bound], found: Sequence[str], makers: Mapping[str, str] = MappingProxyType({})) -> None:
    """Print these stages; what they would cost, too, unless problems were found. `makers`: artifact -> the phase before that makes it."""
    for number, b in enumerate(bound, 1):
        print(f"[{number}/{len(bound)}] {b.name}")
        for kind in b.stage.uses:
            node = config.get(kind, {})
            many = discover().registry.kinds[kind].many
            print(f"  {kind:<14}{', '.join(node) or '-' if many else node[RESERVED]}")
        takes = [f"{k.name} (from {maker or makers.get(k.name) or config['from'] or 'nowhere'})" for k, maker in b.producers.items()]
        print(f"  {'takes':<14}{', '.join(takes) or '-'}\n  {'makes':<14}{', '.join(k.name for k in b.stage.makes)}")
        if not found:  # a layout that can't be can't be counted
            for label, value in b.stage.forecast(b.parts).items():
                print(f"  {label:<32}{value}")
