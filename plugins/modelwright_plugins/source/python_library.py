"""The machine's own Python library: the text that every machine with Modelwright has."""

from __future__ import annotations

import hashlib
import io
import os
import sysconfig
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright_plugins.source import BadRecord, Source, SourceFile

if TYPE_CHECKING:
    from datatrove.data import Document

PROSE = (".md", ".rst", ".txt")
SKIP = {"__pycache__", "site-packages", "dist-packages", "node_modules"}


@dataclass(frozen=True, kw_only=True)
class PythonLibrary(Source):
    """Code and docs of this machine's Python: the standard library and every installed package."""

    max_bytes: int = 30_000_000  # bytes; every group gives all it has up to one equal cap, which is set so that all together give this

    def files(self) -> list[SourceFile]:
        groups: dict[str, list[SourceFile]] = {}
        paths = sysconfig.get_paths()
        for file in _all_files(paths["stdlib"], paths["purelib"], paths["platlib"]):
            groups.setdefault(file.group, []).append(file)
        cap = _equal_cap([sum(f.bytes for f in files) for files in groups.values()], self.max_bytes)
        return sorted((f for files in groups.values() for f in _within(files, cap)), key=lambda f: f.name)

    def read(self, file: SourceFile) -> Iterator[Document | BadRecord]:
        from datatrove.data import Document

        raw = file.path.read_bytes()
        if file.path.suffix == ".py":
            try:
                encoding = tokenize.detect_encoding(io.BytesIO(raw).readline)[0]  # PEP 263
            except SyntaxError as error:
                yield BadRecord(str(error), 1)
                return
            text, kind = raw.decode(encoding), "code"
        else:
            text, kind = raw.decode("utf-8-sig"), "prose"
        text = text.replace("\r\n", "\n")
        if file.path.name == "METADATA":
            text = text.partition("\n\n")[2]  # the long description; the header above it is for machines
        if text.strip():
            yield Document(text=text, id=file.name, metadata={"group": file.group, "kind": kind})
        elif file.path.name != "METADATA":
            yield BadRecord("no text")


@cache  # a plan asks several times, and the walk takes seconds
def _all_files(stdlib: str, *sites: str) -> list[SourceFile]:
    found = _walk(stdlib, "stdlib/", {})
    owners = _owners()
    for site in dict.fromkeys(sites):
        found += _walk(site, "", owners)
    return found


def _walk(root: str, prefix: str, owners: dict[str, str]) -> list[SourceFile]:
    found = []
    for folder, folders, names in os.walk(root):  # strings until a file is chosen: of 40,000 paths, pathlib takes a second to make
        folders[:] = sorted(d for d in folders if d not in SKIP)
        here = folder[len(root) :].strip("/")
        for name in sorted(names):
            if not name.endswith((".py", *PROSE)) and name != "METADATA":
                continue
            path = f"{folder}/{name}"
            size = os.stat(path).st_size if os.path.isfile(path) else 0  # noqa: PTH113, PTH116 - a dangling link is no file
            if size:
                top = here.partition("/")[0] or name.partition(".")[0]
                group = owners.get(top, top)
                found.append(SourceFile(path=Path(path), name=f"{prefix}{here}/{name}" if here else prefix + name, bytes=size, group=group))
    return found


def _owners() -> dict[str, str]:
    """Top-level name in site-packages (a module, or a .dist-info folder) -> the group that it belongs to.

    All modules of one distribution are one group (`pytest` and `_pytest`), named after the distribution; a name that several
    distributions share (`google`) makes them one group of that name."""
    from importlib.metadata import distributions

    owners: dict[str, str] = {}
    makers: dict[str, set[str]] = {}
    for distribution in distributions():
        name = distribution.name  # parses METADATA each time it is asked
        declared = (distribution.read_text("top_level.txt") or "").split()
        for module in declared or {file.parts[0].removesuffix(".py") for file in distribution.files or [] if file.suffix == ".py"}:
            makers.setdefault(module, set()).add(name)
        if folder := getattr(distribution, "_path", None):
            owners[Path(folder).name] = name
    shared = {name: module for module, names in makers.items() if len(names) > 1 for name in names}
    owners |= {module: module if len(names) > 1 else min(names) for module, names in makers.items()}
    return {top: shared.get(owner, owner) for top, owner in owners.items()}


def _equal_cap(sizes: list[int], total: int) -> int:
    """The cap with which `sum(min(size, cap))` comes to `total`, or the largest size when all fit."""
    left = total
    for rank, size in enumerate(sorted(sizes)):
        share = left // (len(sizes) - rank)
        if size > share:
            return share
        left -= size
    return max(sizes, default=0)


def _within(files: list[SourceFile], cap: int) -> list[SourceFile]:
    """Files of one group up to `cap` bytes, drawn by the hash of their name: spread over the group, the same on every run."""
    chosen, left = [], cap
    for file in sorted(files, key=lambda f: hashlib.blake2b(f.name.encode()).digest()):
        if file.bytes <= left:
            chosen.append(file)
            left -= file.bytes
    return chosen
