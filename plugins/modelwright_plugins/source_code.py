"""What is written in the source: of a registered class without importing it; of one that is imported, comments and signatures."""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from modelwright.registry import Target


def file(target: Target) -> Path | None:
    """The source file; only the parent packages of the module are imported."""
    try:
        spec = find_spec(target.target.partition(":")[0])
    except (Exception, SystemExit):  # a parent package may do anything when it is imported
        return None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def summary(target: Target) -> str:
    """The first line of the docstring; '(broken: …)' when there is no such module or class."""
    module, _, name = target.target.partition(":")
    if (found := file(target)) is None:
        return f"(broken: {module} is not found)"
    try:
        tree = _parsed(found)
    except (SyntaxError, ValueError) as e:
        return f"(broken: {type(e).__name__}: {e.args[0]} in {found})"
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return (ast.get_docstring(node) or "(not documented)").splitlines()[0]
    return f"(broken: {found} has no class {name})"


@functools.cache
def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_bytes())


class Attribute(NamedTuple):
    """A name that a class or module sets, as it is written there."""

    annotation: str
    value: str
    doc: str  # the comment beside it, the comment lines right above it, or the string below it


@functools.cache
def attributes(thing: type | ModuleType) -> dict[str, Attribute]:
    """Name -> attribute, in order; none when there is no source."""
    try:
        body, lines = _body(thing)
    except (OSError, TypeError):
        return {}
    found: dict[str, Attribute] = {}
    for node, after in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, (ast.AnnAssign, ast.Assign)):
            continue
        assert node.end_lineno is not None and node.end_col_offset is not None
        tail = lines[node.end_lineno - 1].encode()[node.end_col_offset :].decode()
        said = [tail.partition("#")[2].strip()] if "#" in tail else []
        above = node.lineno - 2
        while "#" not in tail and above >= 0 and lines[above].startswith(" " * node.col_offset + "#"):
            said.insert(0, lines[above].lstrip("# "))
            above -= 1
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
            said.append(inspect.cleandoc(after.value.value))
        annotation = ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else ""
        value = ast.unparse(node.value) if node.value else ""
        for target in [node.target] if isinstance(node, ast.AnnAssign) else node.targets:
            names = target.elts if isinstance(target, ast.Tuple) else [target]
            found |= {n.id: Attribute(annotation, value, " ".join(said)) for n in names if isinstance(n, ast.Name)}
    return found


def signature(function: Callable[..., Any]) -> str:
    """Arguments, without `self`, and what comes back, as they are written: `(step: int) -> float`."""
    source, _ = _dedented(inspect.unwrap(function))
    (node,) = ast.parse(source).body
    assert isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    positional = node.args.posonlyargs or node.args.args
    if positional and positional[0].arg in {"self", "cls"}:
        positional.pop(0)
    return f"({ast.unparse(node.args)})" + (f" -> {ast.unparse(node.returns)}" if node.returns else "")


def _body(thing: type | ModuleType) -> tuple[list[ast.stmt], list[str]]:
    source, lines = _dedented(thing)
    parsed = ast.parse(source).body
    return (parsed[0].body if isinstance(thing, type) and isinstance(parsed[0], ast.ClassDef) else parsed), lines


def _dedented(thing: Any) -> tuple[str, list[str]]:
    lines = inspect.getsource(thing).splitlines() or [""]
    indent = len(lines[0]) - len(lines[0].lstrip())
    lines = [line[indent:] for line in lines]
    return "\n".join(lines), lines
