"""What may stand in a word `key=value` of `run` and `plan`, and the files and folders that a word may name."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from modelwright.component import Component, Settings
from modelwright.errors import ModelwrightError
from modelwright.hooks import discover
from modelwright.run import CONFIG
from modelwright.schema import choices
from modelwright_plugins.catalogue import presets, recipes
from modelwright_plugins.pipeline.phases import asked


def overrides(before: list[str], word: str) -> Iterator[str]:
    """`key=value` words: a key up to its = or next dot, or the whole of one with each value it may have."""
    mark = word[: len(word) - len(word.lstrip("+~"))]
    key, equals, value = word[len(mark) :].partition("=")
    registry = discover().registry
    phases = _phases(before)
    if (name := key.partition(".")[0]) in phases and "." in key:
        own = mark + word[len(mark) + len(name) + 1 :]
        yield from (f"{mark}{name}.{each[len(mark) :]}" for each in overrides([*phases[name], *_of_phase(name, before)], own))
        return
    if not equals and "." not in key:
        yield from (f"{mark}{name}." for name in phases)
    if not equals:
        above, _, _ = key.rpartition(".")
        yield from (mark + each for each in (_keys(above, before) if above else _tops()))
    elif key == "recipe":
        *done, last = value.split(",")
        names = paths(last, ".yaml") if last.startswith((".", "/", "~")) else [*named("recipe"), "./"]
        yield from (f"{mark}recipe={''.join(f'{d},' for d in done)}{name}" for name in names)
    elif key == "pipeline":
        yield from (f"pipeline={name.removeprefix('pipeline/')}" for name in recipes() if name.startswith("pipeline/"))
    elif key == "from":
        yield from (f"{mark}from={folder}" for folder in folders(value, CONFIG))
    elif key in registry.picked or key == "stages":
        many = key == "stages" or registry.picked[key].many
        names = registry.names("stage") if key == "stages" else named(key)
        start = max(value.rfind("["), value.rfind(",")) + 1
        used = re.split(r"[\[,]", value[:start])
        opening = "[" if many and not value else ""
        yield from (f"{mark}{key}={value[:start]}{opening}{name}" for name in names if name not in used)
    else:
        above, _, name = key.rpartition(".")
        start = value.rfind(",") + 1
        yield from (f"{mark}{key}={value[:start]}{each}" for each in _values(_hints(_owner(above, before)).get(name)))


def _phases(before: list[str]) -> dict[str, list[str]]:
    """Phase -> its overrides, of the pipeline that this line names; none when it names no pipeline, or one that is not right."""
    try:
        found = asked([word for word in before if "=" in word])
    except ModelwrightError:
        return {}
    return {phase.name: list(phase.overrides) for phase in found.phases} if found else {}


def _of_phase(name: str, before: list[str]) -> list[str]:
    return [word.removeprefix(f"{name}.") for word in before if word.startswith(f"{name}.")]


def _tops() -> Iterator[str]:
    registry = discover().registry
    for kind in registry.picked:
        yield from (f"{kind}=", f"{kind}.")
    yield from (f"{stage}." for stage in registry.names("stage"))
    yield from ("recipe=", "pipeline=")
    yield from _of(Settings, "")


def _keys(above: str, before: list[str]) -> Iterator[str]:
    """The keys right below `above`."""
    kind = discover().registry.picked.get(above)
    if kind is not None and kind.many:
        yield from (f"{above}.{name}." for name in _picks(above, before) or named(above))
    elif (owner := _owner(above, before)) is not None:
        yield from _of(owner, f"{above}.")


def _of(owner: type, prefix: str) -> Iterator[str]:
    for name, hint in _hints(owner).items():
        yield f"{prefix}{name}{'.' if is_dataclass(hint) else '='}"


def _hints(owner: type | None) -> dict[str, Any]:
    """Parameter -> type."""
    if owner is None:
        return {}
    hints = get_type_hints(owner)
    return {f.name.rstrip("_"): hints[f.name] for f in fields(owner)}


def _owner(above: str, before: list[str]) -> type | None:
    """The dataclass whose fields stand below `above`: a stage, the component picked of a kind, one of a list, or a field of these."""
    registry = discover().registry
    head, *rest = above.split(".") if above else [""]
    owner: type | None
    if head in registry.names("stage"):
        owner = registry.load("stage", head)
    elif head in registry.picked:
        name = rest.pop(0) if registry.picked[head].many and rest else next(iter(_picks(head, before)), "")
        owner = _component(head, name)
    else:
        owner, rest = Settings, [head, *rest] if head else []
    for name in rest:
        hint = _hints(owner).get(name)
        owner = hint if isinstance(hint, type) and is_dataclass(hint) else None
    return owner


def _component(kind: str, name: str) -> type[Component] | None:
    """The class of a component, or the one that a preset sets."""
    registry = discover().registry
    for _ in range(10):  # presets of presets
        if name in registry.names(kind):
            return registry.load(kind, name)
        if name not in presets(kind) or not (base := re.search(r"([\w/]+)@_here_", presets(kind)[name].read_text(encoding="utf-8"))):
            return None
        name = base[1]
    return None


def _picks(kind: str, before: list[str]) -> list[str]:
    """The names that this line, its recipe, or the kind itself picks."""
    given = dict(word.split("=", 1) for word in before if "=" in word)
    if kind in given:
        return re.findall(r"[\w-]+", given[kind])
    recipe = given.get("recipe", "")
    path = recipes().get(recipe, Path(recipe))
    if path.is_file() and (found := re.search(rf"override /{kind}:\s*(.*)", path.read_text(encoding="utf-8"))):
        return re.findall(r"[\w-]+", found[1].partition("#")[0])
    default = discover().registry.picked[kind].default
    return [default] if default else []


def _values(hint: Any) -> list[str]:
    """The values that a type allows, when they can be counted."""
    if allowed := choices(hint):
        return ["null" if value is None else str(value) for value in allowed]
    found = []
    for each in get_args(hint) or (hint,):
        if each is bool:
            found += ["true", "false"]
        elif each is type(None):
            found.append("null")
        elif isinstance(each, type) and issubclass(each, enum.Enum):
            found += [member.name for member in each]
    return found if found != ["null"] else []


def named(kind: str) -> list[str]:
    """The components and presets of a kind, or the recipes."""
    return [*recipes()] if kind == "recipe" else [*discover().registry.names(kind), *presets(kind)]


def paths(word: str, ending: str) -> Iterator[str]:
    """Files with this ending, and folders, as they are typed."""
    head = word[: word.rfind("/") + 1]
    folder = Path(head or ".").expanduser()
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield f"{head}{path.name}/"
        elif path.name.endswith(ending):
            yield f"{head}{path.name}"


def folders(word: str, *marks: str) -> Iterator[str]:
    """Folders with one of these files, below `word`'s folder; first, those below runs/ whatever the word."""
    for mark in marks if Path("runs").is_dir() else ():
        yield from (str(found.parent) for found in sorted(Path("runs").glob(f"**/{mark}")))
    for path in paths(word, "/"):
        folder = Path(path).expanduser()
        if any((folder / mark).is_file() for mark in marks):
            yield path.rstrip("/")
        if not (folder / CONFIG).is_file():  # nobody looks for something inside a run; in a sweep, for its runs
            yield path
