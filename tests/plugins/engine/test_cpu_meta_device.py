"""`with torch.device(…)` still reaches torch's factories after Megatron-Core was made ready for the CPU."""

import json
import subprocess
import sys

import pytest
import torch

ASKED = """
import json
import torch
from modelwright_plugins.engine.start import find_device
find_device()
with torch.device("meta"):
    made = [torch.empty(3), torch.arange(3), torch.zeros(3), torch.ones(3), torch.full((3,), 1.0), torch.tensor([1.0])]
print(json.dumps([tensor.device.type for tensor in made]))
"""


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without CUDA")
def test_a_device_context_is_obeyed():
    """In a process of its own: the context must be used for the first time after Megatron-Core was adapted."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", ASKED], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == ["meta"] * 6
