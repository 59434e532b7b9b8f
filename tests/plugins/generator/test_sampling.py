"""Distributions are those of Hugging Face's processors on the same logits, and draws follow them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from transformers import MinPLogitsWarper, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper, TypicalLogitsWarper

from modelwright_plugins.generator.sampling import Sampling

NONE: dict[str, Any] = {"temperature": 1.0, "top_p": 1.0}


def hugging_face(logits: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    none = torch.empty(len(logits), 0, dtype=torch.long)
    logits = TemperatureLogitsWarper(sampling.temperature)(none, logits)
    if sampling.top_k is not None:
        logits = TopKLogitsWarper(sampling.top_k)(none, logits)
    if sampling.top_p < 1:
        logits = TopPLogitsWarper(sampling.top_p)(none, logits)
    if sampling.min_p > 0:
        logits = MinPLogitsWarper(sampling.min_p)(none, logits)
    if sampling.typical_p < 1:
        logits = TypicalLogitsWarper(sampling.typical_p)(none, logits)
    return logits.softmax(-1)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 1.7])
@pytest.mark.parametrize("top_k", [None, 1, 5, 1000])
@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.95, 1.0])
@pytest.mark.parametrize(("min_p", "typical_p"), [(0.0, 1.0), (0.05, 1.0), (1.0, 1.0), (0.0, 0.2), (0.0, 0.95), (0.02, 0.7)])
def test_distribution_is_hugging_faces(temperature: float, top_k: int | None, top_p: float, min_p: float, typical_p: float) -> None:
    logits = torch.randn(16, 300, generator=torch.Generator().manual_seed(7)) * 3
    logits[:, 10] = logits[:, 20]  # a tie
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, typical_p=typical_p)
    torch.testing.assert_close(sampling.probabilities(logits), hugging_face(logits, sampling), rtol=1e-5, atol=1e-7)


def test_temperature_zero_is_greedy() -> None:
    logits = torch.randn(8, 50)
    assert Sampling(temperature=0).probabilities(logits).argmax(-1).equal(logits.argmax(-1))


class Chain:
    """A model whose next token depends on the last one only."""

    def __init__(self, vocab: int = 20) -> None:
        self.table = torch.randn(vocab, vocab, generator=torch.Generator().manual_seed(1))
        self.asked = 0

    def start(self, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        return self.step([prompt[-1] for prompt in prompts])

    def step(self, tokens: Sequence[int], rows: Sequence[int] | None = None) -> torch.Tensor:
        self.asked += 1
        return self.table[list(tokens)]

    def states(self) -> list[torch.Tensor]:
        raise AssertionError("nobody asked for them")


def drawn(sampling: Sampling, model: Any, prompts: list[list[int]], seed: int = 0, end: int = 0) -> list[list[int]]:
    return [one.tokens for one in sampling.generate(model, prompts, end={end}, seeds=range(seed, seed + len(prompts)))]


def test_greedy_follows_the_chain() -> None:
    model = Chain()
    model.table[:, 0] = -100  # never the end
    prompts = [[3], [1, 2, 9, 4], [5, 5]]
    for prompt, text in zip(prompts, drawn(Sampling(temperature=0, max_new_tokens=6), model, prompts), strict=True):
        token = prompt[-1]
        for got in text:
            token = int(model.table[token].argmax())
            assert got == token
        assert len(text) == 6


def test_it_stops_at_the_end_token() -> None:
    model = Chain()
    model.table[7] = -100.0
    model.table[7, 0] = 100.0  # after 7: the end
    found = Sampling(max_new_tokens=9).generate(model, [[7], [7, 7]], end={0}, seeds=[3, 4])
    assert [(one.tokens, one.without([0]), one.finished) for one in found] == [([0], [], True)] * 2
    assert model.asked == 1


def test_the_same_seed_draws_the_same_tokens_whatever_else_is_drawn() -> None:
    model, sampling = Chain(), Sampling(max_new_tokens=30, temperature=1.0)
    alone = drawn(sampling, model, [[4]], seed=5)
    torch.manual_seed(99)
    torch.rand(10)
    assert drawn(sampling, model, [[4], [6]], seed=5)[0] == alone[0]
    assert drawn(sampling, model, [[4]], seed=6) != alone


@pytest.mark.parametrize(
    "cut", [{"temperature": 0.7, "top_p": 0.9}, {**NONE, "min_p": 0.4}, {**NONE, "typical_p": 0.5}, {**NONE, "top_k": 2}]
)
def test_draws_follow_the_distribution(cut: dict[str, Any]) -> None:
    logits = torch.tensor([0.0, 1.0, 2.0, 0.5])
    model = Chain(4)
    model.table[:] = logits
    sampling = Sampling(max_new_tokens=1, **cut)
    share = torch.bincount(torch.tensor(drawn(sampling, model, [[1]] * 4000, end=99)).flatten(), minlength=4) / 4000
    torch.testing.assert_close(share, hugging_face(logits[None], sampling)[0], atol=0.03, rtol=0)


def test_log_probabilities_are_of_the_models_own_softmax() -> None:
    model = Chain()
    (found,) = Sampling(temperature=0.5, top_k=3, repetition_penalty=2.0, max_new_tokens=8).generate(model, [[4]], end={0}, seeds=[1])
    wanted = [float(model.table[a].double().log_softmax(-1)[b]) for a, b in zip([4, *found.tokens], found.tokens, strict=False)]
    torch.testing.assert_close(found.logps.double(), torch.tensor(wanted, dtype=torch.float64), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1}, {"top_k": 0}, {"top_p": 0.0}, {"top_p": 1.5}, {"max_new_tokens": 0}, {"min_p": 1.1}, {"typical_p": 0.0},
        {"repetition_penalty": 0.0}, {"no_repeat_ngram": 0}, {"stop": [""]},
    ],
)  # fmt: skip
def test_impossible_values_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Sampling(**wrong)
