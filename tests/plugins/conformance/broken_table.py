"""The table of broken components: (kind, class, what is said of it)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

BROKEN: list[tuple[str, type[Any], str]] = []


def breaks(kind: str, said: str) -> Callable[[type[Any]], type[Any]]:
    """This class breaks a promise of the kind; the error holds these words."""

    def note(cls: type[Any]) -> type[Any]:
        BROKEN.append((kind, cls, said))
        return cls

    return note
