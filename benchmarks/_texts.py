"""Real text for the data benchmarks: what this machine's Python has, or JSON Lines that one names."""

from __future__ import annotations

import random
from contextlib import suppress

from modelwright_plugins.source import BadRecord, Source
from modelwright_plugins.source.jsonl import Jsonl
from modelwright_plugins.source.python_library import PythonLibrary

LARGEST = 300_000  # bytes of a file: above it are word lists and generated code


def texts(megabytes: float, named: list[str]) -> tuple[list[str], str]:
    """Documents of that many 10^6 bytes of UTF-8 in a random order (seed 0), and a line that says which they are. Prose (.md, .rst, .txt
    and packages' descriptions) is half of it, or all that there is; source code is the rest."""
    source: Source = Jsonl(paths=named) if named else PythonLibrary(max_bytes=10**12)
    files = [file for file in source.files() if named or file.bytes <= LARGEST]
    random.Random(0).shuffle(files)
    files.sort(key=lambda file: file.path.suffix == ".py")  # prose first
    chosen: list[str] = []
    sizes = {"prose": 0, "code": 0}
    for file in files:
        kind = "code" if file.path.suffix == ".py" else "prose"
        bound = megabytes * 1e6 * (0.5 if kind == "prose" and not named else 1)
        if sum(sizes.values()) >= bound:
            continue
        with suppress(UnicodeDecodeError):
            for found in source.read(file):
                if not isinstance(found, BadRecord) and sum(sizes.values()) < bound:
                    chosen.append(found.text)
                    sizes[kind] += len(found.text.encode("utf-8", "surrogatepass"))
    random.Random(0).shuffle(chosen)
    what = ", ".join(named) if named else "this machine's Python library and packages, files to 300 kB"
    return chosen, f"{len(chosen):,} documents of {what}: {sizes['prose'] / 1e6:.1f} MB of prose, {sizes['code'] / 1e6:.1f} MB of code"


def size(documents: list[str]) -> float:
    """10^6 bytes of UTF-8."""
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in documents) / 1e6
