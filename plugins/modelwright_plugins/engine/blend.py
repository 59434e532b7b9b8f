"""Sequences drawn from several shards in proportions that may change on the way, in the order of Megatron-Core's blended datasets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from megatron.core.datasets import helpers
from numpy.typing import NDArray

from modelwright.errors import ModelwrightError
from modelwright_plugins.artifacts.blend import Blend
from modelwright_plugins.engine.texts import Integers, ShardTexts, Stored

LEAST = 4096  # sequences that are planned at once


@dataclass(frozen=True)
class Leg:
    """Sequences drawn with the same weights."""

    sequences: int  # how many; of the last leg, all that follow, whatever it says
    weights: Mapping[str, float]  # shard's name -> share of the sequences, in proportion; a name that is not there has none


class BlendTexts:
    """Sequences from several shards, leg by leg. Each is drawn from the shard that is farthest behind its share of the leg so far, the
    first of equals, as `megatron.core.datasets.blended_dataset` does it. Of each shard it draws sequences in the order of `ShardTexts`,
    and a leg goes on where the one before has come to.

    What is drawn depends on nothing that comes later: a longer training begins as a shorter one does.
    """

    def __init__(
        self,
        shards: Mapping[str, Path],
        legs: Sequence[Leg],
        lengths: tuple[int, ...],
        *,
        seed: int,
        window: int | None = None,
        planned: int | None = None,
    ) -> None:
        """`shards`: paths without `.bin` and `.idx`, by name; `lengths` and `window` as in `ShardTexts`; `planned`: how many in all.

        Shards that hold less than one sequence are left out, and named in `left_out`. ModelwrightError: nothing is left of a leg.
        """
        opened = {name: ShardTexts(path, lengths, seed=seed, window=window, stream=n) for n, (name, path) in enumerate(shards.items())}
        wanted = {name for leg in legs for name, weight in leg.weights.items() if weight > 0}
        self.left_out = {name: texts for name, texts in opened.items() if name in wanted and not texts.count}
        self.texts = {name: texts for name, texts in opened.items() if name in wanted and texts.count}
        self.names = list(self.texts)
        self.legs = [Leg(leg.sequences, {n: leg.weights[n] for n in self.names if leg.weights.get(n, 0) > 0}) for leg in legs]
        for number, leg in enumerate(self.legs):
            if not leg.weights:
                found = ", ".join(f"{name} of {len(texts.tokens):,} tokens" for name, texts in self.left_out.items()) or "none"
                raise ModelwrightError(
                    f"phase {number + 1} of the blend has no text as long as one sequence, {max(lengths)} tokens: {found}; "
                    "take more data or shorter sequences"
                )
        self.planned = planned
        self.count = sum(texts.count for texts in self.texts.values())
        self._which, self._number = drawn_from(self.legs, self.names, LEAST)

    def spans(self, number: int) -> tuple[Integers, ...]:
        name, own = self.place(number)
        return self.texts[name].spans(own)

    def place(self, number: int) -> tuple[str, int]:
        """From which shard sequence `number` is drawn, and as which of the shard's own, over all epochs."""
        which, own = self.places(np.array([number]))
        return self.names[which[0]], int(own[0])

    def places(self, numbers: Integers) -> tuple[NDArray[np.int16], Integers]:
        """The same of several: indices of `names`, and the shards' own numbers."""
        if len(numbers) and (most := int(numbers.max())) >= len(self._which):
            self._which, self._number = drawn_from(self.legs, self.names, max(2 * most, LEAST))
        return self._which[numbers], self._number[numbers]

    def by_shard(self, numbers: Integers) -> Iterator[tuple[ShardTexts, Integers]]:
        which, own = self.places(numbers)
        for index, name in enumerate(self.names):
            yield self.texts[name], own[which == index]

    def warnings(self, sequences: int, length: int) -> list[str]:
        """What one should know before a training of so many sequences of `length` positions, one line each."""
        found = [f"domain {name} is left out: it has less than one sequence" for name in self.left_out]
        if self.planned and abs(sequences / self.planned - 1) > 0.01:
            tokens = sequences * length
            per_cent = f"{sequences / self.planned:.0%} of what the mixture was made for"
            found.append(f"training reads {tokens:,} tokens, {per_cent}, so phases and epochs are others; set mix.tokens={tokens}")
        return found


def drawn_from(legs: Sequence[Leg], names: Sequence[str], end: int) -> tuple[NDArray[np.int16], Integers]:
    """Which of the names each draw up to `end` is from, and as which of its own: drawn is what is farthest behind its share of the leg."""
    begin, which, number = 0, [], []
    gone = np.zeros(len(names), np.int64)  # how many of each have been drawn
    for leg, last in ((leg, leg is legs[-1]) for leg in legs):
        size = end - begin if last else min(leg.sequences, end - begin)
        if size <= 0:
            continue
        own = np.array([names.index(name) for name in leg.weights], np.int16)
        weights = np.array([*leg.weights.values()], np.float64)
        chosen, nth = np.zeros(size, np.int16), np.zeros(size, np.int64)
        helpers.build_blending_indices(chosen, nth, weights / weights.sum(), len(own), size, False)
        which.append(own[chosen])
        number.append(nth + gone[which[-1]])
        gone += np.bincount(which[-1], minlength=len(gone))
        begin += size
    return np.concatenate(which), np.concatenate(number)


def opened(shard: Path, lengths: tuple[int, ...], *, seed: int, length: int) -> Stored:
    """The text of a shard; of `train`, as the blend beside it says, if there is one. Sequences have `length` positions."""
    blend = Blend.read(shard.parent) if shard.name == "train" else None
    if blend is None:
        return ShardTexts(shard, lengths, seed=seed)
    begins = blend.begins(length)
    sizes = [after - begin for begin, after in zip(begins, [*begins[1:], begins[-1]], strict=True)]
    legs = [Leg(size, phase.weights) for size, phase in zip(sizes, blend.phases, strict=True)]
    shards = {name: shard.with_name(domain.shard) for name, domain in blend.domains.items()}
    return BlendTexts(shards, legs, lengths, seed=seed, window=blend.window, planned=round(blend.tokens / length))
