"""Training tokens per CPU-second: Modelwright's engine against a plain PyTorch loop over the same-shaped Hugging Face Llama.

    OMP_NUM_THREADS=1 python benchmarks/train_cpu.py

One thread, FP32, SDPA, the same optimizer, batch and clipping, at sequence lengths 256 and 1,024. The two sides take turns in
one process, a few steps at a time, so that a noisy machine disturbs both; each side's figure is the median of its turns.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from modelwright_plugins.architecture.decoder import CausalDecoder
from modelwright_plugins.engine import model, optimizer
from modelwright_plugins.engine.batches import Batches
from modelwright_plugins.engine.loop import Trainer
from modelwright_plugins.engine.start import started
from modelwright_plugins.kernel.local import Torch
from modelwright_plugins.objective.causal_lm import CausalLM
from modelwright_plugins.optimizer.adam import AdamW
from modelwright_plugins.parallel.megatron import Megatron
from modelwright_plugins.precision.floats import FP32
from modelwright_plugins.schedule.warmup import Constant

VOCAB, TOKENS_A_STEP = 8192, 4096
MODEL = CausalDecoder(layers=6, width=256, heads=8, kv_heads=4, feed_forward=704, tied_embeddings=True)
ADAMW = AdamW(lr=1e-3)


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--turns", type=int, default=7, help="turns of each side")
    ask.add_argument("--steps", type=int, default=2, help="training steps a turn")
    say = ask.parse_args()
    torch.set_num_threads(1)
    below = False
    for length in (256, 1024):
        ours, theirs = measured(length, say.turns, say.steps)
        print(f"length {length:>5}: Modelwright {ours:,.0f} and plain PyTorch {theirs:,.0f} tokens a CPU-second; ratio {ours / theirs:.3f}")
        below |= ours < theirs
    sys.exit(below)


def measured(length: int, turns: int, steps: int) -> tuple[float, float]:
    """Tokens a CPU-second of Modelwright, and of plain PyTorch."""
    with modelwright(length, (turns + 1) * steps) as ours:
        sides, rates = (ours, plain(length)), ([], [])  # type: ignore[var-annotated]
        for turn in range(turns + 1):
            for side, found in zip(sides, rates, strict=True):
                began = time.process_time()
                for _ in range(steps):
                    side()
                if turn:  # the first one warms up
                    found.append(steps * TOKENS_A_STEP / (time.process_time() - began))
    return statistics.median(rates[0]), statistics.median(rates[1])


@contextmanager
def modelwright(length: int, steps: int) -> Iterator[Callable[[], object]]:
    """One step of the engine's loop, with everything that a run does but logging and saving."""
    with tempfile.TemporaryDirectory() as folder, started(Megatron(), seed=0):
        chunks = model.build(MODEL, parallel=Megatron(), precision=FP32(), kernel=Torch(), vocab_size=VOCAB, sequence_length=length)
        model.initialise(chunks, MODEL, seed=0, vocab_size=VOCAB)
        wrapped = model.distribute(chunks, precision=FP32(), sharded_gradients=False)
        updater = optimizer.wrapped(ADAMW, wrapped, precision=FP32(), clip=1.0, sharded=False)
        count = TOKENS_A_STEP // length
        batches = Batches(shard(Path(folder)), sequence_length=length, global_batch=count, seed=0)
        trainer = Trainer(wrapped, updater, CausalLM(), Constant(), batches, micro_batch=count, steps=steps, seed=0)
        updates = trainer.updates(0)
        yield lambda: next(updates)


def plain(length: int) -> Callable[[], object]:
    """One step of a plain loop."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=MODEL.width,
        num_hidden_layers=MODEL.layers,
        num_attention_heads=MODEL.heads,
        num_key_value_heads=MODEL.kv_heads,
        intermediate_size=MODEL.feed_forward,
        vocab_size=VOCAB,
        tie_word_embeddings=True,
        max_position_embeddings=length,
        attn_implementation="sdpa",
    )
    llama = LlamaForCausalLM(config).train()
    matrices = [p for p in llama.parameters() if p.dim() > 1]
    vectors = [p for p in llama.parameters() if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": ADAMW.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=ADAMW.lr, betas=ADAMW.betas, eps=ADAMW.epsilon, fused=True)
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        tokens = torch.randint(0, VOCAB, (TOKENS_A_STEP // length, length + 1), generator=generator)
        logits = llama(input_ids=tokens[:, :-1], use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(llama.parameters(), 1.0)
        adamw.step()
        adamw.zero_grad()
        loss.item()

    return step


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
