"""`modelwright show`: the page of one thing, made from its source."""

from __future__ import annotations

import inspect
import re
import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from modelwright.component import Command, Stage
from modelwright.errors import ModelwrightError, nearest
from modelwright.hooks import discover
from modelwright_plugins.catalogue import presets, recipes
from modelwright_plugins.command.list import listing
from modelwright_plugins.parameters import parameters
from modelwright_plugins.pipeline.phases import is_pipeline, read
from modelwright_plugins.source_code import file


@dataclass(frozen=True, kw_only=True)
class Show(Command):
    """Print the page of one thing: modelwright show optimizer/muon."""

    def run(self, arguments: list[str]) -> int:
        if len(arguments) != 1:
            raise ModelwrightError("show what? modelwright show kind/name, as in: modelwright show optimizer/muon")
        for line in page(arguments[0]):
            print(line)
        return 0


def page(what: str) -> Iterator[str]:
    """The lines of `modelwright show kind/name`: a component, a preset, a recipe, or a kind by its bare name."""
    kind, _, name = what.partition("/")
    registry = discover().registry
    if kind == "recipe":
        found = recipes()
        if name not in found:
            raise ModelwrightError(f"no recipe named {name!r}{nearest(name, found)}")
        yield from (f"# {found[name]}", found[name].read_text(encoding="utf-8").rstrip())
        if is_pipeline(found[name]):
            yield "\nphases, in turn (override as PHASE.KEY=VALUE; KEY=VALUE is for all):"
            yield from (f"  {phase.name}  from {phase.builds_on or 'nothing'}" for phase in read(found[name], name).phases)
        return
    if kind not in registry.kinds:
        everything = [f"{k}/{n}" for k, n in registry.entries] + [f"recipe/{r}" for r in recipes()]
        near = [e for e in everything if e.endswith("/" + what)]
        raise ModelwrightError(
            f"show takes kind/name, as in {near[0]}" if near else f"nothing is called {what!r}{nearest(what, everything)}"
        )
    if not name:
        yield from (*_interface(registry.kind(kind).load()), *listing(kind))
    elif name in presets(kind):
        path = presets(kind)[name]
        yield from (f"# {path}", path.read_text(encoding="utf-8").rstrip())
    elif name not in registry.names(kind):
        raise ModelwrightError(f"no {kind} named {name!r}{nearest(name, [*registry.names(kind), *presets(kind)])}{registry.excuse()}")
    else:
        yield from _component_page(kind, name)


def _interface(cls: type) -> Iterator[str]:
    """What a component of the kind is, and the methods that it has or may have."""
    yield from (f"{cls.__module__}.{cls.__name__}", "", inspect.getdoc(cls) or "", "")
    for name, method in inspect.getmembers(cls, inspect.isfunction):
        if name[0] != "_" and method.__module__ == cls.__module__:
            must = "" if getattr(method, "__isabstractmethod__", False) else "   (has a default)"
            yield f"  {name}{inspect.signature(method)}{must}"
            yield from (textwrap.indent(inspect.getdoc(method) or "", "      "), "")


def _component_page(kind: str, name: str) -> Iterator[str]:
    entry = discover().registry.get(kind, name)
    cls = entry.load()
    yield f"{kind}/{name}  (plugin {entry.plugin}, {file(entry)})"
    yield from ("", inspect.getdoc(cls) or "", "")
    if issubclass(cls, Stage):
        yield f"uses: {', '.join(cls.uses) or '-'}"
        yield f"takes: {', '.join(a.name for a in cls.takes) or '-'}"
        yield f"makes: {', '.join(a.name for a in cls.makes) or '-'}"
    where = name if kind == "stage" else f"{kind}.{name}" if discover().registry.kinds[kind].many else kind
    yield f"parameters (override as {where}.NAME=VALUE):"
    width = min(shutil.get_terminal_size().columns, 120)
    for p in parameters(cls):
        yield f"  {p.name}: {p.type} = {p.default}"
        if p.doc:
            yield textwrap.fill(p.doc, width, initial_indent="      ", subsequent_indent="      ")
    texts, own = {n: path.read_text(encoding="utf-8") for n, path in presets(kind).items()}, [name]
    for known in own:  # it grows: a preset may be built on another
        own += [n for n, text in texts.items() if n not in own and re.search(rf"(?<![\w/]){known}@_here_", text)]
    own = sorted(own[1:])
    yield f"presets: {', '.join(own) or '-'}"
