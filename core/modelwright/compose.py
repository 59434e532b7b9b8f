"""Compose: Hydra turns a command line into a config; every part of it is then held against its schema."""

import contextlib
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from modelwright.catalogue import CONF, RECIPES, presets, recipes
from modelwright.component import Settings
from modelwright.errors import ModelwrightError, nearest
from modelwright.hooks import discover
from modelwright.registry import Kind, Registry
from modelwright.schema import RESERVED, conform, defaults, plain

SETTINGS = [f.name.rstrip("_") for f in fields(Settings)]


class RegistrySource(ConfigSource):
    """`registry://`: every registered component is an option of its kind's config group, with no YAML."""

    @staticmethod
    def scheme() -> str:
        return "registry"

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return config_path.strip("/") in {"", *discover().registry.picked}

    def is_config(self, config_path: str) -> bool:
        return config_path == "kinds" or _split(config_path) in discover().registry.entries

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        group = config_path.strip("/")
        if group == "":
            return [] if results_filter == ObjectType.CONFIG else sorted(discover().registry.picked)
        return [] if results_filter == ObjectType.GROUP else discover().registry.names(group)

    def load_config(self, config_path: str) -> ConfigResult:
        registry = discover().registry
        if config_path == "kinds":
            picks = [{k.name: ([k.default] if k.default else []) if k.many else k.default} for k in registry.picked.values()]
            settings = {key.rstrip("_"): value for key, value in defaults(Settings).items() if key != "recipe"}
            config: dict[str, Any] = {"defaults": [*picks, "_self_"], **settings, **_stage_defaults(registry)}
            package: str | None = "_global_"
        else:
            kind, name = _split(config_path)
            config = {RESERVED: name, **defaults(registry.load(kind, name))}
            package = f"{kind}.{name}" if registry.kinds[kind].many else None
        return ConfigResult(self.provider, "registry://", OmegaConf.create(config), {"package": package})


class RecipeSource(ConfigSource):
    """`recipes://`: `recipe=pretrain/quickstart` is a recipe of ours; `recipe=./mine.yaml` (or an absolute path) is a file of yours."""

    @staticmethod
    def scheme() -> str:
        return "recipes"

    def available(self) -> bool:
        return True

    def _path(self, config_path: str) -> Path | None:
        group, _, name = config_path.partition("/")
        if group != "recipe":
            return None
        return Path(name) if name.startswith((".", "/")) else Path(str(files(RECIPES))) / name

    def is_group(self, config_path: str) -> bool:
        path = self._path(config_path)
        return path is not None and path.is_dir()

    def is_config(self, config_path: str) -> bool:
        path = self._path(self._normalize_file_name(config_path))
        return path is not None and path.is_file()

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        path = self._path(config_path)
        keep = {ObjectType.GROUP: Path.is_dir, ObjectType.CONFIG: Path.is_file}.get(results_filter, Path.exists)  # type: ignore[arg-type]
        return sorted(p.stem for p in path.iterdir() if keep(p) and p.name[0] not in "._") if path else []

    def load_config(self, config_path: str) -> ConfigResult:
        path = self._path(self._normalize_file_name(config_path))
        assert path is not None
        text = path.read_text(encoding="utf-8")
        package = self._get_header_dict(text).get("package") or "_global_"  # a recipe speaks of the whole config
        try:
            return ConfigResult(self.provider, str(path), OmegaConf.create(text), {"package": package})
        except (yaml.YAMLError, OmegaConfBaseException) as e:
            raise ModelwrightError(f"{path}: not YAML: {' '.join(str(e).split())}") from e


class OurPaths(SearchPathPlugin):
    """Where configs are looked for, after `modelwright.conf`: our recipes, each plugin's own folder, the registry."""

    def manipulate_search_path(self, search_path: Any) -> None:
        search_path.append("recipes", "recipes://")
        for plugin, path in discover().registry.conf:
            search_path.append(plugin, path)
        search_path.append("registry", "registry://")


@functools.cache
def install() -> None:
    """Show the registry to Hydra, in this process."""
    for plugin in (RegistrySource, RecipeSource, OurPaths):
        Plugins.instance().register(plugin)


def composed(overrides: Sequence[str]) -> dict[str, Any]:
    """The frozen config of these overrides. Raises ModelwrightError on anything that is not right."""
    install()
    GlobalHydra.instance().clear()
    with initialize_config_module(CONF, version_base="1.3"):
        try:
            config = compose("config", list(overrides), return_hydra_config=True)
            return freeze(config, config.hydra)
        except (HydraException, OmegaConfBaseException, ValueError) as e:
            raise explained(e, overrides) from e


def freeze(config: DictConfig, hydra: Any) -> dict[str, Any]:
    """A composed config as plain values, complete and checked; `hydra` is Hydra's own node: what was chosen, by which overrides."""
    chosen, registry = dict(hydra.runtime.choices), discover().registry
    try:
        values: Any = OmegaConf.to_container(OmegaConf.masked_copy(config, [str(k) for k in config if k != "hydra"]), resolve=True)
        return _checked({**values, "recipe": chosen.get("recipe")}, registry)
    except ModelwrightError as e:
        chosen |= {name: [*values[name]] for name, kind in registry.picked.items() if kind.many and isinstance(values.get(name), dict)}
        where = _blame(e.key, list(hydra.overrides.task), chosen) if e.key else ""
        raise ModelwrightError(f"{where}{e}", e.key) from e
    except OmegaConfBaseException as e:
        raise ModelwrightError(f"{e.full_key}: {str(e).splitlines()[0]}", str(e.full_key)) from e


