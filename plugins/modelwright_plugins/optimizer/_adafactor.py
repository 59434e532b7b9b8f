"""Adafactor's update, as a torch optimizer, under tensor parallelism."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from modelwright_plugins.engine.split import Split


class FactoredSquares(torch.optim.Optimizer):
    """Shazeer and Stern 2018, Algorithm 4 for matrices (of more than two dimensions, all but the first are columns), 5 for vectors."""

    def __init__(self, groups: list[dict[str, Any]], **defaults: Any) -> None:
        super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0, **defaults})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group, Split.of(parameter, group))

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any], split: Split) -> None:
        state = self.state[parameter]
        rows = _rows(parameter, gradient, group["role"], split)
        size = rows * (parameter[0].numel() * (split.ranks if split.dim else 1))
        if not state:
            state["step"] = torch.zeros((), device="cpu")
            if parameter.dim() < 2:
                state["squares"] = torch.zeros_like(parameter)
            else:
                whole = split.shape(parameter)
                state["matrix"] = {what: gradient.new_zeros(length) for what, length in zip(("rows", "columns"), whole, strict=True)}
        state["step"] += 1
        kept = 1 - float(state["step"]) ** -group["decay"]
        squares = gradient**2 + group["epsilon"]
        if parameter.dim() < 2:
            state["squares"].lerp_(squares, 1 - kept)
            update = gradient * state["squares"].rsqrt()
        else:
            of_rows, of_columns = state["matrix"]["rows"], state["matrix"]["columns"]
            columns = size / rows
            of_rows.lerp_(_sums(squares.flatten(1), 1, split) / columns, 1 - kept)
            of_columns.lerp_(_sums(squares.flatten(1), 0, split) / rows, 1 - kept)
            # V = R C / mean(R); the factors apart, as their product may be too small for a float
            row, column = (of_rows / (of_rows.sum() / rows)).rsqrt(), of_columns.rsqrt()
            if split.dim == 0:
                row = split.part(row, 0)
            else:
                column = split.part(column, 0)
            update = gradient * (row[:, None] * column).view_as(gradient)
        update /= (_rms(update, size, split) / group["clip"]).clamp(min=1.0)
        rate = _rms(parameter, size, split).clamp(min=group["least_scale"]) if group["relative"] else 1.0
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.sub_(update * (rate * group["lr"]))


def _rows(parameter: Tensor, gradient: Tensor, role: str, split: Split) -> Tensor:
    """Rows of the whole. How many rows pad a vocabulary depends on the layout: they are 0, have no gradient, and don't count."""
    if role == "embedding":
        found = (parameter.ne(0) | gradient.ne(0)).flatten(1).any(1).sum().float()
    else:
        found = gradient.new_tensor(float(len(parameter)))
    return (split.total(found) if split.dim == 0 else found).clamp(min=1.0)


def _sums(squares: Tensor, over: int, split: Split) -> Tensor:
    """The sums over one dimension of the whole matrix, all of them."""
    sums = squares.sum(over)
    return split.total(sums) if over == split.dim else split.whole(sums, 0)


def _rms(tensor: Tensor, size: Tensor, split: Split) -> Tensor:
    """The root mean square of the whole, of `size` elements that count."""
    return (split.total((tensor**2).sum()) / size).sqrt()
