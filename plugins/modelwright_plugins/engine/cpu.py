"""What Megatron-Core 0.16.1 needs to run without CUDA, over gloo. Only `engine.start` imports this.

Megatron-Core names CUDA in about 175 places instead of asking for a device. Each change below makes one family of
those places mean the CPU; nothing here changes any arithmetic. On a machine with CUDA none of it is used.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch.utils._device import _device_constructors

from modelwright_plugins.engine.light_import import uncompiled

CPU = torch.device("cpu")
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h


def adapt() -> None:
    """Make the places where Megatron-Core says 'cuda' mean the CPU. Safe to call twice."""
    if getattr(torch.cuda, "means_cpu", False):
        return
    torch.cuda.means_cpu = True  # type: ignore[attr-defined]
    _device()
    _factories()
    _random_state()
    _tensor_types()
    _streams()
    _collectives()
    _alone()
    uncompiled(vars(torch.optim.Optimizer).values())


def keep_memory() -> None:
    """Let glibc keep what tensors give back, instead of returning it to the system and asking for zeroed pages at each step.

    A step's largest tensors, its logits, are the same size each time; page faults on them took a fifth of a small model's step.
    """
    with contextlib.suppress(AttributeError, OSError):  # other C libraries have no mallopt
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def _device() -> None:
    """`torch.cuda.current_device()` is passed on as `device=`; `.cuda()` moves what is already in place."""
    cuda: Any = torch.cuda
    cuda.current_device = lambda: CPU
    cuda.is_current_stream_capturing = lambda: False
    cuda.memory_allocated = lambda *_, **__: 0
    for name in ("synchronize", "empty_cache", "set_device"):
        setattr(cuda, name, _nothing())
    cuda.nvtx.range_push = cuda.nvtx.range_pop = _nothing()
    torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]
    torch.nn.Module.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]


def _nothing() -> Callable[..., None]:
    """A function of its own for each stub: dynamo refuses one object under two rules."""
    return lambda *_, **__: None


def _factories() -> None:
    """`torch.zeros(..., device="cuda")`: the optimizers and gradient clipping write the device out. Pinned memory is CUDA's."""

    def on_cpu(factory: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(factory)
        def made(*args: Any, **options: Any) -> Any:
            if "device" in options and str(options["device"]).startswith("cuda"):
                options["device"] = CPU
            options.pop("pin_memory", None)
            return factory(*args, **options)

        return made

    # `with torch.device(…)` knows the factories by identity, from its first use on: it must have seen torch's own
    # (transformers' from_pretrained, which builds on the meta device, left buffers unfilled)
    _device_constructors()
    for name in ("tensor", "empty", "zeros", "ones", "full", "arange", "empty_like", "zeros_like", "ones_like"):
        setattr(torch, name, on_cpu(getattr(torch, name)))


def _random_state() -> None:
    """The random state tracker (dropout under tensor parallelism) forks CUDA's generator; here the default one."""
    import megatron.core.tensor_parallel.random as random

    def get(*_: Any, **__: Any) -> torch.Tensor:
        return torch.get_rng_state()

    def put(state: torch.Tensor, *_: Any, **__: Any) -> None:
        torch.set_rng_state(state)

    cuda: Any = torch.cuda
    cuda.get_rng_state = cuda.random.get_rng_state = get
    cuda.set_rng_state, cuda.manual_seed = put, torch.manual_seed
    random._get_cuda_rng_state, random._set_cuda_rng_state = get, put


def _tensor_types() -> None:
    """The optimizers compare `parameter.type()` with 'torch.cuda.FloatTensor'."""
    type_of = torch.Tensor.type

    def type_(self: torch.Tensor, dtype: Any = None, *args: Any, **options: Any) -> Any:
        if dtype is not None:
            return type_of(self, dtype, *args, **options)
        return type_of(self).replace("torch.", "torch.cuda.", 1)

    torch.Tensor.type = type_  # type: ignore[method-assign, assignment]


def _streams() -> None:
    """Streams and events order work on a device that runs behind the program; the CPU has none."""

    class Event:
        def __init__(self, *_: Any, **__: Any) -> None: ...

        record = wait = synchronize = lambda self, *_, **__: None
        query = lambda self: True  # noqa: E731

    class Stream:
        def __init__(self, *_: Any, **__: Any) -> None: ...

        wait_stream = wait_event = synchronize = lambda self, *_, **__: None
        record_event = lambda self, *_: Event()  # noqa: E731

    cuda: Any = torch.cuda
    cuda.Event, cuda.Stream = Event, Stream
    cuda.current_stream = cuda.default_stream = lambda *_: Stream()
    cuda.stream = lambda _: contextlib.nullcontext()


class _Done:
    """The handle of a collective that is over."""

    def wait(self, *_: Any) -> bool:
        return True

    is_completed = wait


def _alone() -> None:
    """Sums and broadcasts among one rank change nothing, and gloo takes 3 ms of a core for each: a fifth of a small model's step."""
    torch_dist: Any = dist
    coalescing = dist.distributed_c10d._world.pg_coalesce_state

    def unless_alone(collective: Callable[..., Any]) -> Callable[..., Any]:
        takes = inspect.signature(collective)

        @functools.wraps(collective)
        def called(*args: Any, **options: Any) -> Any:
            given = takes.bind(*args, **options).arguments
            group = given.get("group") or dist.group.WORLD
            if group in coalescing or not isinstance(group, dist.ProcessGroup) or group.size() > 1:
                return collective(*args, **options)
            return _Done() if given.get("async_op") else None

        return called

    for name in ("all_reduce", "broadcast"):
        setattr(torch_dist, name, unless_alone(getattr(torch_dist, name)))


def _collectives() -> None:
    """What a mixture of experts sends between ranks has uneven sizes, which NCCL takes and gloo refuses."""
    torch_dist: Any = dist
    all_gather, reduce_scatter, all_to_all = torch_dist.all_gather, torch_dist.reduce_scatter, torch_dist.all_to_all_single

    def gather(outputs: list[torch.Tensor], own: torch.Tensor, group: Any = None, async_op: bool = False) -> Any:
        if len({output.shape for output in outputs}) == 1:
            return all_gather(outputs, own, group=group, async_op=async_op)
        for rank, output in zip(dist.get_process_group_ranks(group or dist.group.WORLD), outputs, strict=True):
            if rank == dist.get_rank():
                output.copy_(own)
            if output.numel():
                dist.broadcast(output, rank, group=group)
        return None

    def scatter(
        own: torch.Tensor, parts: list[torch.Tensor], op: Any = dist.ReduceOp.SUM, group: Any = None, async_op: bool = False
    ) -> Any:
        if len({part.shape for part in parts}) == 1:
            return reduce_scatter(own, parts, op=op, group=group, async_op=async_op)
        whole = torch.cat([part.reshape(-1) for part in parts])
        dist.all_reduce(whole, op=op, group=group)
        own.copy_(whole.split([part.numel() for part in parts])[dist.get_rank(group)].view_as(own))
        return None

    def exchange(
        output: torch.Tensor, own: torch.Tensor, output_split_sizes: Any = None, input_split_sizes: Any = None, **options: Any
    ) -> Any:
        sizes = [None if each is None else [int(n) for n in each] for each in (output_split_sizes, input_split_sizes)]
        return all_to_all(output, own, *sizes, **options)

    torch_dist.all_gather, torch_dist.reduce_scatter, torch_dist.all_to_all_single = gather, scatter, exchange
