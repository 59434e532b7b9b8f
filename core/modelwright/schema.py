"""A component's dataclass as a schema: what its fields are, and how a config node becomes an instance."""

import re
import types
from collections.abc import Mapping
from dataclasses import MISSING, asdict, field, fields, is_dataclass, make_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from modelwright.component import Component
from modelwright.errors import ModelwrightError, nearest

_STRUCTURED: dict[Any, Any] = {}
RESERVED = "name"  # in a config node, the component's own name stands beside its parameters


def defaults(cls: type[Component]) -> dict[str, Any]:
    """The parameters with their defaults, as plain containers; '???' where one must be given."""
    try:
        node = OmegaConf.structured(_structured(cls))
    except OmegaConfBaseException as e:
        raise ModelwrightError(f"{cls.__module__}:{cls.__qualname__}: {' '.join(str(e).split())}") from e
    found: Any = OmegaConf.to_container(node, enum_to_str=True)
    return {str(k): str(v) if isinstance(v, Path) else v for k, v in found.items()}


def conform(values: Mapping[str, Any] | None, cls: type[Any], key: str) -> Any:
    """An instance from a config node; anything wrong is a ModelwrightError that begins with the full key at fault."""
    if not isinstance(values, Mapping):
        raise ModelwrightError(f"{key}: {values!r:.60} won't do; expected settings", key)
    known = [f.name for f in fields(cls)]
    hints = _hints(cls)
    for name, value in values.items():
        if name not in known:
            raise _wrong(key, name, f"there is no such parameter{nearest(str(name), known)}")
        allowed = choices(hints[name])
        if allowed and value not in allowed and value != "???":
            raise _wrong(key, name, f"{value!r} won't do{nearest(str(value), map(str, allowed))}")
    try:
        node = OmegaConf.merge(OmegaConf.structured(_structured(cls)), dict(values))
        found = OmegaConf.to_object(node)
        made = {f.name: _native(getattr(found, f.name), hints[f.name]) for f in fields(cls)}
    except MissingMandatoryValue as e:
        raise _wrong(key, str(e.full_key), "it has no default; give it a value") from e
    except OmegaConfBaseException as e:
        at = str(e.full_key or "")
        top = re.split(r"[.\[]", at)[0]
        hint = hints.get(top)
        written = hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint).replace("typing.", "")
        wanted = f"expected {written.replace('None', 'null')}" if top in hints else str(e.msg).splitlines()[0]
        raise _wrong(key, at, f"{values[top]!r} won't do; {wanted}" if top in values else wanted) from e
    try:
        return cls(**made)
    except ValueError as e:
        raise ModelwrightError(f"{key}: {e}", key) from e
    except (Exception, SystemExit) as e:
        raise ModelwrightError(f"{key}: {cls.__module__}:{cls.__qualname__} does not build: {type(e).__name__}: {e}", key) from e


def plain(component: Component) -> dict[str, Any]:
    """The parameters of an instance as YAML can hold them; paths are absolute, so that a run can be resumed from anywhere."""

    def simple(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(k): simple(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [simple(v) for v in value]
        return str(value.absolute()) if isinstance(value, Path) else value.name if isinstance(value, Enum) else value

    return {name: simple(value) for name, value in asdict(component).items()}


def _wrong(key: str, name: str, why: str) -> ModelwrightError:
    full = f"{key}.{'from' if name == 'from_' else name}".strip(".")
    return ModelwrightError(f"{full}: {why}", full)


def choices(hint: Any) -> tuple[Any, ...]:
    """The values that a Literal annotation allows, None among them for `Literal[...] | None`; empty for any other."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    if get_origin(hint) in (Union, types.UnionType):
        inner = [choices(a) for a in get_args(hint) if a is not type(None)]
        return (*inner[0], None) if len(inner) == 1 and inner[0] else ()
    return ()


def _structured(cls: Any) -> Any:
    """The dataclass as OmegaConf can hold it: not frozen, Literal as its values' type."""
    if cls in _STRUCTURED:  # OmegaConf compares classes, so there must be one for each
        return _STRUCTURED[cls]
    hints = _hints(cls)
    made: list[Any] = []
    for f in fields(cls):
        if f.name == RESERVED:
            raise ModelwrightError(f"{cls.__module__}:{cls.__qualname__}: a parameter can't be called {RESERVED!r}, it names the component")
        made.append((f.name, _plain(hints[f.name]), _copy(f)))
    return _STRUCTURED.setdefault(cls, make_dataclass(cls.__name__, made, kw_only=True))


def _hints(cls: Any) -> dict[str, Any]:
    try:
        return get_type_hints(cls)
    except Exception as e:  # what an annotation names may be imported under TYPE_CHECKING alone
        raise ModelwrightError(f"{cls.__module__}:{cls.__qualname__}: its annotations can't be read: {type(e).__name__}: {e}") from e


def _copy(f: Any) -> Any:
    if f.default_factory is not MISSING:
        return field(default_factory=f.default_factory)
    if isinstance(f.default, tuple):
        return field(default_factory=lambda: list(f.default))
    if is_dataclass(f.default):
        return field(default_factory=lambda: _structured(type(f.default))(**vars(f.default)))
    return field(default="???") if f.default is MISSING else field(default=f.default)


def _plain(hint: Any) -> Any:
    if allowed := choices(hint):
        kind: Any = type(next(a for a in allowed if a is not None))
        return kind | None if None in allowed else kind
    return _structured(hint) if is_dataclass(hint) else hint


def _native(value: Any, hint: Any) -> Any:
    """OmegaConf makes lists of tuples, and our stand-ins of nested dataclasses; give them back as annotated."""
    if is_dataclass(hint) and isinstance(hint, type):
        inner = get_type_hints(hint)
        return hint(**{f.name: _native(getattr(value, f.name), inner[f.name]) for f in fields(hint)})
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    return tuple(value) if isinstance(value, list) and any(get_origin(o) is tuple or o is tuple for o in options) else value
