from __future__ import annotations

import inspect
import sys
import types

import pytest

from modelwright import hooks
from modelwright.errors import Pruned
from modelwright.hooks import Hooks, Specification, hookimpl


def module(**contents) -> types.ModuleType:
    made = types.ModuleType("made")
    made.__dict__.update(contents)
    return made


def test_every_hook_is_documented():
    for name, hook in inspect.getmembers(Specification, inspect.isfunction):
        assert (inspect.getdoc(hook) or "").strip(), name


@pytest.mark.parametrize(
    ("plugin", "why"),
    [
        (lambda: __import__("no_such_module"), "ModuleNotFoundError: No module named 'no_such_module'"),
        (lambda: module(MODELWRIGHT_API=99), "it needs plugin API 99; this is 1"),
        (lambda: module(modelwright_register=hookimpl(lambda registry: 1 / 0)), "ZeroDivisionError: division by zero"),
        (lambda: module(modelwright_regster=hookimpl(lambda registry: None)), "modelwright_regster"),
        (lambda: module(modelwright_register=hookimpl(lambda registy: None)), "registy"),
        (lambda: sys.exit(3), "SystemExit: 3"),
    ],
)
def test_a_broken_plugin_costs_only_itself(plugin, why):
    loaded = Hooks()
    loaded.load("broken", plugin)
    loaded.load("good", lambda: module(modelwright_register=hookimpl(lambda registry: registry.add("stage", "x", "a:X"))))
    assert why in loaded.registry.broken["broken"] and list(loaded.registry.broken) == ["broken"]
    assert loaded.registry.names("stage") == ["x"]


def test_two_plugins_of_one_name(install_plugins):
    loaded = Hooks()
    loaded.load("same", module)
    loaded.load("same", lambda: module(modelwright_register=hookimpl(lambda registry: registry.add("stage", "x", "a:X"))))
    assert loaded.registry.broken == {"same": "two plugins bear this name"} and loaded.registry.names("stage") == []


def test_the_environment_restricts_what_loads(install_plugins, monkeypatch):
    monkeypatch.setenv("MODELWRIGHT_PLUGINS", "toy,gone")
    found = install_plugins(toy="toy_plugin", other="no_such_module")
    assert found.registry.broken == {"gone": "MODELWRIGHT_PLUGINS names it, and it is not installed"}
    assert "shape" in found.registry.kinds
    monkeypatch.setenv("MODELWRIGHT_PLUGINS", "")
    assert "shape" not in install_plugins(toy="toy_plugin").registry.kinds


def test_a_run_time_hook_that_fails_warns_and_the_others_are_called():
    seen: list[int] = []
    loaded = Hooks()
    loaded.load("a", lambda: module(on_step_end=hookimpl(lambda step, metrics: 1 / 0)))
    loaded.load("b", lambda: module(on_step_end=hookimpl(lambda step: seen.append(step))))
    with pytest.warns(UserWarning, match="on_step_end of plugin 'a' failed: ZeroDivisionError"):
        loaded.call("on_step_end", step=3, metrics={})
    assert seen == [3]


def test_run_time_hooks_have_an_order():
    """tryfirst, then by name, then trylast: not in the order of loading, and not pluggy's last come, first called."""
    seen: list[str] = []
    loaded = Hooks()
    for name, when in {
        "d": {},
        "b": {"trylast": True},
        "a": {},
        "e": {"tryfirst": True},
        "c": {"tryfirst": True},
        "f": {"trylast": True},
    }.items():
        loaded.load(name, lambda name=name, when=when: module(on_step_end=hookimpl(**when)(lambda step, name=name: seen.append(name))))
    assert not loaded.registry.broken
    loaded.call("on_step_end", step=1, metrics={})
    assert seen == ["c", "e", "a", "d", "b", "f"]


def test_a_hook_may_prune_and_may_not_end_the_process():
    def prune(step):
        raise Pruned("enough")

    loaded = Hooks()
    loaded.load("a", lambda: module(on_step_end=hookimpl(lambda step: sys.exit(3))))
    loaded.load("b", lambda: module(on_step_end=hookimpl(prune)))
    with pytest.warns(UserWarning, match="on_step_end of plugin 'a' failed: SystemExit: 3"), pytest.raises(Pruned, match="enough"):
        loaded.call("on_step_end", step=3, metrics={})


def test_the_built_in_parts_come_in_through_the_entry_point():
    hooks.discover.cache_clear()
    registry = hooks.discover().registry
    assert registry.get("optimizer", "muon").plugin == "builtin" and not registry.broken
