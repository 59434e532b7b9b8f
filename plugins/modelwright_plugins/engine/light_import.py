"""Megatron-Core 0.16.1 imports what no CPU uses, TorchInductor and wandb, which is half of the seconds until a rank starts.

It wraps small functions in torch.compile as it is imported (`megatron.core.jit`), for kernels that run on CUDA, and its inference server
would log to W&B. Where there is no CUDA both are left out while it is imported, and only then: torch.compile and wandb stay anybody's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


class LightImport(MetaPathFinder):
    """Stands at the head of sys.meta_path until Megatron-Core is imported, whoever imports it first."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "megatron.core":
            return None
        sys.meta_path.remove(self)
        if (spec := PathFinder.find_spec(name, path, target)) is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def lightly(module: ModuleType) -> None:
                with _without_compilers():
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
