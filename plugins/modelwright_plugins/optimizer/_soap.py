"""SOAP's update, as a torch optimizer, under tensor parallelism."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from modelwright_plugins.engine.split import Split

TIE = 1e-6
"""Part of its own diagonal that the first mean has more of. The mean of one gradient has a null space if it is not square; rounding
would choose the eigenvectors there, and one layout would learn otherwise than another: so the sizes of rows choose them."""


class RotatedAdam(torch.optim.Optimizer):
    """Vyas et al. 2024, Algorithm 3. Of more than two dimensions, all but the first are columns.

    A state has the means `exp_avg` (as the parameter is) and `exp_avg_sq` (rotated; split as the parameter is), and of the
    whole matrix, for each side s that is rotated, `mean<s>`, of GGᵀ or GᵀG, and `rotation<s>`, eigenvectors in columns.
    """

    def __init__(self, groups: list[dict[str, Any]], **defaults: Any) -> None:
        super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0, **defaults})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                split = Split.of(parameter, group)
                if not self.state[parameter]:
                    self.state[parameter] = _started(parameter, group, split)
                self.state[parameter]["step"] += 1
                if self.state[parameter].get("matrix"):
                    _rotated(parameter, parameter.grad, self.state[parameter], group, split)
                else:
                    _straight(parameter, parameter.grad, self.state[parameter], group)


def _started(parameter: Tensor, group: dict[str, Any], split: Split) -> dict[str, Any]:
    state = {"step": torch.zeros((), device="cpu"), "exp_avg": torch.zeros_like(parameter), "exp_avg_sq": torch.zeros_like(parameter)}
    if parameter.dim() < 2:
        return state
    sizes = {side: size for side, size in enumerate(split.shape(parameter)) if size <= group["max_dimension"]}
    if group["role"] == "embedding":
        sizes.pop(0, None)
    means = {f"mean{side}": parameter.new_zeros(size, size) for side, size in sizes.items()}
    return {**state, "matrix": {**means, **{f"rotation{side}": parameter.new_zeros(size, size) for side, size in sizes.items()}}}


def _straight(parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    (b1, b2), t = group["betas"], float(state["step"])
    state["exp_avg"].lerp_(gradient, 1 - b1)
    state["exp_avg_sq"].lerp_(gradient**2, 1 - b2)
    update = state["exp_avg"] / (state["exp_avg_sq"].sqrt() + group["epsilon"])
    _move(parameter, update, t, group)


def _rotated(parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any], split: Split) -> None:
    known: dict[str, Tensor] = state["matrix"]
    sides = [side for side in (0, 1) if f"mean{side}" in known]
    whole = split.whole(gradient)
    matrix = whole.flatten(1)
    keep = group["rotation_beta"]
    if (t := float(state["step"]) - 1) == 0:  # no gradient is rotated by what it alone has chosen
        for side in sides:
            mean = _outer(matrix.double(), side) * (1 - keep)
            known[f"mean{side}"].copy_(mean)
            known[f"rotation{side}"].copy_(torch.linalg.eigh(mean + TIE * mean.diag().diag())[1].flip(1))
        return

    def of_rank(matrix: Tensor) -> Tensor:
        return split.part(matrix.view_as(whole))

    (b1, b2), rotations = group["betas"], {side: known[f"rotation{side}"] for side in sides}
    average, squares = state["exp_avg"].lerp_(gradient, 1 - b1), state["exp_avg_sq"]
    squares.lerp_(of_rank(_turned(matrix, rotations) ** 2), 1 - b2)
    update = of_rank(_turned(split.whole(average).flatten(1), rotations)) / (squares.sqrt() + group["epsilon"])
    back = {side: rotation.T for side, rotation in rotations.items()}
    _move(parameter, of_rank(_turned(split.whole(update).flatten(1), back)), t, group)
    for side in sides:
        known[f"mean{side}"].lerp_(_outer(matrix, side), 1 - keep)
    if t % group["rotate_every"] == 0:
        all_squares = split.whole(squares).flatten(1)
        for side in sides:
            order = _follow(known[f"mean{side}"], known[f"rotation{side}"])
            all_squares = all_squares.index_select(side, order)
        squares.copy_(of_rank(all_squares))


def _outer(matrix: Tensor, side: int) -> Tensor:
    return matrix @ matrix.T if side == 0 else matrix.T @ matrix


def _turned(matrix: Tensor, rotations: dict[int, Tensor]) -> Tensor:
    matrix = rotations[0].T @ matrix if 0 in rotations else matrix
    return matrix @ rotations[1] if 1 in rotations else matrix


def _follow(mean: Tensor, rotation: Tensor) -> Tensor:
    """One power iteration towards the eigenvectors of `mean`, in place; the order in which the old ones were taken."""
    towards = mean @ rotation
    order = (rotation * towards).sum(0).argsort(descending=True)
    rotation.copy_(torch.linalg.qr(towards[:, order])[0])
    return order


def _move(parameter: Tensor, update: Tensor, t: float, group: dict[str, Any]) -> None:
    """By an update whose means have had t gradients; they started at 0, for which the rate is corrected."""
    b1, b2 = group["betas"]
    parameter.sub_(update, alpha=group["lr"] * (1 - b2**t) ** 0.5 / (1 - b1**t))
    parameter.mul_(1 - group["lr"] * group["weight_decay"])
