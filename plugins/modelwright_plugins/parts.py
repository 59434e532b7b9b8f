"""Components by name: those that a component is made of, and what a recipe calls one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelwright.component import Component
from modelwright.errors import ModelwrightError
from modelwright.hooks import discover
from modelwright.schema import RESERVED, conform, plain


def called(kind: str, component: Component) -> str:
    """The name under which a recipe picks it; that of its class where it is not registered."""
    own = f"{type(component).__module__}:{type(component).__qualname__}"
    entries = discover().registry.entries.values()
    return next((each.name for each in entries if each.kind == kind and each.target == own), type(component).__name__)


def built_parts(
    kind: str, given: Mapping[str, Mapping[str, Any] | None], *, own: type[Component], names: str = "parts"
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """(the settings of all parts, defaults too; the parts), by their names in `given`. A part without `name` is called as its component.

    `own`: the component that has the parts, which is no part of itself. `names`: the field that names them. Raises ValueError that names
    the part, and the nearest right word.
    """
    settings, built = {}, {}
    for part, fields in given.items():
        rest = dict(fields or {})
        name = rest.pop(RESERVED, part)
        try:
            component = discover().registry.load(kind, name)
            if issubclass(component, own):
                raise ValueError(f"{names}.{part}: {own.__name__} is no part of {own.__name__}; name its parts")
            built[part] = conform(rest, component, f"parts.{part}")
        except ModelwrightError as e:
            raise ValueError(str(e) if e.key else f"{names}.{part}: {e}") from e
        settings[part] = {RESERVED: name, **plain(built[part])}
    return settings, built
