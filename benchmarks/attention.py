"""Core attention forward and backward: SDPA against Megatron-Core's stock DotProductAttention, in one run.

    OMP_NUM_THREADS=1 python benchmarks/attention.py

One thread, FP32, causal, 8 heads of 32 and a batch that makes 4,096 tokens, at lengths 256, 1,024 and 4,096; plain, and with 2 heads
of keys (grouped queries). Both take turns on the same tensors in one process, so that a noisy machine disturbs both; the ratio is the
median of the turns' ratios, of CPU time. A line before each says how far their outputs and gradients differ. The exit code is 1 if SDPA
is slower anywhere.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import torch
from megatron.core.transformer.dot_product_attention import DotProductAttention
from megatron.core.transformer.enums import AttnMaskType
from megatron.core.transformer.transformer_config import TransformerConfig

from modelwright_plugins.engine.attention import SDPA
from modelwright_plugins.engine.start import started
from modelwright_plugins.parallel.megatron import Megatron

TOKENS, HEADS, SIZE = 4096, 8, 32


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--turns", type=int, default=9, help="turns of each side, after one that warms up")
    turns = ask.parse_args().turns
    slower = False
    with started(Megatron(), seed=0):
        torch.set_num_threads(1)
        for length in (256, 1024, 4096):
            for name, kv_heads in (("plain", HEADS), ("grouped queries", 2)):
                ours, theirs, far = measured(length, kv_heads, turns)
                ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
                times = f"SDPA {statistics.median(ours) * 1e3:,.1f} and Megatron {statistics.median(theirs) * 1e3:,.1f} ms"
                print(f"length {length:>5}, {name:15}: {times}; {ratio:.2f} times as fast; they differ by {far:.0e}", flush=True)
                slower |= ratio < 1
    sys.exit(slower)


def measured(length: int, kv_heads: int, turns: int) -> tuple[list[float], list[float], float]:
    """Seconds of CPU time of a forward and a backward pass, turn by turn, of each; and by how much they differ, of the largest value."""
    config = TransformerConfig(
        num_layers=1,
        hidden_size=HEADS * SIZE,
        num_attention_heads=HEADS,
        num_query_groups=kv_heads,
        attention_dropout=0.0,
        masked_softmax_fusion=False,  # a CUDA kernel
    )
    random = torch.Generator().manual_seed(0)
    batch = TOKENS // length
    shapes = [(length, batch, HEADS, SIZE), (length, batch, kv_heads, SIZE), (length, batch, kv_heads, SIZE)]
    inputs = [torch.randn(shape, generator=random, requires_grad=True) for shape in shapes]
    weights = torch.randn(length, batch, HEADS * SIZE, generator=random)
    ours, theirs = SDPA(config, 1, AttnMaskType.causal, "self"), DotProductAttention(config, 1, AttnMaskType.causal, "self")
    # its softmax takes the mask that Megatron's data sets make, true where nothing is seen
    unseen = torch.ones(1, 1, length, length, dtype=torch.bool).triu(1)
    times: tuple[list[float], list[float]] = ([], [])
    answers = []
    for turn in range(turns + 1):
        for core, mask, found in ((ours, None, times[0]), (theirs, unseen, times[1])):
            began = time.process_time()
            out = core(*inputs, mask)
            gradients = torch.autograd.grad(out, inputs, weights)
            if turn:
                found.append(time.process_time() - began)
            else:
                answers.append([out.detach(), *gradients])
    far = max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(*answers, strict=True))
    return *times, far


if __name__ == "__main__":
    main()
