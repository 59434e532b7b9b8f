"""Reading a `Documents` artifact."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from modelwright.errors import ModelwrightError

if TYPE_CHECKING:
    from modelwright_plugins.artifacts import Documents

Part = Literal["train", "held_out"]


def read(documents: Documents) -> Iterator[dict[str, Any]]:
    """The documents in order: {"text", "id", "metadata"}. ModelwrightError: a line that is no document (file and line are named)."""
    files = sorted(documents.path.glob("*.jsonl.gz"))
    if not files:
        raise ModelwrightError(f"{documents.path}: expected *.jsonl.gz of documents, found none")
    for file in files:
        number = 0
        try:
            with gzip.open(file, "rt", encoding="utf-8") as lines:
                for line in lines:
                    number += 1
                    document = json.loads(line)
                    if not isinstance(document["text"], str):
                        raise TypeError("text")
                    document["metadata"]["group"]
                    yield document
        except (ValueError, KeyError, TypeError, OSError, EOFError, zlib.error) as error:
            expected = 'expected {"text": str, "id": str, "metadata": {"group": str}}'
            raise ModelwrightError(f"{file}:{number}: {expected} ({type(error).__name__}: {error})") from error


def split(documents: Documents) -> dict[str, Any]:
    """`split.json`: {"held_out": [groups], "bytes": {"train": int, "held_out": int}}."""
    file = documents.path / "split.json"
    try:
        found = json.loads(file.read_text())
        found["held_out"], found["bytes"]["train"], found["bytes"]["held_out"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        expected = 'expected {"held_out": [groups], "bytes": {"train", "held_out"}}'
        raise ModelwrightError(f"{file}: {expected} ({type(error).__name__}: {error})") from error
    return found
