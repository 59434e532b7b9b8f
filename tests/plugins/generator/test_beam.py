"""Greedy and beam search are Hugging Face's `generate`, token for token, with the same model behind both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from modelwright_plugins.generator.beam import Beam
from modelwright_plugins.generator.sampling import Sampling

VOCABULARY, ENDS = 40, [0, 7, 19]
PROMPTS = [[5, 9, 1, 4], [3, 3, 8, 21], [12, 13, 2, 30]]


@pytest.fixture(scope="module")
def llama() -> Any:
    torch.manual_seed(1)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = LlamaConfig(vocab_size=VOCABULARY, **sizes, initializer_range=0.35, bos_token_id=None, eos_token_id=ENDS, pad_token_id=39)
    return LlamaForCausalLM(config).eval()


class Whole:
    """The same model, which reads the whole text for each token."""

    def __init__(self, llama: Any) -> None:
        self.llama, self.texts = llama, [[0]]

    def start(self, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        self.texts = [list(prompt) for prompt in prompts]
        return self._logits()

    def step(self, tokens: Sequence[int], rows: Sequence[int] | None = None) -> torch.Tensor:
        rows = range(len(self.texts)) if rows is None else rows
        self.texts = [[*self.texts[row], token] for row, token in zip(rows, tokens, strict=True)]
        return self._logits()

    def states(self) -> list[torch.Tensor]:
        with torch.no_grad():
            return [self.llama.model(torch.tensor([text])).last_hidden_state[0] for text in self.texts]

    def _logits(self) -> torch.Tensor:
        lengths = torch.tensor([len(text) for text in self.texts])
        tokens = torch.tensor([text + [0] * (int(lengths.max()) - len(text)) for text in self.texts])  # nothing sees what fills up
        with torch.no_grad():
            return self.llama(tokens).logits[torch.arange(len(tokens)), lengths - 1]


def hugging_face(llama: Any, **how: Any) -> list[list[int]]:
    texts = torch.tensor(PROMPTS)
    found = llama.generate(texts, attention_mask=torch.ones_like(texts), do_sample=False, **how)[:, texts.shape[1] :].tolist()
    ends = [next((place + 1 for place, token in enumerate(row) if token in ENDS), None) for row in found]  # what follows fills up
    return [row[:end] for row, end in zip(found, ends, strict=True)]


def ours(generator: Any, llama: Any) -> list[list[int]]:
    return [one.tokens for one in generator.generate(Whole(llama), PROMPTS, end=ENDS, seeds=[0] * len(PROMPTS))]


PENALTIES = [({}, {}), ({"repetition_penalty": 1.4}, {"repetition_penalty": 1.4}), ({"no_repeat_ngram": 2}, {"no_repeat_ngram_size": 2})]


@pytest.mark.parametrize(("own", "theirs"), PENALTIES)
def test_greedy(llama: Any, own: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert ours(Sampling(temperature=0, max_new_tokens=14, **own), llama) == hugging_face(llama, max_new_tokens=14, **theirs)


@pytest.mark.parametrize(("early", "theirs"), [("heuristic", False), ("first", True), ("never", "never")])
@pytest.mark.parametrize("penalty", [-1.5, 0.0, 1.0, 2.5])
@pytest.mark.parametrize("beams", [2, 5])
def test_beams(llama: Any, beams: int, penalty: float, early: Any, theirs: Any) -> None:
    beam = Beam(max_new_tokens=10, beams=beams, length_penalty=penalty, early_stopping=early)
    how = {"length_penalty": penalty, "early_stopping": theirs}
    assert ours(beam, llama) == hugging_face(llama, max_new_tokens=10, num_beams=beams, **how)


@pytest.mark.parametrize(("own", "theirs"), PENALTIES[1:])
def test_beams_with_penalties(llama: Any, own: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert ours(Beam(max_new_tokens=10, beams=3, **own), llama) == hugging_face(llama, max_new_tokens=10, num_beams=3, **theirs)


def test_one_beam_is_greedy(llama: Any) -> None:
    assert ours(Beam(max_new_tokens=10, beams=1), llama) == ours(Sampling(temperature=0, max_new_tokens=10), llama)


def test_some_replies_end_and_some_do_not(llama: Any) -> None:
    """Or the tests above would compare little."""
    found = Beam(max_new_tokens=10, beams=5).generate(Whole(llama), PROMPTS, end=ENDS, seeds=[0] * len(PROMPTS))
    assert {one.finished for one in found} == {True, False}
    assert all(one.finished is (one.tokens[-1] in ENDS) for one in found)


@pytest.mark.parametrize("wrong", [{"beams": 0}, {"max_new_tokens": 0}])
def test_impossible_values_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Beam(**wrong)


def test_a_text_stands_as_it_is_where_the_rules_leave_no_token(llama: Any) -> None:
    """No token twice: after as many as there are in the vocabulary nothing can follow."""
    found = ours(Beam(beams=2, max_new_tokens=60, no_repeat_ngram=1, logit_bias=dict.fromkeys(ENDS, -1000000000.0)), llama)
    assert all(len({*row}) == len(row) <= VOCABULARY for row in found)
