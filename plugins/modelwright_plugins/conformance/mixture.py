"""What a mixture promises."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from modelwright.testing import Conformance
from modelwright_plugins.conformance.process import elsewhere, heavy_modules
from modelwright_plugins.conformance.promise import hold, promised

VOCABULARY = 211
DOMAINS = {"general": 120, "code": 30, "math": 7}  # documents, of 100 tokens


@dataclass(frozen=True, kw_only=True)
class Mixtures(Conformance):
    """A mixture, of the domains general, code and math: shares of each in every phase, by what it is given alone."""

    example = "modelwright_plugins.conformance.examples.mixture"

    def check(self, component: Any, folder: Path) -> None:
        with promised(component, "problems gives lines, and imports nothing heavy"):
            problems, heavy = elsewhere(_problems, component, folder=folder / "problems")
            hold(isinstance(problems, list) and all(isinstance(x, str) and "\n" not in x for x in problems), f"it gives {problems!r}")
            hold(not heavy, f"it imports {', '.join(heavy)}")
        given = material(folder / "material")
        files = sorted(path.name for path in given.shards.iterdir())
        with promised(component, "weigh gives a share for every domain and nothing else; none is negative, and they sum to 1"):
            first = _asked(component, given, folder / "first")
            _are_shares(first["weights"], "they are")
        with promised(component, "plan gives phases with names of their own, with shares that sum to 1 and such weights"):
            hold(isinstance(first["phases"], list) and first["phases"], f"it gives {first['phases']!r}")
            names = [phase.name for phase in first["phases"]]
            hold(len({*names}) == len(names) and all(isinstance(name, str) and name for name in names), f"the names are {names}")
            shares = [phase.share for phase in first["phases"]]
            hold(all(share > 0 for share in shares) and math.isclose(math.fsum(shares), 1, rel_tol=1e-6), f"the shares are {shares}")
            for phase in first["phases"]:
                _are_shares(phase.weights, f"in phase {phase.name} they are")
        with promised(component, "weigh and plan depend on what they are given only, and leave files in its folder `work` alone"):
            hold(_asked(component, given, folder / "again") == first, "asked again, it gave others")
            found = sorted(path.name for path in given.shards.iterdir())
            hold(found == files, f"among the shards are {found}, and were {files}")


def material(folder: Path) -> Any:
    """Small domains, on disk as stage mix leaves them."""
    import numpy as np

    from modelwright_plugins.artifacts.shard_writer import ShardWriter
    from modelwright_plugins.mixture import Domain, Material

    shards, tokenizer = folder / "token_shards", folder / "tokenizer"
    shards.mkdir(parents=True)
    tokenizer.mkdir()
    random, domains = np.random.default_rng(0), {}
    for number, (name, documents) in enumerate(DOMAINS.items(), 1):
        with ShardWriter(shards / f"train_{name}", VOCABULARY) as out:
            for _ in range(documents):  # which count up in steps of their domain: there is something to learn
                out.write([*((int(random.integers(1, VOCABULARY)) + number * np.arange(99)) % (VOCABULARY - 1) + 1).tolist(), 0])
        domains[name] = Domain(shards / f"train_{name}", documents, 100 * documents, 400 * documents)
    (shards / "shards.json").write_text(json.dumps({"vocab_size": VOCABULARY, "end_of_document": 0}))
    return Material(domains, 20_000, shards, tokenizer, 3, folder)


def _asked(component: Any, given: Any, folder: Path) -> dict[str, Any]:
    folder.mkdir()
    if not component.trains:
        return _answers(component, given, folder)
    from modelwright_plugins.conformance.ranks import on_ranks

    answers: dict[str, Any] = on_ranks(_on_a_rank, 1, folder / "rank", groups=2, component=component, given=given, folder_=folder)[0]
    return answers


def _on_a_rank(rank: int, component: Any, given: Any, folder_: Path) -> dict[str, Any]:
    return _answers(component, given, folder_, on_rank=True)


def _answers(component: Any, given: Any, folder: Path, *, on_rank: bool = False) -> dict[str, Any]:
    from modelwright_plugins.conformance.ranks import joined

    found = {}
    for group, (what, ask) in enumerate((("weights", component.weigh), ("phases", component.plan))):
        if on_rank:
            joined(0, 1, group)
        (folder / what).mkdir()
        found[what] = ask(replace(given, work=folder / what))
    return found


def _are_shares(weights: Any, said: str) -> None:
    hold({*weights} == {*DOMAINS}, f"{said} for {', '.join(map(str, weights))}")
    values = [*weights.values()]
    hold(all(value >= 0 for value in values), f"{said} {dict(weights)}")
    hold(math.isclose(math.fsum(values), 1, rel_tol=1e-6), f"{said} {dict(weights)}")


def _problems(component: Any) -> tuple[list[str], list[str]]:
    return component.problems(), heavy_modules()
