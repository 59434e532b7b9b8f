"""Training tokens per CPU-second: Modelwright's engine against a plain PyTorch loop over the same-shaped Hugging Face Llama.

    OMP_NUM_THREADS=1 python benchmarks/train_cpu.py

One thread, FP32, SDPA, the same optimizer, batch and clipping, at sequence lengths 256 and 1,024. Each side has a process of its
own, since Modelwright's engine also sets how memory is kept; they take turns, a few steps at a time, so that a noisy machine disturbs
both. The ratio is the median of the turns' ratios. The exit code is 1 if either is below 1.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
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
from modelwright_plugins.precision.floats import FP32
from modelwright_plugins.schedule.warmup import Constant
from modelwright_plugins.tokenizer.vocabulary import Vocabulary

VOCAB, TOKENS_A_STEP = 8192, 4096
MODEL = CausalDecoder(layers=6, width=256, heads=8, kv_heads=4, feed_forward=704, tied_embeddings=True)
ADAMW = AdamW(lr=1e-3)


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--turns", type=int, default=9, help="turns of each side")
    ask.add_argument("--steps", type=int, default=2, help="training steps a turn")
    ask.add_argument("--side", nargs=2, metavar=("NAME", "LENGTH"), help=argparse.SUPPRESS)
    say = ask.parse_args()
    if say.side:
        return take_turns(say.side[0], int(say.side[1]), say.turns, say.steps)
    below = False
    for length in (256, 1024):
        ours, theirs = measured(length, say.turns, say.steps)
        ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        rates = f"Modelwright {statistics.median(ours):,.0f} and plain PyTorch {statistics.median(theirs):,.0f} tokens a CPU-second"
        print(f"length {length:>5}: {rates}; ratio {ratio:.3f}", flush=True)
        below |= ratio < 1
    sys.exit(below)


def measured(length: int, turns: int, steps: int) -> tuple[list[float], list[float]]:
    """Tokens a CPU-second of Modelwright, and of plain PyTorch, turn by turn."""
    command = [sys.executable, "-W", "ignore", __file__, "--turns", str(turns), "--steps", str(steps), "--side"]
    sides = [
        subprocess.Popen([*command, name, str(length)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for name in ("modelwright", "plain")
    ]
    rates: tuple[list[float], list[float]] = ([], [])
    for turn in range(turns + 1):
        for side, found in zip(sides, rates, strict=True):
            assert side.stdin and side.stdout
            side.stdin.write("go\n")
            side.stdin.flush()
            rate = float(side.stdout.readline())
            if turn:  # the first one warms up
                found.append(rate)
    return rates


def take_turns(name: str, length: int, turns: int, steps: int) -> None:
    """Be one side: at each line read, train some steps and print tokens a CPU-second."""
    torch.set_num_threads(1)
    with modelwright(length, (turns + 1) * steps) if name == "modelwright" else nullcontext(plain(length)) as step:
        for _ in range(turns + 1):
            sys.stdin.readline()
            began = time.process_time()
            for _ in range(steps):
                step()
            print(steps * TOKENS_A_STEP / (time.process_time() - began), flush=True)


@contextmanager
def modelwright(length: int, steps: int) -> Iterator[Callable[[], object]]:
    """One step of the engine's loop, with everything that a run does but logging and saving."""
    with tempfile.TemporaryDirectory() as folder, started(Megatron(), seed=0):
        count = TOKENS_A_STEP // length
        parts = {"architecture": MODEL, "optimizer": ADAMW, "objective": CausalLM(), "schedule": Constant(), "parallel": Megatron()}
        parts |= {"precision": FP32(), "kernel": Torch(), "attention": Native()}
        batches = Batches.of(shard(Path(folder)), CausalLM(), Vocabulary(VOCAB, 0), length=length, global_batch=count, seed=0)
        trainer = assembled(parts, batches, global_batch=count, micro_batch=count, steps=steps)
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
