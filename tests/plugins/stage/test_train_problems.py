"""What `plan` says of a training that can't go on, or not as it is meant, and of one that can."""

from __future__ import annotations

import pytest

from modelwright.assemble import assemble, problems
from modelwright.compose import composed
from modelwright.hooks import discover

BEGUN = ["recipe=pretrain/quickstart", "stages=[curate,train_tokenizer,tokenize,train]"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["parallel.fully_sharded=true", "parallel.data=2"], "optimizer muon wants them whole; optimizer=adamw does not"),
        (
            ["parallel.fully_sharded=true", "parallel.data=2", "optimizer=adamw", "precision=fp8_current"],
            "saves no FP8 scales; precision=bf16",
        ),
        (["stability=z_score", "train.checkpoint_every=null"], "train.checkpoint_every=null makes none; 500 does"),
        (
            ["architecture=t5_small", "objective=span_corruption", "objective.targets=114", "parallel.context=2"],
            "parallel.context=2 wants objective.targets in multiples of 4, and it is 114; nearest that works: 112",
        ),
        (["architecture=electra", "objective=replaced_token_detection", "parallel.pipeline=2"], "parallel.pipeline=2"),
    ],
)
def test_it_is_refused(words: list[str], told: str) -> None:
    config = composed([*BEGUN, *words])
    assert any(told in line for line in problems(assemble(config, discover().registry), config))


def test_a_batch_that_grows_is_counted_as_it_grows() -> None:
    words = ["train.steps=5", "train.global_batch=16", "train.batch_ramp=[4,4,24]", "train.sequence_length=128", "train.micro_batch=4"]
    config = composed([*BEGUN, *words])
    (train,) = (bound for bound in assemble(config, discover().registry) if bound.name == "train")
    told = train.stage.forecast(train.parts)
    assert told["tokens"] == f"{(4 + 4 + 8 + 12 + 16) * 128:,} = 44 sequences, in batches of 4 to 16, x 128"
