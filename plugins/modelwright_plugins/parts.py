"""Components that a component is made of, named in its config as a picked component is: `name`, and its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelwright.component import Component
from modelwright.errors import ModelwrightError
from modelwright.hooks import discover
from modelwright.schema import RESERVED, conform, plain


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
