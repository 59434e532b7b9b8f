"""Every YAML under conf/ and recipes/ composes, validates and plans."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from modelwright.assemble import assemble, problems
from modelwright.compose import composed
from modelwright.hooks import discover
from modelwright_plugins.catalogue import presets, recipes
from modelwright_plugins.pipeline.phases import is_pipeline
from modelwright_plugins.source_code import summary

REGISTRY = discover().registry
PRESETS = [(kind, name) for kind in REGISTRY.picked for name in presets(kind)]
REQUIRED = {  # what has no default
    **{f"recipe/curate/{name}": ["source.paths=[tests/plugins/filter/pii_lines.txt]"] for name in ("web", "c4", "gopher", "dialogue")},
    "recipe/curate/code": ["source.paths=[tests/conf]"],
    "generator/server": ["generator.url=http://localhost:8000/v1", "generator.model=x"],
    "reward/contains": ["reward.contains.words=[x]"],
    "reward/regex": ["reward.regex.pattern=x"],
    "reward/judge": ["reward.judge.server={url: 'http://localhost:8000/v1', model: x}"],
    "reward/model": ["reward.model.checkpoint=x"],
    "source/jsonl": ["source.paths=[x.jsonl]"],
    "source/text": ["source.paths=[x.txt]"],
    "source/parquet": ["source.paths=[x.parquet]"],
    "source/code": ["source.paths=[x]"],
    "source/warc": ["source.paths=[x.warc]"],
    "source/hugging_face": ["source.paths=[x]"],
    "source/conversations": ["source.paths=[x.jsonl]"],
    "source/examples": ["source.paths=[x.jsonl]"],
    "evaluator/sgd_dialogues": ["evaluator.sgd_dialogues.path=x"],
    "source/sgd_dialogues": ["source.path=x"],
    "source/mixture": ["source.parts={jsonl: {paths: [x.jsonl]}}"],
    "evaluator/multiple_choice": ["evaluator.multiple_choice.path=x.jsonl"],
    "evaluator/lm_eval": ["evaluator.lm_eval.tasks=[x]", "evaluator.lm_eval.include_path=tests"],
    "evaluator/contamination": ["evaluator.contamination.paths=[x.jsonl]"],
    "evaluator/classification": ["evaluator.classification.train=x.tsv", "evaluator.classification.test=x.tsv"],
    "evaluator/rewards": ["evaluator.rewards.rewards={length: {}}"],
    "generator/contrastive_decoding": ["generator.amateur=x"],
    "evaluator/pass_at_k": ["evaluator.pass_at_k.path=x.jsonl"],
    "evaluator/questions": ["evaluator.questions.path=x.jsonl"],
    "evaluator/humaneval": ["evaluator.humaneval.path=tests/plugins/evaluator/functions.jsonl"],
    "evaluator/chain_of_thought": ["evaluator.chain_of_thought.path=tests/plugins/evaluator/sums.jsonl"],
    "evaluator/self_consistency": ["evaluator.self_consistency.path=tests/plugins/evaluator/sums.jsonl"],
    "evaluator/pairwise_judge": ["evaluator.pairwise_judge.replies={a: x.jsonl, b: y.jsonl}"],
    "objective/distillation": ["objective.teacher=x"],
    "objective/multitask": ["objective.weights={causal_lm: 1}"],
    "mixture/fixed": ["mixture.weights={x: 1}"],
    "mixture/phases": ["mixture.phases={proportional: {share: 1}}"],
    "filter/c4_badwords": ["filter.c4_badwords.folder=x"],
    "filter/toxic_words": ["filter.toxic_words.lists=[x]"],
    "filter/regex": ["filter.regex.patterns=[x]"],
    "filter/language_fasttext": ["filter.language_fasttext.model=x"],
    "filter/decontamination": ["filter.decontamination.paths=[x.txt]"],
    "filter/decontamination_gpt3": ["filter.decontamination_gpt3.paths=[tests/plugins/filter/pii_lines.txt]"],
    "filter/quality_gpt3": [f"filter.quality_gpt3.{side}=[tests/plugins/filter/{side}_lines.txt]" for side in ("good", "bad")],
    "filter/decontamination_tulu3": ["filter.decontamination_tulu3.paths=[tests/plugins/filter/pii_lines.txt]"],
}
COMPONENTS = [(kind, name) for kind, name in REGISTRY.entries if kind in REGISTRY.picked]


FAMILIES = {"encoder": "masked_lm", "electra": "replaced_token_detection", "encoder_decoder": "span_corruption"}
TRAINING = "stages=[curate,train_tokenizer,tokenize,train]"  # what is not a decoder is not asked for the next token


def planned(*overrides: str, kind: str | None = None) -> dict[str, dict[str, object]]:
    """What the stages foresee, or those that use this kind."""
    config = composed(overrides)
    bound = assemble(config, REGISTRY)
    assert problems(bound, config) == []
    return {b.name: b.stage.forecast(b.parts) for b in bound if kind is None or kind in b.stage.uses}


@functools.cache
def alone(kind: str, preset: str) -> dict[str, Any]:
    return composed(["recipe=pretrain/quickstart", picked(kind, preset)])


def paired(kind: str, preset: str) -> list[str]:
    """What the quickstart needs beside it: an objective of the architecture's family, or the other way round, or the stage that uses it."""
    if kind in ("mixture", "curriculum"):
        return ["stages=[curate,train_tokenizer,tokenize,mix,train]"]
    if kind in ("aligner", "adapter"):
        return ["stages=[curate,train_tokenizer,tokenize,train,prepare,align]", *(["aligner=sft"] if kind == "adapter" else [])]
    if kind == "evaluator":
        return ["stages=[curate,train_tokenizer,tokenize,train,prepare,evaluate]", "evaluate.examples=true"]
    if kind == "reward":
        return ["stages=[curate,train_tokenizer,tokenize,train,prepare,align]", "aligner=grpo", "generator=policy"]
    if kind == "quantizer":
        return ["stages=[curate,train_tokenizer,tokenize,train,quantize]"]
    if kind not in ("architecture", "objective"):
        return []
    own = REGISTRY.load(kind, alone(kind, preset)[kind]["name"])
    if kind == "architecture":
        return [f"objective={FAMILIES[own.family]}", TRAINING] if own.family in FAMILIES else []
    return [f"architecture={own.architectures[0]}", TRAINING] if own.architectures[0] in FAMILIES else []


