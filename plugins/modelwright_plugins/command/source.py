"""What a registered class says of itself, read from its source without importing it."""

from __future__ import annotations

import ast
import functools
from importlib.util import find_spec
from pathlib import Path

from modelwright.registry import Target


def file(target: Target) -> Path | None:
    """The source file; only the parent packages of the module are imported."""
    try:
        spec = find_spec(target.target.partition(":")[0])
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def summary(target: Target) -> str:
    """The first line of the docstring; '(broken: …)' when there is no such module or class."""
    module, _, name = target.target.partition(":")
    if (found := file(target)) is None:
        return f"(broken: {module} is not found)"
    for node in _parsed(found).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return (ast.get_docstring(node) or "(not documented)").splitlines()[0]
    return f"(broken: {found} has no class {name})"


@functools.cache
def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_bytes())
