"""A component's fields, as its source documents them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields

from modelwright.component import Component
from modelwright_plugins.source_code import attributes


@dataclass(frozen=True)
class Parameter:
    """One field of a component, for people."""

    name: str
    type: str
    default: str
    doc: str


def parameters(cls: type[Component]) -> Iterator[Parameter]:
    """The fields in order, each documented where it is written: in the class itself or, if there is nothing, in those it extends."""
    for f in fields(cls):
        written = [attributes(c)[f.name] for c in cls.__mro__ if f.name in attributes(c)]
        default = f.default_factory() if f.default_factory is not MISSING else f.default
        annotation = written[0].annotation if written else str(f.type)
        doc = next((w.doc for w in written if w.doc), "")
        yield Parameter(f.name, annotation, "(required)" if default is MISSING else repr(default), doc)
