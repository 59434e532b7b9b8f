"""The catalogue: what there is to pick from, for `list` and `show`. Listing imports no component and no Hydra."""

from __future__ import annotations

import inspect
import shutil
import textwrap
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from modelwright.component import Stage
from modelwright.errors import ModelwrightError, nearest
from modelwright.hooks import discover

CONF = "modelwright.conf"
RECIPES = "modelwright.recipes"


def recipes() -> dict[str, Path]:
    """The recipes of ours and of plugins: name -> file."""
    found = _yamls(Path(str(files(RECIPES))))
    for plugin, folder in _conf_folders():
        if plugin != "builtin":
            found.update(_yamls(folder / "recipe"))
    return found


def presets(kind: str) -> dict[str, Path]:
    """The YAML presets of a kind: name -> file."""
    return {name: path for _, folder in _conf_folders() for name, path in _yamls(folder / kind).items()}


def options(kind: str) -> list[str]:
    """Everything that `kind=` takes: components and presets."""
    return sorted({*discover().registry.names(kind), *presets(kind)})


def listing(kind: str | None) -> Iterator[str]:
    """The lines of `modelwright list [kind]`."""
    registry = discover().registry
    known = [*registry.kinds, "recipe"]
    if kind is not None and kind not in known:
        raise ModelwrightError(f"no kind named {kind!r}{nearest(kind, known)}")
    for k in [kind] if kind else known:
        if k == "recipe":
            rows = [(name, _about(path), "") for name, path in recipes().items()]
            yield "recipe  What to run: modelwright run recipe=NAME"
        else:
            about = registry.kinds[k]
            rows = [(n, registry.get(k, n).summary(), registry.get(k, n).plugin) for n in registry.names(k)]
            rows += [(f"{n} (preset)", _about(path), "") for n, path in presets(k).items()]
            yield f"{k}  {about.summary()}" + (f"  [default: {about.default}]" if about.default else "")
        width = max((len(n) for n, _, _ in rows), default=0)
        for name, summary, plugin in rows:
            yield f"  {name:<{width}}  {summary}" + (f"  ({plugin})" if plugin else "")
    yield from (f"broken plugin {name}: {why}" for name, why in sorted(registry.broken.items()))


def page(what: str) -> Iterator[str]:
    """The lines of `modelwright show kind/name`: a component, a preset, a recipe, or a kind by its bare name."""
    kind, _, name = what.partition("/")
    registry = discover().registry
    if kind == "recipe":
        found = recipes()
        if name not in found:
            raise ModelwrightError(f"no recipe named {name!r}{nearest(name, found)}")
        yield from (f"# {found[name]}", found[name].read_text(encoding="utf-8").rstrip())
        return
    if kind not in registry.kinds:
        everything = [f"{k}/{n}" for k, n in registry.entries] + [f"recipe/{r}" for r in recipes()]
        near = [e for e in everything if e.endswith("/" + what)]
        raise ModelwrightError(f"nothing is called {what!r}; write kind/name" + (f": {near[0]}" if near else nearest(what, everything)))
    if not name:
        yield from (inspect.getdoc(registry.kind(kind).load()) or "", "", *listing(kind))
    elif name in presets(kind):
        path = presets(kind)[name]
        yield from (f"# {path}", path.read_text(encoding="utf-8").rstrip())
    elif name not in options(kind):
        raise ModelwrightError(f"no {kind} named {name!r}{nearest(name, options(kind))}{registry.excuse()}")
    else:
        yield from _component_page(kind, name)


def _component_page(kind: str, name: str) -> Iterator[str]:
    from modelwright.schema import parameters

    entry = discover().registry.get(kind, name)
    cls = entry.load()
    yield f"{kind}/{name}  (plugin {entry.plugin}, {entry.file()})"
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
    own = [n for n, path in presets(kind).items() if f"{name}@_here_" in path.read_text(encoding="utf-8")]
    yield f"presets: {', '.join(own) or '-'}"


def _about(path: Path) -> str:
    """What a YAML file says of itself: the first line of its comments."""
    lines = (line.lstrip("# ") for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#"))
    return next((line for line in lines if line and not line.startswith("@")), "")


def _conf_folders() -> list[tuple[str, Path]]:
    """(plugin, folder) of every search path that is a folder on this machine."""
    found = [("builtin", Path(str(files(CONF))))]
    for plugin, path in discover().registry.conf:
        scheme, _, rest = path.rpartition("://")
        found.append((plugin, Path(str(files(rest))) if scheme == "pkg" else Path(rest)))
    return found


def _yamls(folder: Path) -> dict[str, Path]:
    return {str(p.relative_to(folder).with_suffix("")): p for p in sorted(folder.rglob("*.yaml"))}
