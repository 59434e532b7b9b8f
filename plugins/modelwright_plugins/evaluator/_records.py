"""Files of JSON lines that evaluators ask from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from modelwright.errors import ModelwrightError

T = TypeVar("T")


def records(path: Path, make: Callable[[Any], T], what: str, most: int | None = None) -> list[T]:
    """What `make` makes of each line, of the first `most` at most. ModelwrightError: the file can't be read, holds nothing, or `make`
    says by a ValueError what is wrong with a line, which is named. `what`: one of them, in a word."""
    file, found = path.expanduser(), list[T]()
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeError) as e:
        raise ModelwrightError(f"{file}: cannot read the {what}s ({e})") from e
    for number, line in enumerate(lines, 1):
        if not line.strip() or (most is not None and len(found) == most):
            continue
        try:
            found.append(make(json.loads(line)))
        except json.JSONDecodeError as e:
            raise ModelwrightError(f"{file}:{number}: expected a {what} as a line of JSON ({e.msg} at character {e.pos + 1})") from e
        except (ValueError, RecursionError) as e:
            raise ModelwrightError(f"{file}:{number}: {e}") from e
    if not found:
        raise ModelwrightError(f"{file}: there is no {what} in it")
    return found


def write(file: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """A JSON line of each."""
    with file.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def fingerprint(*paths: Path) -> str:
    """Of what is in these files; of one that is missing, nothing."""
    files = [path.expanduser() for path in paths]
    return " ".join(hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "" for file in files)


def text(record: Any, *names: str) -> str:
    """The first of these that a record has. ValueError: it has none, or it is no text."""
    told: dict[str, Any] = record if isinstance(record, dict) else {}
    found = next((told[name] for name in names if name in told), None)
    if not isinstance(found, str) or not found.strip():
        raise ValueError(f"no {names[0]}: expected a text as {' or '.join(names)}")
    return found
