from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from modelwright.component import Component


class Shape(Component):
    """The outline of a picture."""


class Color(Component):
    """What a picture is filled with."""


@dataclass(frozen=True)
class Point:
    x: int = 0
    y: int = 0


@dataclass(frozen=True, kw_only=True)
class Circle(Shape):
    """A round one."""

    radius: float = 1.0  # metres; a # in a comment
    center: Point = Point()

    def __post_init__(self) -> None:
        if self.radius <= 0:
            raise ValueError(f"radius must be positive, not {self.radius}")


@dataclass(frozen=True, kw_only=True)
class Square(Shape):
    """One with corners."""

    # metres,
    # of one side
    side: float
    corners: Literal["sharp", "round"] = "sharp"
    sizes: tuple[int, ...] = (1, 2)
    where: Path | None = None
    tags: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Red(Color):
    """Red."""

    shade: int = 5


@dataclass(frozen=True, kw_only=True)
class Blue(Color):
    """Blue."""

    depth: int = 7
