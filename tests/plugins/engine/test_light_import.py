"""Importing Megatron-Core on a CPU leaves TorchInductor and wandb alone, and both as they were."""

import json
import subprocess
import sys

import pytest
import torch

ASKED = """
import json, sys
import torch
compile_ = torch.compile
import modelwright_plugins.engine.trainer
import megatron.core.jit
before = sorted(name for name in ("torch._inductor.compile_fx", "wandb") if name in sys.modules)
import wandb
left = [finder for finder in sys.meta_path if "Light" in type(finder).__name__]
print(json.dumps([before, torch.compile is compile_, wandb.__name__, megatron.core.jit.jit_fuser(len) is len, left]))
"""


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without CUDA")
def test_it_is_light_and_leaves_no_trace():
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", ASKED], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [[], True, "wandb", True, []]
