"""What a plan says of learning from a model's own replies, and what is wrong before anything runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelwright.assemble import assemble, problems
from modelwright.compose import composed
from modelwright.errors import ModelwrightError
from modelwright.hooks import discover
from modelwright_plugins.aligner.grpo import GRPO
from modelwright_plugins.aligner.sft import SFT
from modelwright_plugins.artifacts.examples import ExamplesWriter, StoredExamples
from modelwright_plugins.engine.rollouts import Rollouts
from modelwright_plugins.tokenizer.vocabulary import Vocabulary

STAGES = "stages=[curate,train_tokenizer,tokenize,train,prepare,align]"
WORDS = ["recipe=pretrain/quickstart", "source=arithmetic", STAGES, "align.global_batch=16"]  # a source that walks no folders
SERVED = ["generator=server", "generator.url=http://localhost:8000/v1", "generator.model=m"]
RIGHT = ["generator=policy", "reward=[length]"]


def told(*words: str) -> tuple[list[str], dict[str, Any]]:
    config = composed([*WORDS, *words])
    bound = assemble(config, discover().registry)
    (align,) = [each for each in bound if each.name == "align"]
    return problems(bound, config), align.stage.forecast(align.parts)


def test_a_plan_says_prompts_replies_and_rounds() -> None:
    found, forecast = told(*RIGHT, "aligner=grpo", "aligner.minibatches=2", "aligner.epochs=3", "align.steps=60", "aligner.beta=0.1")
    assert found == []
    assert forecast["rounds"] == "10 of 32 prompts, 6 updates each"
    assert forecast["replies"] == "2,560" and "8 to each prompt, up to 96 tokens" in forecast["learns from"]
    assert forecast["first weights"] == "a second model in memory"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["aligner=grpo", "generator=policy"], "aligner grpo learns from rewards of its replies, and there is none"),
        (["aligner=rloo", "reward=[length]"], "aligner rloo learns from replies drawn from the model's own distribution"),
        ([*RIGHT, "aligner=ppo", "generator.min_p=0.1"], "generator=policy draws from it"),
        ([*RIGHT, "aligner=ppo", "align.batch_ramp=[8,8,64]"], "align.batch_ramp=[8, 8, 64]: aligner ppo has rounds of the same size"),
        ([*RIGHT, "aligner=grpo", "mixture=temperature"], "mixture temperature: aligner grpo reads every prompt equally often"),
        (
            ["aligner=rloo", "reward=[length]", *SERVED],
            "rloo learns from replies of the weights that are trained, and generator server asks",
        ),
        (["aligner=raft", "reward=[length]", *SERVED, "generator.temperature=0"], "this generator gives the same each time"),
        (["aligner=raft", "reward=[length]", "generator=greedy"], "this generator gives the same each time; generator=sampling"),
        ([*RIGHT, "aligner=ppo", "stability=z_score"], "aligner ppo can't skip prompts whose replies are not drawn yet"),
    ],
)
def test_what_is_wrong_is_told(words: list[str], said: str) -> None:
    assert [line for line in told(*words)[0] if said in line]


def test_an_aligner_of_its_own_replies_is_an_on_policy_one() -> None:
    """As `run` makes its rounds of what such a one has; a plugin's that says `samples` and is another is told before anything runs."""

    @dataclass(frozen=True, kw_only=True)
    class Sampled(SFT):
        samples: int = 2

    registry = discover().registry
    bound = assemble(composed([*WORDS, *RIGHT, "aligner=grpo"]), registry)
    (align,) = [each for each in bound if each.name == "align"]
    found = align.stage.problems({**align.parts, "aligner": Sampled()})
    assert [
        line for line in found if "has samples=2 replies to each prompt, and is no modelwright_plugins.aligner.on_policy.OnPolicy" in line
    ]


def test_what_is_right_is_not_told() -> None:
    assert told(*RIGHT, "aligner=ppo", "generator.stop=[x]", "generator.max_new_tokens=7")[0] == []
    assert told("aligner=raft", "reward=[length]", "generator=nucleus")[0] == []  # it learns from the best, however they were drawn
    assert told("aligner=raft", "reward=[length]", *SERVED)[0] == []


def test_prompts_must_be_prompts_with_room_for_a_reply(tmp_path: Path) -> None:
    how: dict[str, Any] = {"length": 20, "global_batch": 2, "seed": 1, "multiple": 1}
    numbers: dict[str, Any] = {}
    for part in ("train", "held_out"):
        writer = ExamplesWriter(tmp_path, part, "prompt")
        for size in (5, 9):
            writer.write({"id": "x", "group": "x"}, [(np.arange(size), np.zeros(size, np.uint8))])
        numbers[part] = writer.close()
    about = {"kind": "prompt", "vocab_size": 50, "end_of_document": 0, "template": "", **numbers}
    (tmp_path / "examples.json").write_text(json.dumps(about))
    examples = StoredExamples(tmp_path)
    with pytest.raises(
        ModelwrightError, match=r"beside 1 of 2 prompts a reply of generator.max_new_tokens=13 does not fit .* align.sequence_length=21"
    ):
        Rollouts.of(examples, GRPO(), Vocabulary(50, 0), most=13, **how)
    assert Rollouts.of(examples, GRPO(), Vocabulary(50, 0), most=12, **how).count == 2
    (tmp_path / "examples.json").write_text(json.dumps({**about, "kind": "conversation"}))
    with pytest.raises(ModelwrightError, match="aligner grpo learns from prompt"):
        Rollouts.of(StoredExamples(tmp_path), GRPO(), Vocabulary(50, 0), most=4, **how)


def test_each_epoch_of_a_round_has_all_its_prompts_once(tmp_path: Path) -> None:
    rollouts = Rollouts(None, Vocabulary(50, 0), 20, 7, GRPO(samples=2, epochs=2, minibatches=3), global_batch=4)  # type: ignore[arg-type]
    assert [rollouts.place(update) for update in (0, 5, 6)] == [(0, 0), (0, 5), (1, 0)]
    epochs = [np.concatenate([rollouts.of_update(1, 3 * epoch + batch) for batch in range(3)]) for epoch in range(2)]
    assert all(sorted(each) == list(range(12)) for each in epochs) and not np.array_equal(*epochs)
    seeds = [*rollouts.seeds(0, range(12)), *rollouts.seeds(1, range(12))]
    assert len({*seeds}) == len(seeds) == 48
    whole, (one, other) = rollouts.batch(8, 4), (rollouts.batch(8, 4, part, 2) for part in (0, 1))
    assert whole["loss_number"].tolist() == [*one["loss_number"].tolist(), *other["loss_number"].tolist()] == list(range(16, 24))
