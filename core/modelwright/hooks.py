"""The hooks: how plugins come in, and what they are told while a run goes on."""

import copy
import functools
import importlib
import inspect
import os
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pluggy

from modelwright.errors import ModelwrightError, Pruned, nearest
from modelwright.registry import Registry

CONF, RECIPES = "modelwright.conf", "modelwright.recipes"  # packages with the YAML of our own
API, GROUP = 1, "modelwright"  # a plugin module may say which it needs: MODELWRIGHT_API = 1; the entry point group
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)  # the decorator that makes a function of a plugin's module a hook


class Specification:
    """Every hook. A plugin implements those it wants, as functions of the module that its entry point names."""

    @hookspec
    def modelwright_register(self, registry: Registry) -> None:
        """Add kinds and components: `registry.add("optimizer", "lion", "my_plugin.lion:Lion")`. Import nothing heavy."""

    @hookspec
    def modelwright_conf(self) -> str:  # type: ignore[empty-body]
        """A Hydra search path with presets and recipes, such as `pkg://my_plugin.conf`: folders `<kind>/` and `recipe/`."""

    @hookspec
    def on_run_start(self, run: Path, config: Mapping[str, Any]) -> None:
        """A run starts in folder `run` with this frozen config. Called once, before its first stage."""

    @hookspec
    def on_step_end(self, step: int, metrics: Mapping[str, float]) -> None:
        """A training step ended; called on the rank that logs, with what `metrics.jsonl` gets."""

    @hookspec
    def on_checkpoint(self, step: int, path: Path) -> None:
        """A checkpoint is whole and durable at `path`; called on rank 0."""

    @hookspec
    def on_evaluate(self, run: Path, metrics: Mapping[str, float]) -> None:
        """A model was evaluated in the run in folder `run`; called on rank 0, with the numbers that the manifest keeps."""

    @hookspec
    def on_error(self, run: Path, error: BaseException) -> None:
        """A run fails with this error; called before `on_run_end`. Not called when a person stops a run, or a hook prunes it."""

    @hookspec
    def on_run_end(self, run: Path, error: BaseException | None) -> None:
        """A run ended, with the error that ended it or None."""


class Hooks:
    """The loaded plugins: `hooks.registry`, and the run-time hooks as `hooks.call("on_step_end", step=…, metrics=…)`."""

    def __init__(self) -> None:
        self.registry = Registry()
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(Specification)

    def load(self, name: str, load: Callable[[], Any]) -> None:
        """Take in the plugin that `load` imports. One that fails costs only its own components: `registry.broken` says why."""
        if name in self.registry.broken or self._manager.has_plugin(name):
            self.registry.broken[name] = "two plugins bear this name"
            return
        with self.registry.plugin(name), redirect_stdout(sys.stderr):  # what a plugin prints is no part of our output
            module = load()
            if (need := getattr(module, "MODELWRIGHT_API", API)) != API:
                raise ModelwrightError(f"it needs plugin API {need}; this is {API}")
            if other := self._manager.get_name(module):
                raise ModelwrightError(f"its module is that of plugin {other!r} already; pip uninstall one of the two")
            self._manager.register(module, name)
            self._known(module)
            others = [p for p in self._manager.get_plugins() if p is not module]
            self._manager.subset_hook_caller("modelwright_register", others)(registry=self.registry)
            paths = self._manager.subset_hook_caller("modelwright_conf", others)()
            for path in paths:
                if not isinstance(path, str) or not re.match(r"pkg://[\w.]+$|file://", path):
                    raise ModelwrightError(f"modelwright_conf gives {path!r}; expected pkg://PACKAGE or file://FOLDER")
                if path.startswith("pkg://"):
                    importlib.import_module(path[6:])
            self.registry.conf += [(name, path) for path in paths]
        if name in self.registry.broken and self._manager.has_plugin(name):
            self._manager.unregister(name=name)

    def _known(self, module: Any) -> None:
        """Every hook of a plugin is one of ours, and it has one."""
        known = [name for name in vars(Specification) if name[0] != "_"]
        given = [name for name, found in inspect.getmembers(module) if hasattr(found, f"{GROUP}_impl")]
        for name in given or (name for name in known if hasattr(module, name)):
            if name not in known:
                raise ModelwrightError(f"there is no hook {name!r}{nearest(name, known)}")
            if not given:
                raise ModelwrightError(f"{name} is not marked as a hook: put @hookimpl above it")

    def call(self, hook: str, **arguments: Any) -> None:
        """Call a run-time hook: `tryfirst`, then by plugins' names, then `trylast`. One that fails warns; only `Pruned` comes through."""
        found = getattr(self._manager.hook, hook).get_hookimpls()
        for implementation in sorted(found, key=lambda i: (i.trylast - i.tryfirst, i.plugin_name)):
            given = {n: copy.deepcopy(v) if isinstance(v := arguments[n], Mapping) else v for n in implementation.argnames}  # its own
            try:
                implementation.function(**given)
            except (Exception, SystemExit) as e:
                if isinstance(e, Pruned) and hook not in {"on_error", "on_run_end"}:  # they come too late
                    raise
                warnings.warn(f"{hook} of plugin {implementation.plugin_name!r} failed: {type(e).__name__}: {e}", stacklevel=2)


@functools.cache
def discover() -> Hooks:
    """Load the built-in plugin and every installed one (MODELWRIGHT_PLUGINS=a,b: only those beside the built-in)."""
    hooks, wanted = Hooks(), os.environ.get("MODELWRIGHT_PLUGINS")
    found = sorted(entry_points(group=GROUP), key=lambda e: (e.name != "builtin", e.name, e.value))
    only = [e.name for e in found] if wanted is None else ["builtin", *filter(None, wanted.split(","))]
    for entry in found:
        if entry.name in only:
            hooks.load(entry.name, entry.load)
    for entry in found * len(found):  # a kind may come from a plugin that is later in the order
        if "no kind named" in hooks.registry.broken.get(entry.name, ""):
            del hooks.registry.broken[entry.name]
            hooks.load(entry.name, entry.load)
    for missing in {*only} - {"builtin", *(e.name for e in found)}:
        hooks.registry.broken[missing] = "MODELWRIGHT_PLUGINS names it, and it is not installed"
    return hooks
