"""How a broken promise is told: in one line, whose it is, what was promised, and what happened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LONGEST = 600  # characters of what happened


class BrokenPromise(AssertionError):
    """A component does not hold what its kind promises."""


@contextmanager
def promised(component: Any, what: str) -> Iterator[None]:
    """Whatever is raised inside breaks this promise of the component; `hold` raises inside when a condition is not met."""
    try:
        yield
    except BrokenPromise:
        raise
    except (Exception, SystemExit) as e:
        happened = " ".join((str(e) if type(e) is AssertionError else f"{type(e).__name__}: {e}").split())[:LONGEST]
        raise BrokenPromise(f"{type(component).__name__}: promised: {what}; {happened}") from e


def hold(condition: Any, happened: str) -> None:
    """Within `promised`: unless the condition is met, this happened instead."""
    if not condition:
        raise AssertionError(happened)


def close(one: list[float], other: list[float], within: float) -> bool:
    """Whether the numbers are the same up to this relative difference."""
    return len(one) == len(other) and all(abs(a - b) <= within * abs(a) for a, b in zip(one, other, strict=True))
