"""Every YAML under conf/ and recipes/ composes, validates and plans."""

from __future__ import annotations

import pytest

from modelwright.assemble import assemble, problems
from modelwright.compose import composed
from modelwright.hooks import discover
from modelwright_plugins.catalogue import presets, recipes
from modelwright_plugins.command.source import summary

REGISTRY = discover().registry
PRESETS = [(kind, name) for kind in REGISTRY.picked for name in presets(kind)]
REQUIRED = {  # what has no default
    "source/jsonl": ["source.paths=[x.jsonl]"],
    "source/text": ["source.paths=[x.txt]"],
    "objective/distillation": ["objective.teacher=x"],
}
COMPONENTS = [(kind, name) for kind, name in REGISTRY.entries if kind in REGISTRY.picked]


def planned(*overrides: str) -> dict[str, dict[str, object]]:
    config = composed(overrides)
    bound = assemble(config, REGISTRY)
    assert problems(bound, config) == []
    return {b.name: b.stage.forecast(b.parts) for b in bound}


def picked(kind: str, name: str) -> str:
    return f"{kind}=[{name}]" if REGISTRY.kinds[kind].many else f"{kind}={name}"


@pytest.mark.slow
@pytest.mark.parametrize("recipe", recipes())
def test_a_recipe_plans_and_so_does_all_that_it_says_to_try(recipe):
    assert planned(f"recipe={recipe}")["train"]["parameters"]
    tries = composed([f"recipe={recipe}"])["next"]
    assert len(tries) == 3
    for words in tries:
        plain = [w.split(",")[0] for w in words.split() if w != "-m"]  # of a sweep, the first job
        assert planned(f"recipe={recipe}", *plain)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), PRESETS)
def test_a_preset_plans_in_the_quickstart(kind, name):
    assert planned("recipe=pretrain/quickstart", picked(kind, name))
    assert name not in REGISTRY.names(kind), "a preset may not bear a component's name: the first source wins"


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_a_component_composes_with_its_defaults(kind, name):
    config = composed(["recipe=pretrain/quickstart", picked(kind, name), *REQUIRED.get(f"{kind}/{name}", [])])
    node = config[kind][name] if REGISTRY.kinds[kind].many else config[kind]
    assert node["name"] == name


def test_every_kind_component_and_parameter_is_documented():
    from modelwright_plugins.command.show import parameters

    for kind in REGISTRY.kinds.values():
        assert summary(kind)[0] != "(", kind
    for entry in REGISTRY.entries.values():
        assert summary(entry)[0] != "(" and len(summary(entry)) <= 120, (entry.kind, entry.name, summary(entry))
        for p in parameters(entry.load()):
            assert p.doc, f"{entry.kind}/{entry.name}: {p.name} says nothing of itself"


def test_every_preset_and_recipe_says_what_it_is():
    from modelwright_plugins.command.list import about

    for path in [*recipes().values(), *(presets(kind)[name] for kind, name in PRESETS)]:
        assert about(path), path
