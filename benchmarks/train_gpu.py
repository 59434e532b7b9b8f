"""Training a Llama of 1 to 3 billion parameters on one GPU: tokens a second, MFU and loss curves, beside a plain Hugging Face loop.

    python benchmarks/train_gpu.py --size 1b --steps 40 --out figures.json

Four sides on the same card in one run, each in a process of its own: Modelwright in BF16 with torch's kernels, in BF16 and in FP8 with
Transformer Engine, and Hugging Face's LlamaForCausalLM in BF16 with SDPA under torch.compile. The same text (the Python library as
bytes), batch, length, AdamW and clipping; the first steps warm up. MFU is of the card's dense BF16 peak, also for FP8, with
6N + attention operations a token (`Architecture.flops_per_token`). A side that can't run here says why and is left out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from modelwright_plugins.architecture.decoder import CausalDecoder

VOCABULARY = 32_000
SIZES: dict[str, dict[str, int]] = {  # layers, width and feed-forward layer of Llama 3.2 1B and 3B, and a small one to try the script
    "tiny": {"layers": 2, "width": 256, "heads": 4, "kv_heads": 2, "feed_forward": 704},
    "1b": {"layers": 16, "width": 2048, "heads": 32, "kv_heads": 8, "feed_forward": 8192},
    "3b": {"layers": 28, "width": 3072, "heads": 24, "kv_heads": 8, "feed_forward": 8192},
}
SIDES = ("BF16, torch", "BF16, Transformer Engine", "FP8, Transformer Engine", "Hugging Face, torch.compile")
PEAKS = {"H100": 989.4e12, "H200": 989.4e12, "A100": 312e12, "B200": 2250e12}  # dense BF16 operations a second (NVIDIA's data sheets)
LR, CLIP = 3e-4, 1.0


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--size", choices=SIZES, default="1b")
    ask.add_argument("--steps", type=int, default=40, help="updates of each side; the first quarter warms up")
    ask.add_argument("--length", type=int, default=4096, help="tokens a sequence")
    ask.add_argument("--batch", type=int, default=8, help="sequences an update")
    ask.add_argument("--micro-batch", type=int, default=2, help="sequences a forward pass")
    ask.add_argument("--out", type=Path, help="write the figures there as JSON")
    ask.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    say = ask.parse_args()
    if say.side:
        print(json.dumps(measured(say)))
        return
    found: dict[str, Any] = {"command": " ".join(sys.argv), "torch": torch.__version__, "sides": {}}
    found["gpu"] = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    for side in SIDES:
        ended = subprocess.run([sys.executable, "-W", "ignore", __file__, *sys.argv[1:], "--side", side], capture_output=True, text=True)
        if ended.returncode:
            print(f"{side}: not run: {(ended.stderr.strip().splitlines() or ['?'])[-1]}", flush=True)
            continue
        told = found["sides"][side] = json.loads(ended.stdout.splitlines()[-1])
        mfu = f"MFU {told['mfu']:.1%}" if told["mfu"] else "MFU unknown: no peak of this device is known"
        print(f"{side}: {told['tokens_per_second']:,.0f} tokens/s, {mfu}, {told['memory_gib']:.1f} GiB, last loss {told['losses'][-1]:.3f}")
    rates = {side: told["tokens_per_second"] for side, told in found["sides"].items()}
    for side, other in ((SIDES[2], SIDES[1]), (SIDES[1], SIDES[3]), (SIDES[0], SIDES[3])):
        if side in rates and other in rates:
            print(f"{side} over {other}: {rates[side] / rates[other]:.2f}")
    if say.out:
        say.out.write_text(json.dumps(found, indent=1) + "\n")


def measured(say: argparse.Namespace) -> dict[str, Any]:
    """Figures of one side, in this process."""
    steps = plain(say) if say.side == SIDES[3] else modelwright(say)
    losses, seconds = [], []
    for _ in range(say.steps):
        began = time.perf_counter()
        losses.append(next(steps))  # a number: the device has finished
        seconds.append(time.perf_counter() - began)
    rate = say.batch * say.length / statistics.median(seconds[say.steps // 4 :])
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    peak = next((peak for card, peak in PEAKS.items() if card in name), None)
    flops = architecture(say).flops_per_token(multiplied(say), say.length)
    memory = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
    return {"tokens_per_second": rate, "mfu": rate * flops / peak if peak else None, "memory_gib": memory, "losses": losses}


def architecture(say: argparse.Namespace) -> CausalDecoder:
    return CausalDecoder(**SIZES[say.size], tied_embeddings=True, rope_base=500_000)  # type: ignore[arg-type]


def multiplied(say: argparse.Namespace) -> int:
    """Parameters that a token is multiplied by; the tied embedding is the output matrix."""
    a = architecture(say)
    head = a.width // a.heads
    layer = a.width * head * (2 * a.heads + 2 * (a.kv_heads or a.heads)) + 3 * a.width * a.feed_forward_size
    return a.layers * layer + a.width * VOCABULARY


def text() -> np.ndarray:
    """Bytes of the Python library, files in order of their names."""
    files = sorted(Path(json.__file__).parents[1].rglob("*.py"))[:2000]
    return np.frombuffer(b"\0".join(file.read_bytes() for file in files), np.uint8)


def modelwright(say: argparse.Namespace) -> Iterator[float]:
    from megatron.core.datasets.indexed_dataset import DType, IndexedDatasetBuilder

    from modelwright_plugins.attention.cores import Native
    from modelwright_plugins.engine.batches import Batches
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.engine.trainer import assembled
    from modelwright_plugins.kernel.local import Torch
    from modelwright_plugins.kernel.transformer_engine import TransformerEngine
    from modelwright_plugins.objective.causal_lm import CausalLM
    from modelwright_plugins.optimizer.adam import AdamW
    from modelwright_plugins.parallel.megatron import Megatron
    from modelwright_plugins.precision.floats import BF16
    from modelwright_plugins.precision.fp8 import FP8Current
    from modelwright_plugins.schedule.warmup import Constant
    from modelwright_plugins.tokenizer.vocabulary import Vocabulary

    kernel = Torch() if say.side == SIDES[0] else TransformerEngine()
    precision = FP8Current() if say.side == SIDES[2] else BF16()
    if problems := kernel.problems() + precision.problems(kernel):
        sys.exit(problems[0])
    parts: dict[str, Any] = {"architecture": architecture(say), "optimizer": AdamW(lr=LR), "objective": CausalLM(), "schedule": Constant()}
    parts |= {"parallel": Megatron(), "precision": precision, "kernel": kernel, "attention": Native()}
    with tempfile.TemporaryDirectory() as folder, started(Megatron(), seed=0):
        shard = Path(folder) / "train"
        builder = IndexedDatasetBuilder(f"{shard}.bin", dtype=DType.optimal_dtype(VOCABULARY))
        document = torch.from_numpy(text().astype(np.int64) + 1)  # 0 would end a document
        builder.add_document(document, [len(document)])
        builder.finalize(f"{shard}.idx")
        batches = Batches.of(shard, CausalLM(), Vocabulary(VOCABULARY, 0), length=say.length, global_batch=say.batch, seed=0)
        trainer = assembled(parts, batches, global_batch=say.batch, micro_batch=say.micro_batch, steps=say.steps, clip=CLIP)
        for metrics in trainer.updates(0):
            yield metrics["loss"]


def plain(say: argparse.Namespace) -> Iterator[float]:
    from transformers import LlamaConfig, LlamaForCausalLM

    from modelwright_plugins.optimizer.adam import AdamW

    a, device = architecture(say), torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = LlamaConfig(
        hidden_size=a.width, num_hidden_layers=a.layers, num_attention_heads=a.heads, num_key_value_heads=a.kv_heads,
        intermediate_size=a.feed_forward_size, vocab_size=VOCABULARY, tie_word_embeddings=True, max_position_embeddings=say.length,
        attn_implementation="sdpa",
    )  # fmt: skip
    torch.manual_seed(0)
    model = LlamaForCausalLM(config).to(device).train()  # FP32 weights under autocast, as the main weights of a mixed precision are
    compiled = torch.compile(model)
    ours = AdamW(lr=LR)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, betas=ours.betas, eps=ours.epsilon, weight_decay=ours.weight_decay, fused=True)
    stream, random = torch.from_numpy(text().astype(np.int64) + 1), torch.Generator().manual_seed(0)
    while True:
        starts = torch.randint(0, len(stream) - say.length - 1, (say.batch,), generator=random)
        rows = torch.stack([stream[start : start + say.length + 1] for start in starts]).to(device)
        total = 0.0
        for part in rows.split(say.micro_batch):
            with torch.autocast(device.type, torch.bfloat16):
                logits = compiled(input_ids=part[:, :-1], use_cache=False).logits
            loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), part[:, 1:].flatten()) * len(part) / len(rows)
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad()
        yield total


if __name__ == "__main__":
    main()
