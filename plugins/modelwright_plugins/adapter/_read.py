"""Files that an adapter begins with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def contents(files: Iterable[Path]) -> str:
    """A hash of the names and bytes of those that are there, as a component's fingerprint; "" where none is."""
    told = []
    for file in files:
        if file.is_file():
            with file.open("rb") as data:
                told.append(f"{file.name} {hashlib.file_digest(data, 'sha256').hexdigest()}")
    return hashlib.sha256("\n".join(told).encode()).hexdigest() if told else ""
