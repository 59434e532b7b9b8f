"""The registry: (kind, name) -> import string. Listing imports nothing; a component is imported when it is picked."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from modelwright.component import Component
from modelwright.errors import ModelwrightError, nearest


@dataclass(frozen=True)
class Target:
    """An import string `package.module:Name`."""

    target: str
    plugin: str

    def load(self) -> type[Any]:
        """Import the class. Raises ModelwrightError, naming the plugin, when that fails."""
        try:
            module, _, name = self.target.partition(":")
            found = getattr(importlib.import_module(module), name)
        except (Exception, SystemExit) as e:
            raise ModelwrightError(f"{self.target} of plugin {self.plugin!r} does not import: {type(e).__name__}: {e}") from e
        return found if isinstance(found, type) else type(None)


@dataclass(frozen=True)
class Kind(Target):
    """What a component is: one config group, one interface, one folder."""

    name: str
    many: bool  # takes an ordered list of components
    default: str | None  # the component that a recipe gets when it picks none


@dataclass(frozen=True)
class Entry(Target):
    """A registered component."""

    kind: str
    name: str


class Registry:
    """Kinds and components by name, with the plugin that each came from."""

    def __init__(self) -> None:
        self.kinds: dict[str, Kind] = {}
        self.entries: dict[tuple[str, str], Entry] = {}
        self.conf: list[tuple[str, str]] = []  # (plugin, Hydra search path)
        self.broken: dict[str, str] = {}  # plugin -> why it did not load
        self._plugin = "core"
        self.add_kind("stage", "modelwright.component:Stage", many=True)
        self.add_kind("command", "modelwright.component:Command", many=True)
        self.add_kind("conformance", "modelwright.testing:Conformance", many=True)

    def add_kind(self, name: str, interface: str, *, many: bool = False, default: str | None = None) -> None:
        """Add a kind: `interface` is the import string of the class that its components extend."""
        if old := self.kinds.get(name):
            raise ModelwrightError(f"kind {name!r} of plugin {self._plugin!r} is there already, from plugin {old.plugin!r} ({old.target})")
        self.kinds[name] = Kind(interface, self._plugin, name, many, default)

    def add(self, kind: str, name: str, target: str) -> None:
        """Add a component: `registry.add("optimizer", "lion", "my_plugin.lion:Lion")`."""
        who = f"{kind}/{name} of plugin {self._plugin!r}"
        if ":" not in target:
            raise ModelwrightError(f"{who}: {target!r} is not of the form 'package.module:Name'")
        if old := self.entries.get((kind, name)):
            raise ModelwrightError(f"{who} ({target}) is taken already by plugin {old.plugin!r} ({old.target})")
        self.entries[kind, name] = Entry(target, self._plugin, kind, name)

    @property
    def picked(self) -> dict[str, Kind]:
        """The kinds that a config picks components of: all but the core's own."""
        return {name: kind for name, kind in self.kinds.items() if kind.plugin != "core"}

    def names(self, kind: str) -> list[str]:
        """The names of the kind's components."""
        return sorted(name for k, name in self.entries if k == kind)

    def kind(self, name: str) -> Kind:
        """The kind of that name, or a ModelwrightError that names the nearest one."""
        if name not in self.kinds:
            raise ModelwrightError(f"no kind named {name!r}{nearest(name, self.kinds)}")
        return self.kinds[name]

    def get(self, kind: str, name: str) -> Entry:
        """The entry of that name, or a ModelwrightError that names the nearest one, and broken plugins that might have had it."""
        if (kind, name := str(name)) not in self.entries:
            raise ModelwrightError(f"no {self.kind(kind).name} named {name!r}{nearest(name, self.names(kind))}{self.excuse()}")
        return self.entries[kind, name]

    def load(self, kind: str, name: str) -> type[Any]:
        """The class of that name, which extends the kind's interface and is a component."""
        entry, interface = self.get(kind, name), self.kind(kind).load()
        found = entry.load()
        if not (issubclass(found, interface) and issubclass(found, Component)):
            raise ModelwrightError(f"{entry.target} of plugin {entry.plugin!r} does not extend {self.kind(kind).target}")
        if vars(found).get("__annotations__") and "__dataclass_fields__" not in vars(found):
            raise ModelwrightError(f"{entry.target} of plugin {entry.plugin!r} is not a @dataclass(frozen=True, kw_only=True)")
        return found

    def excuse(self) -> str:
        """What to add to an error about a missing name when plugins are broken."""
        return "".join(f" (plugin {plugin!r} did not load: {why})" for plugin, why in sorted(self.broken.items()))

    @contextmanager
    def plugin(self, name: str) -> Iterator[None]:
        """Whatever is added inside comes from this plugin; if anything raises, nothing of it stays and the reason is kept."""
        kinds, entries, conf, owner = dict(self.kinds), dict(self.entries), list(self.conf), self._plugin
        self._plugin = name
        try:
            yield
            for kind, entry in self.entries:
                if kind not in self.kinds:
                    raise ModelwrightError(f"{kind}/{entry}: no kind named {kind!r}{nearest(kind, self.kinds)}")
        except (Exception, SystemExit) as e:
            self.kinds, self.entries, self.conf = kinds, entries, conf
            self.broken[name] = " ".join((str(e) if isinstance(e, ModelwrightError) else f"{type(e).__name__}: {e}").split())
        finally:
            self._plugin = owner
