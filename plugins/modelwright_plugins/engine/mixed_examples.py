"""Examples drawn from several sources in proportions that may change on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from modelwright.errors import ModelwrightError
from modelwright_plugins.engine.blend import LEAST, Leg, drawn_from
from modelwright_plugins.engine.packing import packed
from modelwright_plugins.mixture import Domain, Material, Mixture, Phase
from modelwright_plugins.mixture.weights import Proportional

if TYPE_CHECKING:
    from modelwright_plugins.engine.example_batches import ExampleBatches

Numbers = NDArray[np.int64]
NAMELESS = "examples"  # those that tell no source


@dataclass(frozen=True)
class Draws:
    """Which example, or sequence of examples, each draw is: of each source in a random order each epoch, and of the sources that which is
    farthest behind its share of the leg so far."""

    sources: Mapping[str, Numbers]  # the examples of each, or the sequences that they are packed into
    legs: tuple[Leg, ...]
    seed: int
    _laid: list[Numbers] = field(default_factory=list)  # [draws] as far as they were asked for

    def numbers(self, end: int) -> Numbers:
        """[end or more] of the first so many draws."""
        if not self._laid or len(self._laid[0]) < end:
            self._laid[:] = [self._numbers(max(LEAST, 2 * end))]
        return self._laid[0]

    def _numbers(self, end: int) -> Numbers:
        names = [*self.sources]
        which, own = drawn_from(self.legs, names, end)
        found = np.empty(len(which), np.int64)
        for place, name in enumerate(names):
            members, mine = self.sources[name], own[which == place]
            for epoch in range(int(mine.max(initial=-1)) // len(members) + 1):
                order = members[np.random.default_rng([self.seed, place, epoch, 2]).permutation(len(members))]
                here = np.flatnonzero(which == place)[mine // len(members) == epoch]
                found[here] = order[own[here] % len(members)]
        return found

    def table(self, draws: int, what: str = "examples") -> list[str]:
        """How often so many draws read each source, a line each, for people. `what`: is drawn."""
        first = max(map(len, self.sources))
        drawn = np.bincount(drawn_from(self.legs, [*self.sources], draws)[0][:draws], minlength=len(self.sources))
        return [
            f"  {name:{first}}  {len(members):10,} {what}  {count / draws:6.1%} of draws  {count / len(members):8.2f} epochs"
            for (name, members), count in zip(self.sources.items(), drawn.tolist(), strict=True)
        ]


def mixed(batches: ExampleBatches, mixture: Mixture, *, draws: int, tokenizer: Path, work: Path) -> ExampleBatches:
    """The batches, drawn as the mixture says: its domains are the sources that examples tell (`source`), its tokens are examples (Raffel et
    al. 2020, arXiv:1910.10683, section 3.5.2), or the sequences they are packed into, each of one source. `draws`: of the whole training.

    ModelwrightError: the mixture names other sources than there are."""
    told = np.array([str(line.get("source") or NAMELESS) for line in batches.examples.lines()])
    names = [str(name) for name in dict.fromkeys(told.tolist())]
    if len(names) == 1 and type(mixture) is Proportional:
        return batches
    units = {name: np.flatnonzero(told == name) for name in names}
    if batches.sequences is not None:
        batches, units = _by_source(batches, units)
    domains = {name: Domain(batches.examples.folder / batches.examples.part, *[len(own)] * 3) for name, own in units.items()}
    material = Material(domains, draws, batches.examples.folder, tokenizer, batches.seed, work)
    legs = tuple(_legs(mixture.plan(material), draws))
    read = {name for leg in legs for name, weight in leg.weights.items() if weight}
    return replace(batches, draws=Draws({name: own for name, own in units.items() if name in read}, legs, batches.seed))


def _legs(phases: Sequence[Phase], draws: int) -> list[Leg]:
    ends = np.rint(np.cumsum([phase.share for phase in phases]) * draws).astype(int)
    sizes = np.diff(np.concatenate([[0], ends]))
    return [
        Leg(int(size), {name: weight for name, weight in phase.weights.items() if weight > 0})
        for size, phase in zip(sizes, phases, strict=True)
    ]


def _by_source(batches: ExampleBatches, units: Mapping[str, Numbers]) -> tuple[ExampleBatches, dict[str, Numbers]]:
    """Each source's examples packed by themselves."""
    sequences: list[list[int]] = []
    found = {}
    for name, examples in units.items():
        rows = np.concatenate([np.array(batches.examples.rows_of(int(example)), np.int64) for example in examples])
        own = packed(batches.lengths[rows], batches.length)
        if not own:
            raise ModelwrightError(f"{batches.examples.folder}: the examples of source {name} are empty")
        found[name] = np.arange(len(sequences), len(sequences) + len(own))
        sequences += [[int(row) for row in rows[each]] for each in own]
    return replace(batches, sequences=sequences), found
