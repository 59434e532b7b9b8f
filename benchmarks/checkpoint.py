"""How long training stands still for a checkpoint that is written while it goes on, against a step's time, on the quickstart's model.

    OMP_NUM_THREADS=1 python benchmarks/checkpoint.py

One rank, the quickstart's parts, random tokens. Held: what `save` and `settle` take of the training loop. Stall: that, and what the
steps take longer that go on meanwhile: the time from `save` until the checkpoint is whole and durable, less as many steps without one
(the median of the steps just before). Medians over several checkpoints; the first, which makes its buffers, is left out. The same for a
checkpoint that training waits for. The exit code is 1 if the stall is more than a tenth of a step.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from modelwright.assemble import assemble
from modelwright.compose import composed
from modelwright.hooks import discover
from modelwright_plugins.engine.batches import Batches
from modelwright_plugins.engine.checkpoint import Checkpoints
from modelwright_plugins.engine.start import started
from modelwright_plugins.engine.trainer import assembled
from modelwright_plugins.tokenizer.vocabulary import Vocabulary

VOCAB, APART = 8192, 10  # steps between checkpoints


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--checkpoints", type=int, default=15, help="of each way")
    ask.add_argument("overrides", nargs="*", help="of the quickstart's recipe, such as architecture.width=256")
    say = ask.parse_args()
    bound = assemble(composed(["recipe=pretrain/quickstart", *say.overrides]), discover().registry)
    (train,) = [b for b in bound if b.name == "train"]
    found: dict[bool, list[tuple[float, float, float]]] = {True: [], False: []}
    with tempfile.TemporaryDirectory(dir=".") as folder, started(train.parts["parallel"], seed=0):
        updates, trainer = trains(train, 2 * (say.checkpoints + 1) * APART)
        chunks = [chunk.module for chunk in trainer.chunks]
        ways = {way: Checkpoints(Path(folder), chunks, trainer.optimizer, keep_last=2, asynchronous=way) for way in found}
        for number in range(2 * (say.checkpoints + 1)):  # by turns, so that a noisy machine disturbs both
            way = number % 2 == 0
            measured = measure(updates, ways[way], number * APART)
            if number > 1:
                found[way].append(measured)
        size = sum(file.stat().st_size for file in Path(folder).glob(f"step_{(number) * APART:08d}/*"))
    step, held, stall = (statistics.median(column) for column in zip(*found[True], strict=True))
    waited = statistics.median(column[2] for column in found[False])
    print(f"{size / 1e6:.1f} MB; a step without a checkpoint: {1000 * step:.1f} ms")
    print(
        f"asynchronous: held {1000 * held:.1f} ms ({held / step:.1%} of a step), stall {1000 * stall:.1f} ms, {stall / step:.1%} of a step"
    )
    print(f"waiting:      stall {1000 * waited:.1f} ms, {waited / step:.1%} of a step")
    sys.exit(stall > 0.1 * step)


def measure(updates: Iterator[Any], checkpoints: Checkpoints, number: int) -> tuple[float, float, float]:
    """(a step without a checkpoint, what was held, the stall) in seconds, of one checkpoint."""
    plain = []
    for _ in range(APART // 2):
        began = time.perf_counter()
        next(updates)
        plain.append(time.perf_counter() - began)
    step = statistics.median(plain)
    began, steps = time.perf_counter(), 0
    whole = checkpoints.save(number)
    held = time.perf_counter() - began
    while not whole:
        next(updates)
        steps += 1
        before = time.perf_counter()
        whole, _ = checkpoints.settle()
        held += time.perf_counter() - before
    stall = time.perf_counter() - began - steps * step
    for _ in range(APART - APART // 2 - steps):
        next(updates)
    return step, held, stall


def trains(train: Any, steps: int) -> tuple[Iterator[Any], Any]:
    """Updates of the stage's model, and its trainer."""
    objective, length, seed = train.parts["objective"], train.stage.sequence_length, 0
    batches = Batches(RandomTexts(objective.spans(length)), objective, Vocabulary(VOCAB, 0), length, seed)
    sizes = {"global_batch": train.stage.global_batch, "micro_batch": train.stage.micro_batch}
    trainer = assembled(train.parts, batches, **sizes, steps=steps)
    return trainer.updates(0), trainer


class RandomTexts:
    """What they say costs nothing."""

    def __init__(self, lengths: tuple[int, ...]) -> None:
        self.lengths = lengths

    def spans(self, number: int) -> tuple[Any, ...]:
        random = np.random.default_rng(number)
        return tuple(random.integers(1, VOCAB, length) for length in self.lengths)


if __name__ == "__main__":
    main()
