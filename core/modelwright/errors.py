"""Errors that a person can act on: one line, what is wrong, what was expected, the nearest right thing."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ModelwrightError(Exception):
    """Bad input, told in one line. The command line prints it and exits with 2, without a traceback."""


def nearest(word: str, options: Iterable[str]) -> str:
    """`; did you mean 'muon'?`, or the options when none is near, or nothing when there are none."""
    known = sorted(set(options))
    if close := difflib.get_close_matches(word, known, 1, 0.6):
        return f"; did you mean {close[0]!r}?"
    return f"; there are: {', '.join(known)}" if known else ""
