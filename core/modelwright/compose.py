"""Compose: Hydra turns a command line into a config; every part of it is then held against its schema."""

import contextlib
import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_module
from hydra._internal import hydra as hydra_itself
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from modelwright.component import Settings
from modelwright.errors import ModelwrightError, nearest
from modelwright.hooks import CONF, RECIPES, discover
from modelwright.registry import Kind, Registry
from modelwright.schema import RESERVED, conform, defaults, plain

OF_HYDRA = re.compile(r"hydra\.(mode|sweeper\.(params\.[+~]*(?!hydra)\w[\w./]*|metric|direction)|launcher\.partition)")
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
        return config_path == "kinds" or tuple(config_path.strip("/").removesuffix(".yaml").rsplit("/", 1)) in discover().registry.entries

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        return [] if results_filter == ObjectType.GROUP else discover().registry.names(config_path.strip("/"))

    def load_config(self, config_path: str) -> ConfigResult:
        registry = discover().registry
        if config_path == "kinds":
            picks = [{k.name: ([k.default] if k.default else []) if k.many else k.default} for k in registry.picked.values()]
            settings = {key.rstrip("_"): value for key, value in defaults(Settings).items() if key != "recipe"}
            config: dict[str, Any] = {"defaults": [*picks, "_self_"], **settings, **_stage_defaults(registry)}
            package: str | None = "_global_"
        else:
            kind, name = config_path.strip("/").removesuffix(".yaml").rsplit("/", 1)
            given = defaults(registry.load(kind, name)).items()  # keys of a field that is a dict are its own, and any may be set
            config = {RESERVED: name, **{k: OmegaConf.create(v, flags={"struct": False}) if isinstance(v, dict) else v for k, v in given}}
            package = f"{kind}.{name}" if registry.kinds[kind].many else None
        return ConfigResult(self.provider, "registry://", OmegaConf.create(config), {"package": package})


class RecipeSource(ConfigSource):
    """`recipes://`: `recipe=pretrain/quickstart` is a recipe of ours; `recipe=./mine.yaml` (or an absolute path) is a file of yours."""

    @staticmethod
    def scheme() -> str:
        return "recipes"

    def available(self) -> bool:
        return True

    def _path(self, config_path: str) -> Path:
        name = self._normalize_file_name(config_path).removeprefix("recipe/")
        return Path(name) if name.startswith((".", "/")) else Path(str(files(RECIPES))) / name

    def is_group(self, config_path: str) -> bool:
        return config_path == "recipe"

    def is_config(self, config_path: str) -> bool:
        return config_path.startswith("recipe/") and self._path(config_path).is_file()

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        return []

    def load_config(self, config_path: str) -> ConfigResult:
        path = self._path(config_path)
        text = path.read_text(encoding="utf-8")
        package = self._get_header_dict(text).get("package") or "_global_"  # a recipe speaks of the whole config
        try:
            return ConfigResult(self.provider, str(path), OmegaConf.create(text), {"package": package})
        except (yaml.YAMLError, OmegaConfBaseException) as e:
            raise ModelwrightError(f"{path}: not YAML: {' '.join(str(e).split())}") from e


class Loader(ConfigLoaderImpl):
    """Hydra's, which imports and calls whatever `hydra.*` names: only Hydra's own files and the command line may name it."""

    def _load_single_config(self, default: Any, repo: Any) -> ConfigResult:
        found = super()._load_single_config(default, repo)
        if default.primary or found.path.startswith(("structured://", "pkg://hydra.", "pkg://hydra_plugins.")):
            return found
        if ".." in default.config_path.split("/") and found.provider != "recipes":
            raise ModelwrightError(f"{default.config_path}: a preset is picked by its name, not by a path")
        for key, value in below(OmegaConf.to_container(found.config), ""):
            number = re.match(r"hydra\.(sweeper|launcher)\.", key) and isinstance(value, int | float | None)
            known = isinstance(value, dict) or number or (isinstance(value, str) and OF_HYDRA.fullmatch(key))
            if key.split(".")[0] == "hydra" and ("._" in key or not known):  # `_target_`, `_args_` …
                where = found.path if found.provider == "recipes" else f"{found.path}/{default.config_path}.yaml"
                raise ModelwrightError(f"{where}: {key}: of Hydra, a file may set mode, sweeper.params and sweeper and launcher numbers")
        return found


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
    hydra_itself.ConfigLoaderImpl = Loader  # type: ignore[misc]


def hydrated(overrides: Sequence[str]) -> DictConfig:
    """What Hydra makes of these overrides, its own node included. Raises what Hydra and OmegaConf raise."""
    install()
    GlobalHydra.instance().clear()
    with initialize_config_module(CONF, version_base="1.3"):
        return compose("config", list(overrides), return_hydra_config=True)


def freeze(config: DictConfig, hydra: Any) -> dict[str, Any]:
    """A composed config as plain values, complete and checked. `hydra` is Hydra's own node. ModelwrightError, with the key: it is wrong."""
    values: Any = OmegaConf.to_container(OmegaConf.masked_copy(config, [str(k) for k in config if k != "hydra"]), resolve=True)
    return _checked({**values, "recipe": hydra.runtime.choices.get("recipe")}, discover().registry)


def composed(overrides: Sequence[str]) -> dict[str, Any]:
    """The frozen config of these overrides."""
    return freeze(config := hydrated(overrides), config.hydra)


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
            how = f"name it in {kind.name}=[…], or '~{key}'" if kind.many else f"write {kind.name}=NAME, or `- override /{kind.name}: NAME`"
            raise ModelwrightError(f"{key}: {node!r} picks no component; {how} ({', '.join(registry.names(kind.name))})", key)
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


def below(node: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Full key and value of everything below a node."""
    for key, value in node.items() if isinstance(node, dict) else ():
        yield f"{prefix}.{key}".strip("."), value
        yield from below(value, f"{prefix}.{key}")
