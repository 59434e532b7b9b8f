"""Training tokens per CPU-second in BF16 against FP32, on one core of this machine.

    OMP_NUM_THREADS=1 python benchmarks/bf16_cpu.py

The engine trains the same small Llama in both, at sequence lengths 256 and 1,024. Each side has a process of its own; they take turns,
a few steps at a time, so that a noisy machine disturbs both, and the ratio is the median of the turns' ratios. Below that: how much faster
BF16 makes the model's matrix products by themselves, which bounds it. With AVX512-BF16 or AMX the aim is 1.3; the exit code is 1 where the
CPU has one of them and a ratio is below.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from modelwright_plugins.architecture.decoder import CausalDecoder
from modelwright_plugins.attention.cores import Native
from modelwright_plugins.engine.batches import Batches
from modelwright_plugins.engine.start import started
from modelwright_plugins.engine.trainer import assembled
from modelwright_plugins.kernel.local import Torch
from modelwright_plugins.objective.causal_lm import CausalLM
from modelwright_plugins.optimizer.adam import AdamW
from modelwright_plugins.parallel.megatron import Megatron
from modelwright_plugins.precision.floats import BF16, FP32
from modelwright_plugins.schedule.warmup import Constant
from modelwright_plugins.tokenizer.vocabulary import Vocabulary

VOCAB, TOKENS_A_STEP, AIM = 8192, 4096, 1.3
SIZES = {"small": (256, 704, 6), "wide": (1024, 2816, 2)}  # width, feed-forward size, layers
SIDES = {"bf16": BF16, "fp32": FP32}


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--turns", type=int, default=7, help="turns of each side")
    ask.add_argument("--steps", type=int, default=1, help="training steps a turn")
    ask.add_argument("--side", nargs=3, metavar=("PRECISION", "SIZE", "LENGTH"), help=argparse.SUPPRESS)
    say = ask.parse_args()
    if say.side:
        return take_turns(say.side[0], say.side[1], int(say.side[2]), say.turns, say.steps)
    fast = instructions()
    print(f"this CPU multiplies BF16 with {', '.join(fast)}" if fast else "this CPU has no instructions for BF16", flush=True)
    below = False
    for size, (width, feed_forward, layers) in SIZES.items():
        print(f"{size}: width {width}, feed-forward {feed_forward}, {layers} layers, {VOCAB:,} tokens in the vocabulary")
        for length in (256, 1024):
            bf16, fp32 = measured(size, length, say.turns, say.steps)
            ratio = statistics.median(a / b for a, b in zip(bf16, fp32, strict=True))
            rates = f"BF16 {statistics.median(bf16):,.0f} and FP32 {statistics.median(fp32):,.0f} tokens a CPU-second"
            print(f"  length {length:>5}: {rates}; ratio {ratio:.2f}", flush=True)
            below |= ratio < AIM
        for name, (inner, outer) in {"feed-forward": (width, feed_forward), "output": (width, VOCAB)}.items():
            print(f"  the {name} product by itself, forward and backward: BF16 {product(inner, outer):.2f} times as fast", flush=True)
    sys.exit(bool(fast) and below)


def instructions() -> list[str]:
    """Of this CPU, for BF16 (Linux on x86)."""
    try:
        flags = Path("/proc/cpuinfo").read_text().split("flags", 1)[-1].split("\n", 1)[0].split()
    except OSError:
        return []
    return [flag for flag in ("avx512_bf16", "amx_bf16") if flag in flags]


def product(inner: int, outer: int, tokens: int = 2048, turns: int = 7) -> float:
    """How much faster BF16 is in a linear layer of [tokens, inner] to [tokens, outer]."""
    torch.set_num_threads(1)
    sides = []
    for dtype in (torch.bfloat16, torch.float32):
        rows = torch.randn(tokens, inner, dtype=dtype, requires_grad=True)
        weight = torch.randn(outer, inner, dtype=dtype, requires_grad=True)
        sides.append((rows, weight, torch.randn(tokens, outer, dtype=dtype)))
    ratios = []
    for turn in range(turns + 1):
        seconds = []
        for rows, weight, gradient in sides:
            began = time.process_time()
            torch.nn.functional.linear(rows, weight).backward(gradient)
            seconds.append(time.process_time() - began)
        if turn:
            ratios.append(seconds[1] / seconds[0])
    return statistics.median(ratios)


def measured(size: str, length: int, turns: int, steps: int) -> tuple[list[float], ...]:
    """Tokens a CPU-second of each side, turn by turn."""
    command = [sys.executable, "-W", "ignore", __file__, "--turns", str(turns), "--steps", str(steps), "--side"]
    sides = [
        subprocess.Popen([*command, name, size, str(length)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for name in SIDES
    ]
    rates: tuple[list[float], ...] = tuple([] for _ in sides)
    for turn in range(turns + 1):
        for side, found in zip(sides, rates, strict=True):
            assert side.stdin and side.stdout
            side.stdin.write("go\n")
            side.stdin.flush()
            rate = float(side.stdout.readline())
            if turn:  # the first one warms up
                found.append(rate)
    return rates


def take_turns(name: str, size: str, length: int, turns: int, steps: int) -> None:
    """Be one side: at each line read, train some steps and print tokens a CPU-second."""
    torch.set_num_threads(1)
    with training(name, size, length, (turns + 1) * steps + 1) as step:
        for _ in range(turns + 1):
            sys.stdin.readline()
            began = time.process_time()
            for _ in range(steps):
                step()
            print(steps * TOKENS_A_STEP / (time.process_time() - began), flush=True)


@contextmanager
def training(name: str, size: str, length: int, steps: int) -> Iterator[Callable[[], object]]:
    """One step of the engine's loop."""
    width, feed_forward, layers = SIZES[size]
    model = CausalDecoder(layers=layers, width=width, heads=width // 64, kv_heads=width // 128, feed_forward=feed_forward)
    with tempfile.TemporaryDirectory() as folder, started(Megatron(), seed=0):
        count = TOKENS_A_STEP // length
        parts = {
            "architecture": model,
            "optimizer": AdamW(lr=1e-3),
            "objective": CausalLM(),
            "schedule": Constant(),
            "parallel": Megatron(),
        }
        parts |= {"precision": SIDES[name](), "kernel": Torch(), "attention": Native()}
        batches = Batches.of(shard(Path(folder)), CausalLM(), Vocabulary(VOCAB, 0), length=length, global_batch=count, seed=0)
        updates = assembled(parts, batches, global_batch=count, micro_batch=max(1, count // 4), steps=steps).updates(0)
        yield lambda: next(updates)


def shard(folder: Path) -> Path:
    """Random tokens: what they say costs nothing."""
    from megatron.core.datasets.indexed_dataset import DType, IndexedDatasetBuilder

    builder = IndexedDatasetBuilder(str(folder / "train.bin"), dtype=DType.optimal_dtype(VOCAB))
    document = torch.randint(0, VOCAB, (8 * TOKENS_A_STEP,), generator=torch.Generator().manual_seed(0))
    builder.add_document(document, [len(document)])
    builder.finalize(str(folder / "train.idx"))
    return folder / "train"


if __name__ == "__main__":
    main()