def _checked(top: dict[str, Any], registry: Registry) -> dict[str, Any]:
    stages, kinds = registry.names("stage"), registry.picked
    for key in top:
        if key not in {*SETTINGS, *kinds, *stages}:
            raise ModelwrightError(f"{key}: there is no such setting, kind or stage{nearest(key, [*SETTINGS, *kinds, *stages])}", key)
    given = {"from_" if key == "from" else key: top[key] for key in SETTINGS if key in top}
    frozen = {key.rstrip("_"): value for key, value in plain(conform(given, Settings, "")).items()}
    for name in frozen["stages"]:
        if name not in stages:
            raise ModelwrightError(f"stages: no stage named {name!r}{nearest(name, stages)}{registry.excuse()}", "stages")
    for name, kind in kinds.items():
        if top.get(name) is not None:
            frozen[name] = _picked(kind, top[name], registry)
    for name in sorted({*frozen["stages"], *top} & set(stages)):
        settings = plain(conform(top.get(name, {}), registry.load("stage", name), name))  # typos in stages that are not run, too
        frozen |= {name: settings} if name in frozen["stages"] else {}
    return frozen


def _picked(kind: Kind, node: Any, registry: Registry) -> dict[str, Any]:
    def one(node: Any, key: str) -> dict[str, Any]:
        if not isinstance(node, dict) or not isinstance(node.get(RESERVED), str):
            raise ModelwrightError(
                f"{key}: {node!r} picks no component; write {kind.name}=NAME, or `- override /{kind.name}: NAME` in a recipe's "
                f"defaults list (NAME is one of: {', '.join(registry.names(kind.name))})",
                key,
            )
        given = {str(k): v for k, v in node.items() if k != RESERVED}
        return {RESERVED: node[RESERVED], **plain(conform(given, registry.load(kind.name, node[RESERVED]), key))}

    if not kind.many:
        return one(node, kind.name)
    if not isinstance(node, dict):
        raise ModelwrightError(f"{kind.name}: a list of {kind.name}s is picked as {kind.name}=[a,b], not as {node!r}", kind.name)
    return {str(name): one(item, f"{kind.name}.{name}") for name, item in node.items()}


def _stage_defaults(registry: Registry) -> dict[str, Any]:
    found = {}
    for name in registry.names("stage"):
        with contextlib.suppress(ModelwrightError):  # a stage that does not import stops only the recipes that name it
            found[name] = defaults(registry.load("stage", name))
    return found


def _split(config_path: str) -> tuple[str, str]:
    kind, _, name = config_path.strip("/").removesuffix(".yaml").rpartition("/")
    return kind, name


def _blame(key: str, overrides: Sequence[str], chosen: Mapping[str, Any]) -> str:
    """The override or the YAML file that set a key, as the beginning of an error: 'override x=1: '."""
    for override in overrides:
        left = override.partition("=")[0].lstrip("+~")
        picks = left in discover().registry.picked and key != left
        if not picks and (key == left or key.startswith(left + ".") or left.startswith(key + ".")):
            return f"override {override}: "
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
        group, _, name = m[1].rpartition("/")
        if group.split("/")[0] in {"recipe", ""}:
            name = m[1].removeprefix("recipe/")
            here = Path(name).with_suffix(".yaml")
            hint = f"; did you mean ./{here}?" if here.is_file() else nearest(name, recipes())
            return ModelwrightError(f"no recipe {'file' if name[0] in './' else 'named'} {name!r}{hint}")
        if group in registry.kinds:
            known = [*registry.names(group), *presets(group)]
            return ModelwrightError(f"no {group} named {name!r}{nearest(name, known)}{registry.excuse()}", group)
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
        return ModelwrightError(f"override {given}: there is no {m[1]!r}{nearest(m[1] if head in known or tail else head, known)}", m[1])
    return ModelwrightError(" ".join(f"{text} {error.__cause__ or ''}".split()))


def _keys(head: str, overrides: Sequence[str]) -> list[str]:
    """The full keys below a top-level key, with only those overrides that pick options."""
    picks = [o for o in overrides if o.partition("=")[0] in {"recipe", *discover().registry.picked}]

    def below(node: Any, prefix: str) -> Iterator[str]:
        for key, value in node.items() if isinstance(node, dict) else ():
            yield f"{prefix}.{key}"
            yield from below(value, f"{prefix}.{key}")

    GlobalHydra.instance().clear()
    with contextlib.suppress(Exception), initialize_config_module(CONF, version_base="1.3"):  # at worst the suggestion is lost
        return list(below(OmegaConf.to_container(compose("config", picks))[head], head))  # type: ignore[index,call-overload]
    return []
