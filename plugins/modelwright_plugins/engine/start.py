"""Starting and stopping Megatron on the ranks of a stage: devices, process groups, random state."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist

from modelwright_plugins.engine import absent
from modelwright_plugins.parallel import Parallel


@contextmanager
def started(layout: Parallel, *, seed: int) -> Iterator[torch.device]:
    """Join the other ranks of this stage in `layout`; the device of this rank. The launcher has set RANK, WORLD_SIZE,
    LOCAL_RANK, MASTER_ADDR and MASTER_PORT; without them there is one rank.

    Raises RuntimeError if the process already is in a process group.
    """
    if dist.is_initialized():
        raise RuntimeError("this process already belongs to a torch process group")
    device = find_device()
    alone: dict[str, Any] = {} if "RANK" in os.environ else {"store": dist.HashStore(), "rank": 0, "world_size": 1}
    dist.init_process_group("gloo" if device.type == "cpu" else "nccl", device_id=device if device.type == "cuda" else None, **alone)
    try:
        with laid_out(layout, seed=seed):
            yield device
    finally:
        dist.destroy_process_group()


@contextmanager
def laid_out(layout: Parallel, *, seed: int) -> Iterator[None]:
    """Megatron's groups for `layout` over the process group that exists."""
    from megatron.core import parallel_state
    from megatron.core.tensor_parallel.random import model_parallel_cuda_manual_seed

    parallel_state.initialize_model_parallel(
        layout.tensor,
        layout.pipeline,
        virtual_pipeline_model_parallel_size=layout.virtual,
        context_parallel_size=layout.context,
        expert_model_parallel_size=layout.expert,
        expert_tensor_parallel_size=layout.expert_tensor,
        create_gloo_process_groups=False,
    )
    try:
        model_parallel_cuda_manual_seed(seed)
        yield
    finally:
        parallel_state.destroy_model_parallel()


def find_device() -> torch.device:
    """This rank's device, and Megatron made ready for it."""
    absent.stand_in()
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(device)
        return device
    from modelwright_plugins.engine import cpu

    cpu.adapt()
    cpu.keep_memory()
    # more OpenMP threads a rank made small models slower on shared cores (520-830 tokens a CPU-second against 4,000-5,000)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    return torch.device("cpu")
