"""The manifest: what a run was made of and what it made, and the identity of a stage that decides whether it runs again."""

import contextlib
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, entry_points, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from modelwright import __version__
from modelwright.assemble import Bound
from modelwright.component import Component
from modelwright.hooks import GROUP


def write_text(path: Path, text: str) -> None:
    """Write so that a reader, or a power cut, sees the old file or the new one and never a half."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_json(path: Path, value: Any) -> None:
    """The same, of a value as JSON."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def plugins() -> dict[str, str]:
    """Each installed plugin: its distribution and version."""
    return {e.name: f"{e.dist.name} {e.dist.version}" if e.dist else e.value for e in sorted(entry_points(group=GROUP))}


def versions() -> dict[str, str]:
    """Python, and every installed library that the plugins' distributions ask for."""
    asked = {re.split(r"[^\w.-]", line)[0] for e in entry_points(group=GROUP) if e.dist for line in e.dist.requires or []}
    found = {"python": sys.version.split()[0], "platform": platform.machine(), "modelwright": __version__}
    for name in sorted(asked):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def git_state() -> str | None:
    """The commit of the folder that the run was started in, `-dirty` when files differ from it; None outside a repository."""
    words = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def measured(path: Path) -> dict[str, Any]:
    """{"hash", "bytes"} of a file, or of a folder: the SHA-256 of each file's relative name and content, in order of name."""
    whole, size = hashlib.sha256(), 0
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        with file.open("rb") as data:
            digest = hashlib.file_digest(data, "sha256").hexdigest()
        whole.update(f"{file.relative_to(path) if file != path else ''}\0{digest}\n".encode())
        size += file.stat().st_size
    return {"hash": whole.hexdigest(), "bytes": size}


def identity(bound: Bound, seed: int, inputs: Mapping[str, str]) -> str:
    """The hash of what decides a stage's result within a run: its settings, its components', the seed, its inputs' hashes."""
    return _hash({"stage": bound.name, "config": bound.config, "seed": seed, "inputs": dict(inputs)})


def reads(bound: Bound) -> dict[str, str]:
    """Component, by its place in the config -> the hash of what it reads of the outside world: the inputs that no stage made."""
    return {place: found for place, c in _components(bound).items() if (found := c.fingerprint())}


def surroundings(bound: Bound) -> str:
    """The hash of what may differ between runs: the source of each package that components come from, and the files that they read."""
    packages = sorted({type(c).__module__.partition(".")[0] for c in _components(bound).values()})
    found = {}
    for package in packages:
        spec = find_spec(package)
        root = Path(spec.origin).parent if spec and spec.origin and spec.submodule_search_locations else None
        for file in sorted(root.rglob("*.py")) if root else [Path(spec.origin)] if spec and spec.origin else []:
            found[f"{package}/{file.relative_to(root) if root else ''}"] = hashlib.sha256(file.read_bytes()).hexdigest()
    return _hash({"files": found, "versions": versions(), "reads": reads(bound)})


def _components(bound: Bound) -> dict[str, Component]:
    found: dict[str, Component] = {bound.name: bound.stage}
    for kind, part in bound.parts.items():
        found |= {f"{kind}.{name}": each for name, each in part.items()} if isinstance(part, dict) else {kind: part}
    return found


def _hash(value: Any) -> str:
    """Of plain values, in their order: filter=[a,b] is not filter=[b,a]."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:32]
