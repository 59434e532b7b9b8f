"""Documents as lines of JSON: what is between passes and what a curation leaves hold the same, whatever the metadata is."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson

OTHERWISE = b" "  # begins a line that orjson could not write, and would not read as it was


def line(value: Any) -> bytes:
    """A line of JSON, in UTF-8. Metadata may be anything that JSON holds: numbers that are none (NaN, infinite) become null, integers
    may have any size, and keys that are no strings become some. Halves of surrogate pairs, which are no characters, become question
    marks. TypeError: it is something else, a set say."""
    try:
        return orjson.dumps(value) + b"\n"
    except TypeError:
        return OTHERWISE + json.dumps(_plain(value), ensure_ascii=False, allow_nan=False).encode("utf-8", "replace") + b"\n"


def parsed(written: bytes) -> Any:
    """What `line` wrote: orjson reads long integers as floats."""
    return json.loads(written) if written.startswith(OTHERWISE) else orjson.loads(written)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {_plain(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
