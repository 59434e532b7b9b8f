"""What is public, an item a name: the API, the hooks, kinds with their interfaces, components with their parameters, presets, recipes."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

import modelwright.api
import modelwright.testing
import modelwright_plugins.artifacts
from modelwright.component import Artifact, Component, Stage
from modelwright.errors import ModelwrightError, nearest
from modelwright.hooks import Specification, discover
from modelwright.registry import Kind
from modelwright_plugins.catalogue import presets, recipes
from modelwright_plugins.command.list import about
from modelwright_plugins.parameters import parameters
from modelwright_plugins.source_code import attributes, signature

MODULES = (modelwright.api, modelwright.testing, modelwright_plugins.artifacts)
OURS = {"core", "builtin"}


@dataclass(frozen=True)
class Item:
    """One public name."""

    name: str  # unique, and what the changelog calls it: optimizer/muon.lr, on_step_end, modelwright.api.Job.take
    signature: str  # what breaks others when it changes: arguments, type and default
    doc: str  # empty: nobody has written it

    def __str__(self) -> str:
        return self.name + self.signature


@dataclass(frozen=True)
class Public:
    """What the plugins bring that are looked at: all, only one (`Public("my_plugin")`), or, as "builtin", ours with the core."""

    plugin: str | None = None

    def __post_init__(self) -> None:
        registry = discover().registry
        known = {"builtin", *(e.plugin for e in registry.entries.values()), *(k.plugin for k in registry.kinds.values())} - {"core"}
        known |= {plugin for plugin, _ in registry.conf}
        if self.plugin is not None and self.plugin not in known:
            why = f" ({registry.broken[self.plugin]})" if self.plugin in registry.broken else nearest(self.plugin, known)
            raise ModelwrightError(f"no plugin named {self.plugin!r} has loaded{why}")

    def has(self, plugin: str) -> bool:
        """Whether this plugin is looked at."""
        return self.plugin is None or plugin == self.plugin or (self.plugin == "builtin" and plugin in OURS)

    @property
    def core(self) -> bool:
        """Whether the API and the hooks are looked at."""
        return self.has("core")

    def items(self) -> list[Item]:
        """Every public name, sorted."""
        found = [*hooks(), *(item for m in MODULES for names in api(m) for item in names)] if self.core else []
        for kind in discover().registry.kinds.values():
            found += [*interface(kind)] if self.has(kind.plugin) else []
            found += [item for name in self.components(kind.name) for item in component(kind.name, name)]
            found += [Item(f"{kind.name}/{name}", " (preset)", about(path)) for name, path in self.presets(kind.name).items()]
        found += [Item(f"recipe/{name}", "", about(path)) for name, path in self.recipes().items()]
        return sorted(found, key=lambda item: (item.name, item.signature))

    def kinds(self) -> list[Kind]:
        """The kinds of which something is looked at, in the registry's order."""
        registry = discover().registry
        return [k for k in registry.kinds.values() if self.has(k.plugin) or self.components(k.name) or self.presets(k.name)]

    def components(self, kind: str) -> list[str]:
        """Names of the components of a kind."""
        registry = discover().registry
        return [name for name in registry.names(kind) if self.has(registry.get(kind, name).plugin)]

    def presets(self, kind: str) -> dict[str, Path]:
        """The presets of a kind: name -> file."""
        return self._of_these_plugins(presets(kind))

    def recipes(self) -> dict[str, Path]:
        """The recipes: name -> file."""
        return self._of_these_plugins(recipes())

    def _of_these_plugins(self, found: dict[str, Path]) -> dict[str, Path]:
        theirs = {}
        for plugin, path in discover().registry.conf:
            scheme, _, rest = path.rpartition("://")
            theirs[Path(str(files(rest))) if scheme == "pkg" else Path(rest)] = plugin
        return {n: p for n, p in found.items() if self.has(next((theirs[up] for up in p.parents if up in theirs), "builtin"))}


def api(module: ModuleType) -> Iterator[list[Item]]:
    """The names of one of `MODULES`, each with its members."""
    names = getattr(module, "__all__", None) or _defined(module)
    known = (Artifact, Component, *(o for name in names if isinstance(o := getattr(module, name), type)))
    for name in names:
        thing, full = getattr(module, name), f"{module.__name__}.{name}"
        if isinstance(thing, type):
            yield list(klass(thing, full, known))
        elif inspect.isfunction(thing):
            yield [Item(full, signature(thing), inspect.getdoc(thing) or "")]
        else:
            value, doc = _constant(module, name)
            yield [Item(full, f" = {value}", doc)]


