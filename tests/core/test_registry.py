from __future__ import annotations

import pytest

from modelwright.errors import ModelwrightError
from modelwright.registry import Registry
from modelwright_plugins.source_code import summary


def test_a_duplicate_names_both_owners():
    registry = Registry()
    with registry.plugin("one"):
        registry.add_kind("shape", "toy_plugin.parts:Shape")
        registry.add("shape", "circle", "one:Circle")
    with registry.plugin("two"):
        registry.add("shape", "circle", "two:Circle")
    assert registry.broken == {"two": "shape/circle of plugin 'two' (two:Circle) is taken already by plugin 'one' (one:Circle)"}
    assert registry.get("shape", "circle").plugin == "one"


def test_a_plugin_that_fails_half_way_leaves_nothing():
    registry = Registry()
    with registry.plugin("half"):
        registry.add_kind("shape", "x:Shape")
        registry.add("shape", "circle", "x:Circle")
        raise RuntimeError("no more")
    assert (registry.broken, registry.entries) == ({"half": "RuntimeError: no more"}, {}) and "shape" not in registry.kinds


def test_an_unknown_kind_or_form_breaks_the_plugin():
    registry = Registry()
    with registry.plugin("a"):
        registry.add("stge", "x", "a:X")
    with registry.plugin("b"):
        registry.add("stage", "x", "a.X")
    assert registry.broken["a"] == "stge/x: no kind named 'stge'; did you mean 'stage'?"
    assert "not of the form 'package.module:Name'" in registry.broken["b"]


def test_a_missing_name_says_the_nearest_and_what_is_broken(toy):
    toy.registry.broken["other"] = "ImportError: nope"
    with pytest.raises(
        ModelwrightError, match=r"no shape named 'cirle'; did you mean 'circle'\? \(plugin 'other' did not load: ImportError: nope\)"
    ):
        toy.registry.get("shape", "cirle")
    with pytest.raises(ModelwrightError, match="no kind named 'shpe'; did you mean 'shape'"):
        toy.registry.get("shpe", "circle")


def test_what_does_not_import_names_its_plugin(toy):
    for target, why in {
        "toy_plugin.gone:X": "ModuleNotFoundError",
        "toy_plugin.parts:Gone": "AttributeError",
        "os:getcwd": "does not extend toy_plugin.parts:Shape",
        "toy_plugin.parts:Red": "does not extend toy_plugin.parts:Shape",
    }.items():
        toy.registry.add("shape", target, target)
        with pytest.raises(ModelwrightError, match=f"{target} of plugin 'core'.*{why}"):
            toy.registry.load("shape", target)


def test_summaries_are_read_without_importing(toy):
    import sys

    sys.modules.pop("toy_plugin.parts", None)
    assert summary(toy.registry.get("shape", "circle")) == "A round one."
    assert summary(toy.registry.kinds["shape"]) == "The outline of a picture."
    assert "toy_plugin.parts" not in sys.modules
    toy.registry.add("shape", "gone", "toy_plugin.gone:X")
    assert summary(toy.registry.get("shape", "gone")) == "(broken: toy_plugin.gone is not found)"
