"""Modelwright's side of `align.py`: the stage `align`, whole, which waits for its turn between steps."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from modelwright.component import Job
from modelwright.hooks import discover
from modelwright_plugins.aligner.dpo import DPO
from modelwright_plugins.aligner.grpo import GRPO
from modelwright_plugins.architecture.decoder import CausalDecoder
from modelwright_plugins.artifacts import Checkpoint, Examples, Tokenizer
from modelwright_plugins.artifacts.examples import ExamplesWriter
from modelwright_plugins.attention.cores import SDPA
from modelwright_plugins.conformance.training import built_in
from modelwright_plugins.engine import checkpoint, model
from modelwright_plugins.engine.card import ModelCard
from modelwright_plugins.engine.start import started
from modelwright_plugins.engine.trainer import how
from modelwright_plugins.generator.sampling import Sampling
from modelwright_plugins.optimizer.adam import AdamW
from modelwright_plugins.reward.length import Length
from modelwright_plugins.stage.align import Align
from modelwright_plugins.tokenizer.bpe import ByteLevelBPE
from modelwright_plugins.tokenizer.encoder import Encoder

MODEL = CausalDecoder(layers=2, width=128, heads=4, kv_heads=4, feed_forward=344)
LENGTH = 256


class Turns:
    """In the place of the plugins' hooks: the end of a step is where the other side has its turn."""

    def __init__(self, steps: int) -> None:
        self.registry, self.steps, self.done = discover().registry, steps, 0
        sys.stdin.readline()
        self.began = time.process_time()

    def call(self, hook: str, **_: Any) -> None:
        if hook == "on_step_end":
            self.done += 1
            if self.done % self.steps == 0:
                print(f"rate {self.steps / (time.process_time() - self.began)}", flush=True)
                sys.stdin.readline()
                self.began = time.process_time()


def main() -> None:
    torch.set_num_threads(1)
    folder, method, turns, steps = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    vocab_size = written(folder, method)
    parts = {**built_in(), "attention": SDPA(), "optimizer": AdamW(lr=1e-5), "tracker": {}, "reward": {"length": Length(per_unit=0.01)}}
    parts |= {"aligner": DPO() if method == "dpo" else GRPO(samples=4, beta=0.04)}
    parts |= {"generator": Sampling(max_new_tokens=32, temperature=1.0, top_p=1.0)}
    with started(parts["parallel"], seed=1):
        chunks = model.build(MODEL, **how(parts), vocab_size=vocab_size, sequence_length=LENGTH)
        model.initialise(chunks, MODEL, seed=1, vocab_size=vocab_size)
        ModelCard(MODEL, vocab_size, LENGTH, 0, 1).write(folder / "base" / "model.json", discover().registry)
        checkpoint.save(folder / "base", 1, chunks, None, keep_last=None)
    (folder / "out").mkdir()
    inputs = {Examples: Examples(folder / "examples"), Checkpoint: Checkpoint(folder / "base"), Tokenizer: Tokenizer(folder / "tokenizer")}
    print("ready", flush=True)
    hooks: Any = Turns(steps)
    job = Job(folder, folder / "out", 1, parts, inputs, hooks, {})
    sizes = {"sequence_length": LENGTH, "global_batch": 8, "micro_batch": 8, "checkpoint_every": None}
    Align(**sizes, steps=(turns + 2) * steps, rollout_batch=32).run(job)


def written(folder: Path, method: str) -> int:
    """The tokenizer and the examples; gives the vocabulary's size."""
    rows = json.loads((folder / "texts.json").read_text(encoding="utf-8"))
    for name in ("tokenizer", "examples"):
        (folder / name).mkdir()
    ByteLevelBPE(vocab_size=1024).train(iter(row["prompt"] for row in rows), folder / "tokenizer")
    encoder, kind = Encoder(folder / "tokenizer"), {"dpo": "preference", "grpo": "prompt"}[method]
    numbers = {}
    for part in ("train", "held_out"):
        writer = ExamplesWriter(folder / "examples", part, kind)
        for number, row in enumerate(rows):
            prompt = encoder.encode(row["prompt"])
            line = {"id": str(number), "group": str(number), "prompt": [{"role": "user", "content": row["prompt"]}]}
            replies = [[]] if kind == "prompt" else [[*encoder.encode(row[name]), 0] for name in ("chosen", "rejected")]
            masks = [np.arange(len(prompt) + len(reply)) >= len(prompt) for reply in replies]
            writer.write(line, [(np.array(prompt + reply), mask.astype(np.uint8)) for reply, mask in zip(replies, masks, strict=True)])
        numbers[part] = writer.close()
    template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    about = {"kind": kind, "vocab_size": encoder.vocab_size, "end_of_document": 0, "template": template, "loss_on": "every", **numbers}
    (folder / "examples" / "examples.json").write_text(json.dumps(about), encoding="utf-8")
    return encoder.vocab_size


if __name__ == "__main__":
    main()
