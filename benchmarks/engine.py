"""What the engine's loop costs over a bare Megatron-Core loop, and how long a step waits for its data.

    OMP_NUM_THREADS=1 python benchmarks/engine.py

One thread, FP32, the quickstart's model, batch and length. The bare loop has Megatron's model, optimizer and schedule, and random
tokens made beforehand: no data, no learning rate, no metrics. Both are in one process and take turns; the ratio of CPU time is the
median of the turns'. The wait is the part of the engine's time in which a step had no batch yet, though the next one is made while a
step is computed; what making it costs is in the ratio. The exit code is 1 if the ratio is above 1.02 or the wait above 1 %.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import torch
from megatron.core.pipeline_parallel.schedules import get_forward_backward_func
from train_cpu import VOCAB, shard

from modelwright_plugins.architecture.decoder import CausalDecoder
from modelwright_plugins.attention.cores import Native
from modelwright_plugins.engine import loop
from modelwright_plugins.engine.batches import Batches
from modelwright_plugins.engine.start import started
from modelwright_plugins.engine.trainer import assembled
from modelwright_plugins.kernel.local import Torch
from modelwright_plugins.objective.causal_lm import CausalLM
from modelwright_plugins.optimizer.adam import AdamW
from modelwright_plugins.parallel.megatron import Megatron
from modelwright_plugins.precision.floats import FP32
from modelwright_plugins.schedule.warmup import Constant
from modelwright_plugins.tokenizer.vocabulary import Vocabulary

LENGTH, BATCH, MICRO_BATCH = 128, 16, 4
MODEL = CausalDecoder(layers=4, width=96, heads=4, qk_norm=True)


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--turns", type=int, default=21, help="turns of each side")
    ask.add_argument("--steps", type=int, default=10, help="training steps a turn")
    say = ask.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, started(Megatron(), seed=0):
        steps = (say.turns + 1) * say.steps
        ours, theirs = trainer(Path(folder), steps), trainer(Path(folder), steps)
        updates, waits = ours.updates(0), waiting()
        engine = turn(lambda: next(updates), say.steps)
        bare = turn(bare_step(theirs), say.steps)
        engine(), bare()  # the first turns warm up
        waits.clear()
        pairs = []
        wall = 0.0
        for number in range(say.turns):
            began = time.perf_counter()
            if number % 2:
                second, first = bare(), engine()
            else:
                first, second = engine(), bare()
            wall += time.perf_counter() - began
            pairs.append((first, second))
    assert len(waits) == say.turns * say.steps
    ratio = statistics.median(a / b for a, b in pairs)
    share = sum(waits) / (wall * statistics.fmean(a / (a + b) for a, b in pairs))
    print(f"engine over a bare Megatron-Core loop: {ratio:.3f} (at most 1.02)")
    print(f"a step waits for its data: {share:.2%} of its time (at most 1 %)")
    sys.exit(ratio > 1.02 or share > 0.01)


def turn(step: Callable[[], object], steps: int) -> Callable[[], float]:
    """CPU seconds of so many steps."""

    def taken() -> float:
        began = time.process_time()
        for _ in range(steps):
            step()
        return time.process_time() - began

    return taken


def trainer(folder: Path, steps: int) -> loop.Trainer:
    parts: dict[str, Any] = {"architecture": MODEL, "optimizer": AdamW(), "objective": CausalLM(), "schedule": Constant()}
    parts |= {"parallel": Megatron(), "precision": FP32(), "kernel": Torch(), "attention": Native()}
    batches = Batches.of(shard(folder), CausalLM(), Vocabulary(VOCAB, 0), length=LENGTH, global_batch=BATCH, seed=0)
    return assembled(parts, batches, global_batch=BATCH, micro_batch=MICRO_BATCH, steps=steps)


def waiting() -> list[float]:
    """Seconds of each wait for a batch, from now on."""
    seconds: list[float] = []

    class Timed(Future):  # type: ignore[type-arg]
        def result(self, timeout: float | None = None) -> Any:
            began = time.perf_counter()
            found = super().result(timeout)
            seconds.append(time.perf_counter() - began)
            return found

    import concurrent.futures.thread

    concurrent.futures.thread._base.Future = Timed  # type: ignore[attr-defined, misc]
    return seconds


def bare_step(made: loop.Trainer) -> Callable[[], object]:
    """Megatron-Core alone: forward, backward, update."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, VOCAB, (BATCH, LENGTH + 1), generator=generator)
    position = torch.arange(LENGTH).expand(MICRO_BATCH, -1)
    schedule = get_forward_backward_func()

    def forward(data: Any, model: torch.nn.Module) -> Any:
        rows = next(data)

        def loss(output: torch.Tensor) -> Any:
            total = output.sum()
            return total, torch.tensor(output.numel(), dtype=torch.int), {"loss": total.detach().clone()}

        return model(rows[:, :-1], position, None, labels=rows[:, 1:].contiguous()), loss

    def step() -> float:
        for chunk in made.chunks:
            chunk.zero_grad_buffer()
        made.optimizer.zero_grad()
        found = schedule(
            forward_step_func=forward,
            data_iterator=iter(tokens.split(MICRO_BATCH)),
            model=made.chunks,
            num_microbatches=BATCH // MICRO_BATCH,
            seq_length=LENGTH,
            micro_batch_size=MICRO_BATCH,
            forward_only=False,
        )
        made.optimizer.step()
        return sum(each["loss"].item() for each in found)

    return step


if __name__ == "__main__":
    main()
