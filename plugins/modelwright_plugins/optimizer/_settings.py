"""What every optimizer checks of its settings, and gives its parameter groups."""

from __future__ import annotations

from typing import Any


def not_negative(component: Any, *names: str) -> None:
    """ValueError unless these fields are 0 or more."""
    for name in names:
        if not getattr(component, name) >= 0:
            raise ValueError(f"{name} is {getattr(component, name)}; it is 0 or more")


def decays(component: Any, *names: str) -> None:
    """ValueError unless these fields, or each of their numbers, are in [0, 1)."""
    for name in names:
        value = getattr(component, name)
        if not all(0 <= each < 1 for each in (value if isinstance(value, tuple | list) else [value])):
            raise ValueError(f"{name} is {value}; it is from 0 up, and below 1")


def with_rates(groups: list[dict[str, Any]], *, lr: float, weight_decay: float) -> list[dict[str, Any]]:
    """The groups, with a learning rate, and weight decay on all but norms and biases."""
    for group in groups:
        group |= {"lr": lr, "weight_decay": 0.0 if group["role"] == "vector" else weight_decay}
    return groups
