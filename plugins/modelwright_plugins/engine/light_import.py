"""Megatron-Core 0.16.1 imports what no CPU uses, TorchInductor and wandb, which is half of the seconds until a rank starts.

It wraps small functions in torch.compile as it is imported (`megatron.core.jit`), for kernels that run on CUDA, and its inference server
would log to W&B. Where there is no CUDA both are left out while it is imported, and only then: torch.compile and wandb stay anybody's.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import CellType, FunctionType, ModuleType
from typing import Any


class LightImport(MetaPathFinder):
    """Stands at the head of sys.meta_path until torch and Megatron-Core are imported, whoever imports them first."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in ("torch", "megatron.core"):
            return None
        if name == "megatron.core":
            sys.meta_path.remove(self)
        if (spec := PathFinder.find_spec(name, path, target)) is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def lightly(module: ModuleType) -> None:
                with _seldom_collected(), _without_compilers() if name == "megatron.core" else nullcontext():
                    execute(module)

            spec.loader.exec_module = lightly  # type: ignore[method-assign]
        return spec


@contextmanager
def _without_compilers() -> Iterator[None]:
    import torch

    if torch.cuda.is_available():
        yield
        return
    compile_, wandb = torch.compile, "wandb" in sys.modules
    torch.compile = _as_it_is  # type: ignore[assignment]
    if not wandb:
        sys.modules["wandb"] = None  # type: ignore[assignment]  # importing it is an ImportError, which Megatron-Core expects
    try:
        yield
    finally:
        torch.compile = compile_
        if not wandb:
            del sys.modules["wandb"]


def _as_it_is(function: Callable[..., Any] | None = None, **_: Any) -> Any:
    return _as_it_is if function is None else function


def uncompiled(functions: Iterable[Any]) -> None:
    """torch 2.13 imports TorchDynamo (0.7 s of a core) at the first call of what `torch._disable_dynamo` decorates, to tell it that it
    must not compile that: the methods of optimizers, and operations on the meta device. For these `functions` it is not told."""
    within = [function for function in functions if isinstance(function, FunctionType)]
    seen: set[int] = set()
    while within:
        function = within.pop()
        if id(function) in seen:
            continue
        seen.add(id(function))
        function.__dynamo_disable = function  # type: ignore[attr-defined]  # where the decorator looks for what it is to call
        held = (cell.cell_contents for cell in function.__closure__ or () if cell != CellType())
        within += [each for each in held if isinstance(each, FunctionType)]


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """What torch and Megatron-Core make as they are imported stays: looking through it for garbage again and again was a fifth of
    the time until a rank starts. Nor is it looked through later."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 20)
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(*before)
