"""The example that a new plugin begins with."""

from __future__ import annotations

import importlib
import re
from functools import cached_property
from pathlib import Path

from modelwright.component import Component
from modelwright.errors import ModelwrightError, nearest
from modelwright.hooks import discover

EXAMPLE = "example"  # what the component is called in the files of an example
CHECKS, RECIPE = "checks.py", "recipe.yaml"  # the test; a recipe that shows a stage at work


class Template:
    """The example that a kind's conformance names: a module with one component, or a package all of whose files are written out.

    In a package, `<kind>.py` has the component, `checks.py` its test, and YAML files are presets of `example`.
    """

    def __init__(self, kind: str) -> None:
        known = self.kinds()
        if kind not in known:
            registry = discover().registry
            if kind in registry.kinds:
                raise ModelwrightError(f"new-plugin: there is no example of a {kind} to begin with; there is one of: {', '.join(known)}")
            raise ModelwrightError(f"new-plugin: no kind named {kind!r}{nearest(kind, known)}{registry.excuse()}")
        self.kind = kind
        self.example: str = discover().registry.load("conformance", kind).example
        self.module = kind.replace("-", "_")

    @staticmethod
    def kinds() -> list[str]:
        """The kinds that have an example."""
        registry = discover().registry
        return [kind for kind in registry.names("conformance") if kind in registry.kinds and registry.load("conformance", kind).example]

    @staticmethod
    def class_name(package: str) -> str:
        return "".join(part[:1].upper() + part[1:] for part in package.split("_"))

    @cached_property
    def is_package(self) -> bool:
        return hasattr(importlib.import_module(self.example), "__path__")

    @cached_property
    def files(self) -> dict[str, str]:
        """File name -> text, of the example as it is."""
        found = importlib.import_module(self.example)
        assert found.__file__ is not None
        if not self.is_package:
            return {f"{self.module}.py": Path(found.__file__).read_text(encoding="utf-8")}
        names = sorted(p for p in Path(found.__file__).parent.iterdir() if p.suffix in (".py", ".yaml") and p.name != "__init__.py")
        return {p.name: p.read_text(encoding="utf-8") for p in names}

    @cached_property
    def component(self) -> type[Component]:
        """The example's class."""
        where = importlib.import_module(f"{self.example}.{self.module}" if self.is_package else self.example)
        interface = discover().registry.kind(self.kind).load()
        for found in vars(where).values():
            if isinstance(found, type) and issubclass(found, interface) and found.__module__ == where.__name__:
                return found
        raise ModelwrightError(f"new-plugin: {where.__name__}, the example of a {self.kind}, has no {interface.__name__}")

    def words(self) -> set[str]:
        """Every name in the example's Python."""
        return {word for name, text in self.files.items() if name.endswith(".py") for word in re.findall(r"[A-Za-z_]\w*", text)}
