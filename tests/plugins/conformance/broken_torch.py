"""What subclasses torch of the broken optimizers and kernels."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import torch

COUNT = itertools.count()


def broken(how: str, optimizer: Any, groups: Any) -> Any:
    """AdamW, changed in the way of this name."""
    if how == "Reordering":
        optimizer.param_groups.reverse()
    for group in optimizer.param_groups:
        if how == "LosingKeys":
            del group["lr_mult"]
        if how == "Undecayed":
            del group["weight_decay"]
        if how == "Rateless":
            group["lr"] = 0
        if how == "Exploding":
            group["lr"] = float("inf")
        if how == "Ascending":
            group["maximize"] = True
    if how in vars(Steps):
        optimizer.step = functools.partial(vars(Steps)[how].__func__, optimizer, optimizer.step)
    return optimizer


class Steps:
    """step, in the way of each name."""

    @staticmethod
    def Still(optimizer: Any, step: Any) -> None: ...

    @staticmethod
    def Noisy(optimizer: Any, step: Any) -> None:
        for p in _parameters(optimizer):
            p.grad += 1e-4 * (next(COUNT) % 7)
        step()

    @staticmethod
    def Outside(optimizer: Any, step: Any) -> None:
        optimizer.done = getattr(optimizer, "done", 0) + 1
        for p in _parameters(optimizer):
            p.grad *= optimizer.done
        step()

    @staticmethod
    def Executable(optimizer: Any, step: Any) -> None:
        step()
        for p in _parameters(optimizer):
            optimizer.state[p]["run"] = print

    @staticmethod
    def Wasteful(optimizer: Any, step: Any) -> None:
        step()
        for p in _parameters(optimizer):
            optimizer.state[p]["copy"] = p.detach().clone()

    @staticmethod
    @torch.no_grad()
    def Norming(optimizer: Any, step: Any) -> None:
        step()
        for p in _parameters(optimizer):
            p.sub_(0.01 * p.grad / (1e-6 + p.grad.norm()))

    Splitting = Norming

    @staticmethod
    @torch.no_grad()
    def Counting(optimizer: Any, step: Any) -> None:
        step()
        for p in _parameters(optimizer):
            state = optimizer.state[p]
            state["gain"] = state.get("gain", torch.zeros(())) + 1
            p.sub_(0.01 * state["gain"] * p.grad)


def _parameters(optimizer: Any) -> list[Any]:
    return [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]


def __getattr__(name: str) -> Any:
    """Modules of a kernel: made when they are asked for, as they import Megatron."""
    if name == "Scaled":
        from modelwright_plugins.engine.attention import SDPA

        class Scaled(SDPA):
            def forward(self, *given: Any, **named: Any) -> Any:
                return super().forward(*given, **named) * 1.01

        return Scaled
    if name == "Blind":
        from modelwright_plugins.engine.attention import SDPA

        class Blind(SDPA):
            def forward(self, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> Any:
                return super().forward(query, key, value)

        return Blind
    if name == "Unbiased":
        from modelwright_plugins.engine.attention import SDPA

        class Unbiased(SDPA):
            def forward(self, *given: Any, attention_bias: Any = None, **named: Any) -> Any:
                return super().forward(*given, **named)

        return Unbiased
    if name == "Alone":
        from modelwright_plugins.engine.attention import SDPA

        class Alone(SDPA):
            def attend(self, q: Any, k: Any, v: Any, mask: Any, dropout: float) -> Any:
                length = q.shape[2]
                return super().attend(q, k[:, :, :length], v[:, :, :length], None if mask is None else mask[..., :length], dropout)

        return Alone
    if name == "Biased":
        from modelwright_plugins.engine.norm import Norm

        class Biased:
            def __new__(cls, *given: Any, **named: Any) -> Any:
                module: Any = Norm(*given, **named)
                module.register_parameter("extra", torch.nn.Parameter(torch.zeros(1)))
                return module

        return Biased
    raise AttributeError(name)