def picked(kind: str, name: str) -> str:
    return f"{kind}=[{name}]" if REGISTRY.kinds[kind].many else f"{kind}={name}"


LEFT = {  # `…` in what a recipe says to try is left to its reader
    "filter.c4_badwords.folder": "tests/conf filter.c4_badwords.default_language=test_every_yaml.py",  # a folder with a list of a language
    "filter.toxic_words.lists": "[tests/plugins/filter/pii_lines.txt]",
    "filter.decontamination_tulu3.paths": "[tests/plugins/filter/pii_lines.txt]",
}


def test_an_export_plans_after_what_it_takes():
    training = "stages=[curate,train_tokenizer,tokenize,train,export]"
    assert "export" in planned("recipe=export/hf", training, "source=python_library", "architecture=tiny_llama", "optimizer=adamw")


@pytest.mark.slow
@pytest.mark.parametrize(  # tests/plugins/pipeline has those; export/hf is for a run that there is
    "recipe", [name for name, path in recipes().items() if not is_pipeline(path) and name != "export/hf"]
)
def test_a_recipe_plans_and_so_does_all_that_it_says_to_try(recipe):
    given = REQUIRED.get(f"recipe/{recipe}", [])
    foreseen = planned(f"recipe={recipe}", *given)
    assert "train" not in foreseen or foreseen["train"]["parameters"]
    tries = composed([f"recipe={recipe}", *given])["next"]
    assert len(tries) == 3
    values = LEFT | dict(word.split("=") for word in given)
    for words in tries:
        completed = [
            f"{k}={values[k]}" if v.strip("[]") == "…" else f"{k}={v}" for k, v in (w.split("=", 1) for w in words.split() if w != "-m")
        ]
        plain = [w if "[" in w else w.split(",")[0] for w in " ".join(completed).split()]  # of a sweep, the first job
        assert planned(f"recipe={recipe}", *plain)


ALONE = [[(kind, name)] for kind, name in PRESETS if kind != "filter"]  # filters plan together: each has a key, which a problem names
TOGETHER = [[each for each in PRESETS if each[0] == "filter"]]


@pytest.mark.slow
@pytest.mark.parametrize("some", ALONE + TOGETHER, ids=lambda some: "-".join(some[0]) if len(some) == 1 else some[0][0])
def test_a_preset_plans_in_the_quickstart(some):
    kind, names = some[0][0], [name for _, name in some]
    one = picked(kind, names[0]) if len(names) == 1 else f"{kind}=[{','.join(names)}]"
    given = [word for name in names for word in REQUIRED.get(f"{kind}/{name}", [])]
    words = ["recipe=pretrain/quickstart", one, *paired(kind, names[0]), *given]
    if kind == "architecture":  # tests/plugins/architecture/test_presets.py builds and counts it
        config = composed(words) if words[2:] else alone(kind, *names)
        assert problems(assemble(config, REGISTRY), config) == []
    else:
        assert planned(*words, kind=kind)
    assert not {*names} & {*REGISTRY.names(kind)}, "a preset may not bear a component's name: the first source wins"


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, name in COMPONENTS if not REGISTRY.kinds[kind].many])
def test_a_component_composes_with_its_defaults(kind, name):
    config = composed(["recipe=pretrain/quickstart", picked(kind, name), *REQUIRED.get(f"{kind}/{name}", [])])
    assert config[kind]["name"] == name


@pytest.mark.parametrize("kind", [kind for kind in REGISTRY.picked if REGISTRY.kinds[kind].many])
def test_components_of_which_many_are_picked_compose_with_their_defaults(kind):
    """All at once: each has a key of its own, which an error names."""
    names = [name for one, name in COMPONENTS if one == kind]
    given = [word for name in names for word in REQUIRED.get(f"{kind}/{name}", [])]
    config = composed(["recipe=pretrain/quickstart", f"{kind}=[{','.join(names)}]", *given])
    assert [(key, node["name"]) for key, node in config[kind].items()] == [(name, name) for name in names]


def test_every_kind_component_and_parameter_is_documented():
    from modelwright_plugins.parameters import parameters

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
