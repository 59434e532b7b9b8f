"""A program, as opening a model changes torch for the process: it opens that of a run, and writes down its weights and its answers."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import torch
from modelwright_masked_diffusion.denoiser import MASK

from modelwright.hooks import discover
from modelwright_plugins.artifacts import Checkpoint
from modelwright_plugins.engine.inference import open_model

KINDS = {"parallel": "megatron", "precision": "fp32", "kernel": "torch", "attention": "sdpa"}


def ask(run: Path) -> dict[str, Any]:
    (folder,) = {path.parent for path in run.glob("*/checkpoint/model.json")}
    parts = {kind: discover().registry.load(kind, name)() for kind, name in KINDS.items()}
    with open_model(Checkpoint(folder), **parts, seed=0) as model, torch.no_grad():
        text = torch.randint(1, model.vocab_size, (3, model.sequence_length), generator=torch.Generator().manual_seed(0))
        text[:, 5:20:3] = MASK
        changed = text.clone()
        changed[:, -1] = torch.where(text[:, -1] == 7, 8, 7)
        labels = text.clamp(min=0)
        position = torch.arange(text.shape[1]).expand_as(text)
        return {
            "text": text,
            "labels": labels,
            "logits": model.chunks[0](text, position, None, runtime_gather_output=True),
            "changed": model.chunks[0](changed, position, None, runtime_gather_output=True),
            "nats": model.chunks[0](text, position, None, labels=labels),
            "vocab_size": model.vocab_size,
            "weights": {name: weight.detach() for name, weight in model.chunks[0].named_parameters()},
        }


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(pickle.dumps(ask(Path(sys.argv[1]))))
