"""Importing Megatron-Core on a CPU leaves TorchInductor and wandb alone, and both as they were; an optimizer leaves TorchDynamo."""

import json
import subprocess
import sys

import pytest
import torch

ASKED = """
import gc, json, sys
import torch
threshold = gc.get_threshold()
compile_ = torch.compile
import modelwright_plugins.engine.trainer
import megatron.core.jit
as_before = gc.get_threshold() == threshold and gc.get_freeze_count() > 100_000
from modelwright_plugins.engine.forecast import _on_meta
from modelwright_plugins.engine.start import started
from modelwright_plugins.parallel.megatron import Megatron
with started(Megatron(), seed=1):
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(2))])
    optimizer.zero_grad()
    optimizer.load_state_dict(optimizer.state_dict())
with _on_meta():
    1.0 / 2.0 ** (torch.arange(0, 4, 2, dtype=torch.float32) / 4)
before = sorted(name for name in ("torch._dynamo", "torch._inductor.compile_fx", "wandb") if name in sys.modules)
import wandb
left = [finder for finder in sys.meta_path if "Light" in type(finder).__name__]
print(json.dumps([before, torch.compile is compile_, wandb.__name__, megatron.core.jit.jit_fuser(len) is len, left, as_before]))
"""


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without CUDA")
def test_it_is_light_and_leaves_no_trace():
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", ASKED], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [[], True, "wandb", True, [], True]
