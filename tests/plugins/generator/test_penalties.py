"""Bias and penalties are Hugging Face's where it has them, and OpenAI's formula where it has not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import NoRepeatNGramLogitsProcessor, RepetitionPenaltyLogitsProcessor, SequenceBiasLogitsProcessor

from modelwright_plugins.generator.sampling import Sampling

PROMPTS = [[1, 2, 3, 1], [4, 4, 4, 2], [9, 8, 7, 6]]
REPLIES = [[2, 3, 1], [4, 4, 4], [9, 8, 7]]


def logits() -> torch.Tensor:
    return torch.randn(3, 12, generator=torch.Generator().manual_seed(3)) * 2


@pytest.mark.parametrize(
    ("fields", "processor"),
    [
        ({"repetition_penalty": 1.3}, RepetitionPenaltyLogitsProcessor(1.3)),
        ({"no_repeat_ngram": 1}, NoRepeatNGramLogitsProcessor(1)),
        ({"no_repeat_ngram": 2}, NoRepeatNGramLogitsProcessor(2)),
        ({"no_repeat_ngram": 3}, NoRepeatNGramLogitsProcessor(3)),
        ({"no_repeat_ngram": 9}, NoRepeatNGramLogitsProcessor(9)),
        ({"logit_bias": {3: 1.5, 11: -20.0}}, SequenceBiasLogitsProcessor([[[3], 1.5], [[11], -20.0]])),
    ],
)
def test_as_hugging_faces(fields: dict[str, Any], processor: Any) -> None:
    texts = torch.tensor([[*prompt, *reply] for prompt, reply in zip(PROMPTS, REPLIES, strict=True)])
    found = Sampling(**fields).edited(logits(), PROMPTS, REPLIES)
    assert not found.equal(logits()) or fields == {"no_repeat_ngram": 9}
    torch.testing.assert_close(found, processor(texts, logits()))


def test_presence_and_frequency_count_the_reply_alone() -> None:
    found = Sampling(presence_penalty=0.5, frequency_penalty=0.25).edited(logits(), PROMPTS, REPLIES)
    wanted = logits().tolist()
    for row, reply in zip(wanted, REPLIES, strict=True):
        for token in range(12):  # OpenAI: mu[j] - c[j] * frequency - float(c[j] > 0) * presence
            count = reply.count(token)
            row[token] -= count * 0.25 + (count > 0) * 0.5
    torch.testing.assert_close(found, torch.tensor(wanted))


def test_greedy_is_told_too() -> None:
    assert Sampling(temperature=0, logit_bias={5: 100.0}).choose(logits(), PROMPTS, REPLIES, []) == [5, 5, 5]


def test_a_bias_of_no_token_is_refused() -> None:
    with pytest.raises(ValueError, match="logit_bias is of token 12; the model has 12"):
        Sampling(logit_bias={12: 1.0}).edited(logits(), PROMPTS, REPLIES)


def test_a_reply_stops_at_a_text_and_is_cut_there() -> None:
    sampling = Sampling(stop=["\nUser:", "END"])

    def decode(tokens: Any) -> str:
        return "".join(map(chr, tokens))

    stop = sampling.stopping(decode)
    assert stop is not None and Sampling().stopping(decode) is None
    assert not stop([ord(c) for c in "Hello.\nUse"]) and stop([ord(c) for c in "Hello.\nUser:"]) and stop([ord(c) for c in "EN END"])
    assert sampling.cut("Hello END you\nUser: x") == "Hello " and sampling.cut("Hello") == "Hello"


def test_where_no_token_is_left_the_rules_are_lifted() -> None:
    greedy = Sampling(temperature=0.0, no_repeat_ngram=1)
    everything = [list(range(12)), [4, 4], [1]]
    own = logits().argmax(-1).tolist()
    found = greedy.choose(logits(), everything, [[], [], []], [torch.Generator().manual_seed(row) for row in range(3)])
    assert found[0] == own[0] and found[1] != 4 and found[2] != 1
