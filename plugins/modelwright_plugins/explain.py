"""Errors of composing, told in one line: the override or the file at fault, and the nearest right word."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from modelwright.component import Settings
from modelwright.errors import ModelwrightError, nearest
from modelwright.hooks import discover
from modelwright_plugins.catalogue import presets, recipes

SETTINGS = [f.name.rstrip("_") for f in fields(Settings)]


def composed(overrides: Sequence[str]) -> dict[str, Any]:
    """The frozen config of these overrides. Raises ModelwrightError, in one line, on anything that is not right."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from modelwright.compose import freeze, hydrated

    try:
        config = hydrated(overrides)
    except (HydraException, OmegaConfBaseException, ValueError, yaml.YAMLError) as e:
        raise explained(e, overrides) from e
    except TypeError as e:  # OmegaConf's, of a name below a list
        if not str(e).startswith("Index "):
            raise
        raise explained(e, overrides) from e
    with blaming(config.hydra, config):
        return freeze(config, config.hydra)


@contextlib.contextmanager
def blaming(hydra: Any, config: Any) -> Iterator[None]:
    """Inside, an error about a key of `config` is told with the override or the YAML file that set it. `hydra` is Hydra's own node."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        yield
    except OmegaConfBaseException as e:
        raise ModelwrightError(f"{e.full_key}: {str(e).splitlines()[0]}", str(e.full_key)) from e
    except ModelwrightError as e:
        chosen, kinds = dict(hydra.runtime.choices), discover().registry.picked
        values: Any = OmegaConf.to_container(config)
        words: Any = OmegaConf.to_container(hydra.overrides.task)
        chosen |= {name: [*values[name]] for name, kind in kinds.items() if kind.many and isinstance(values.get(name), dict)}
        where = _blame(e.key, str(e), words, chosen) if e.key else ""
        hint = f"; {_in_a_file(e.key)}" if e.key in kinds and kinds[e.key].many and isinstance(values.get(e.key), list) else ""
        raise ModelwrightError(f"{where}{e}{hint}", e.key) from e


def _in_a_file(kind: str) -> str:
    return f"a file picks it below `defaults:`, as `- override /{kind}: [a, b]`"


def _blame(key: str, error: str, overrides: Sequence[str], chosen: Mapping[str, Any]) -> str:
    """The override or the YAML file that set a key, as the beginning of an error: 'override x=1: '. What is wrong with a whole component
    is blamed on the last override of those of its parameters that the error names, or on the only one there is."""
    for override in overrides:
        left = override.partition("=")[0].lstrip("+~")
        picks = left in discover().registry.picked and key != left
        if not picks and (key == left or key.startswith(left + ".")):
            return f"override {override}: "
    within = {o: name.rpartition(".")[2] for o in overrides if (name := o.partition("=")[0].lstrip("+~")).startswith(key + ".")}
    named = [override for override, name in within.items() if re.search(rf"\b{re.escape(name)}\b", error.removeprefix(key))]
    if named or len(within) == 1:
        return f"override {(named or [*within])[-1]}: "
    files = [(recipes().get(recipe, Path(recipe)), "")] if (recipe := chosen.get("recipe")) else []
    for name, kind in discover().registry.picked.items():
        for option in chosen.get(name) or [] if kind.many else [chosen.get(name)]:
            if option in presets(name):
                files.append((presets(name)[option], f"{name}.{option}." if kind.many else f"{name}."))
    for file, prefix in (f for f in files if f[0].is_file()):
        node, parts = yaml.safe_load(file.read_text(encoding="utf-8")), key.removeprefix(prefix).split(".")
        while parts and isinstance(node, dict) and parts[0] in node:
            node = node[parts.pop(0)]
        if not parts:
            return f"{file}: "
    return ""


def explained(error: Exception, overrides: Sequence[str]) -> ModelwrightError:
    """Hydra's error about an override, in one line with the nearest right thing."""
    text, registry = str(error), discover().registry
    if m := re.search(r"Could not (?:find|load) '([^']+)'", text):
        group, _, name = m[1].partition("/") if "/" in m[1] else ("", "", m[1])
        if group in {"recipe", ""}:
            name = m[1].removeprefix("recipe/")
            here = Path(name).with_suffix(".yaml")
            hint = f"; did you mean ./{here}?" if here.is_file() else nearest(name, recipes())
            return ModelwrightError(f"no recipe {'file' if name[0] in './' else 'named'} {name!r}{hint}")
        if group in registry.kinds:
            known = [*registry.names(group), *presets(group)]
            return ModelwrightError(f"no {group} named {name!r}{nearest(name, known)}{registry.excuse()}", group)
    if m := re.match(r"Index '(\w+)' \(str\) is not an int", text):
        kinds = [name for name, kind in registry.picked.items() if kind.many]
        given = next((o for o in overrides if re.match(rf"[+~]*({'|'.join(kinds)})\.{m[1]}\b", o)), m[1])
        kind = given.lstrip("+~").partition(".")[0]
        hint = f"; {_in_a_file(kind)}" if kind in kinds else ""
        return ModelwrightError(f"override {given}: a file has a list there, with nothing named {m[1]!r} below it{hint}", kind)
    if m := re.search(r"An item is already at '([^']+)'", text):
        return ModelwrightError(f"override +{m[1]}: it is there already; leave out the +", m[1])
    if m := re.search(r"Ambiguous value for argument '([^']+)'", text):
        return ModelwrightError(f"override {m[1]}: to sweep over several values add -m; a list is written [a,b]")
    if m := re.search(r"Could not (?:override|delete(?: from config\.)?|append[^']*) '([^'@]+)", text):
        known = [*SETTINGS, *discover().registry.picked, *registry.names("stage")]
        head, _, tail = m[1].partition(".")
        given = next((o for o in overrides if o.lstrip("+~").startswith(m[1])), m[1])
        if head in known and not tail:
            return ModelwrightError(f"override {given}: choose another {head} ({head}=NAME), or none of a list ({head}=[])", head)
        known = _keys(head, overrides) if head in known else known
        if m[1] in known:
            return ModelwrightError(f"override {given}: a file sets {m[1]}, and not this key of it; to add one: ++{m[1]}.KEY=VALUE", m[1])
        return ModelwrightError(f"override {given}: there is no {m[1]!r}{nearest(m[1] if head in known or tail else head, known)}", m[1])
    return ModelwrightError(" ".join(f"{text} {error.__cause__ or ''}".split()))


def _keys(head: str, overrides: Sequence[str]) -> list[str]:
    """The full keys below a top-level key, with only those overrides that pick options."""
    from omegaconf import OmegaConf

    from modelwright.compose import below, hydrated

    picks = [o for o in overrides if o.partition("=")[0] in {"recipe", *discover().registry.picked}]
    with contextlib.suppress(Exception):  # at worst the suggestion is lost
        return [key for key, _ in below(OmegaConf.to_container(hydrated(picks)[head]), head)]
    return []
