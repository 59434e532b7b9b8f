"""For the tests of plugins: `assert_conforms("optimizer/mine")` holds a component to what its kind promises."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from modelwright.component import Component
from modelwright.hooks import discover
from modelwright.schema import conform


@dataclass(frozen=True, kw_only=True)
class Conformance(Component, ABC):
    """What every component of one kind must hold, as a test: registered under the kind's name, or as `component` for all kinds."""

    example: ClassVar[str] = ""  # a module with a small component of the kind, which `modelwright new-plugin` writes out

    @abstractmethod
    def check(self, component: Any, folder: Path) -> None:
        """AssertionError, in one line, when the component does not hold. `folder` is empty, and its own."""


def assert_conforms(what: str, **parameters: Any) -> None:
    """Hold `kind/name`, built with these parameters, to what any component and its kind promise. AssertionError: it does not."""
    kind, _, name = what.partition("/")
    registry = discover().registry
    component = conform(parameters, registry.load(kind, name), what)
    for test in [test for test in ("component", kind) if test in registry.names("conformance")]:
        with TemporaryDirectory() as folder:
            registry.load("conformance", test)().check(component, Path(folder))
