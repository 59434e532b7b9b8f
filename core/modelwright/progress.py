"""One progress bar for all long work: rate and time left on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

T = TypeVar("T")


def progress(title: str, total: int | None, unit: str) -> tqdm[Any]:
    """A tqdm bar on standard error. `unit` is what is counted: 'B' is scaled (MB); `.update(n)`, `.set_postfix_str`, `.close()`."""
    from tqdm import tqdm

    tty = sys.stderr.isatty()
    return tqdm(
        total=total, desc=f"  {title}", unit=unit, unit_scale=unit in {"B", "tok"}, dynamic_ncols=tty,
        mininterval=0.2 if tty else 15.0, maxinterval=10.0 if tty else 60.0, smoothing=0.1, leave=True, file=sys.stderr,
    )  # fmt: skip


def tracked(items: Iterable[T], title: str, total: int | None, unit: str) -> Iterator[T]:
    """Yield `items`, showing a bar that counts them."""
    with progress(title, total, unit) as bar:
        for item in items:
            yield item
            bar.update(1)