def hooks() -> Iterator[Item]:
    """The hooks, in the order in which they are called."""
    for name, hook in vars(Specification).items():
        if inspect.isfunction(hook):
            yield Item(name, signature(hook), inspect.getdoc(hook) or "")


def interface(kind: Kind) -> Iterator[Item]:
    """A kind, and the classes that its interface's module defines: the interface itself, and what its methods take and give."""
    said = ", a list" if kind.many else ""
    said += f", default {kind.default}" if kind.default else ""
    loaded = kind.load()
    yield Item(f"kind {kind.name}", f": {kind.target}{said}", _doc(loaded))
    for cls in interface_classes(kind):
        yield from klass(cls, f"{cls.__module__}.{cls.__name__}", known=(Component,))


def interface_classes(kind: Kind) -> list[type]:
    """The interface first; none for the core's own kinds, which the API lists."""
    loaded = kind.load()
    module = importlib.import_module(loaded.__module__)
    others = [getattr(module, name) for name in _defined(module)]
    types = [t for t in others if isinstance(t, type) and not issubclass(t, loaded)]
    return [] if kind.plugin == "core" else [loaded, *types]


def component(kind: str, name: str) -> Iterator[Item]:
    """A component and its parameters."""
    cls = discover().registry.load(kind, name)
    wiring = ""
    if issubclass(cls, Stage):
        made = [", ".join(a.name for a in artifacts) or "-" for artifacts in (cls.takes, cls.makes)]
        wiring = f": uses {', '.join(cls.uses) or '-'}; takes {made[0]}; makes {made[1]}"
    yield Item(f"{kind}/{name}", wiring, _doc(cls))
    for p in parameters(cls):
        yield Item(f"{kind}/{name}.{p.name}", f": {p.type} = {p.default}", p.doc)


def klass(cls: type, name: str, known: tuple[type, ...]) -> Iterator[Item]:
    """A class with its public fields and methods; what it has from a class that is `known` is listed there."""
    yield Item(name, _constructor(cls), _doc(cls))
    seen: set[str] = set()
    for c in cls.__mro__:
        if c.__module__ in {"builtins", "abc", "typing"} or (c is not cls and c in known):
            continue
        for attribute, written in attributes(c).items():
            if not attribute.startswith("_") and attribute not in seen:
                seen.add(attribute)
                said = f": {written.annotation}" * bool(written.annotation) + f" = {written.value}" * bool(written.value)
                yield Item(f"{name}.{attribute}", said, next((d for up in cls.__mro__ if (d := _written(up, attribute))), ""))
        for method, thing in vars(c).items():
            if (method.startswith("_") and method != "__call__") or method in seen:
                continue
            function = thing.fget if isinstance(thing, property) else getattr(thing, "__func__", thing)
            if inspect.isfunction(function):
                seen.add(method)
                yield Item(f"{name}.{method}", signature(function), inspect.getdoc(getattr(cls, method)) or "")


def _constructor(cls: type) -> str:
    init = vars(cls).get("__init__")
    return signature(init) if inspect.isfunction(init) and not is_dataclass(cls) and "Protocol" not in str(cls.__mro__) else ""


def _doc(cls: type) -> str:
    """A class's own docstring: not an inherited one, and not the one that `dataclass` makes up."""
    doc = vars(cls).get("__doc__") or ""
    return "" if doc.startswith(f"{cls.__name__}(") else inspect.cleandoc(doc)


def _written(cls: type, attribute: str) -> str:
    found = attributes(cls).get(attribute)
    return found.doc if found else ""


def _defined(module: ModuleType) -> list[str]:
    """The public classes and functions that a module defines, in order."""
    return [
        n for n, o in vars(module).items() if not n.startswith("_") and getattr(o, "__module__", None) == module.__name__ and callable(o)
    ]


@functools.cache
def _constant(module: ModuleType, name: str) -> tuple[str, str]:
    """(value, comment) of a name, as written in the module that sets it."""
    if name in attributes(module):
        found: Any = attributes(module)[name]
        return repr(getattr(module, name)) if "," in found.value else found.value, found.doc
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ImportFrom) and node.module and name in {alias.name for alias in node.names}:
            return _constant(importlib.import_module(node.module), name)
    return "", ""
