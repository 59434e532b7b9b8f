from __future__ import annotations

import pytest
import torch
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from modelwright_plugins.generator.sampling import Sampling


def hugging_face(logits: torch.Tensor, temperature: float, top_k: int | None, top_p: float) -> torch.Tensor:
    none = torch.empty(len(logits), 0, dtype=torch.long)
    logits = TemperatureLogitsWarper(temperature)(none, logits)
    if top_k is not None:
        logits = TopKLogitsWarper(top_k)(none, logits)
    if top_p < 1:
        logits = TopPLogitsWarper(top_p)(none, logits)
    return logits.softmax(-1)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 1.7])
@pytest.mark.parametrize("top_k", [None, 1, 5, 1000])
@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.95, 1.0])
def test_distribution_is_hugging_faces(temperature: float, top_k: int | None, top_p: float) -> None:
    logits = torch.randn(16, 300, generator=torch.Generator().manual_seed(7)) * 3
    logits[:, 10] = logits[:, 20]  # a tie
    ours = Sampling(temperature=temperature, top_k=top_k, top_p=top_p).probabilities(logits)
    torch.testing.assert_close(ours, hugging_face(logits, temperature, top_k, top_p), rtol=1e-5, atol=1e-7)


def test_temperature_zero_is_greedy() -> None:
    logits = torch.randn(8, 50)
    assert Sampling(temperature=0).probabilities(logits).argmax(-1).equal(logits.argmax(-1))


class Chain:
    """A model whose next token depends on the last one only; it records what it was shown."""

    def __init__(self, vocab: int = 20) -> None:
        self.table = torch.randn(vocab, vocab, generator=torch.Generator().manual_seed(1))
        self.lengths: list[int] = []

    def __call__(self, tokens: torch.Tensor, at: torch.Tensor | None = None) -> torch.Tensor:
        self.lengths.append(tokens.shape[1])
        last = tokens[:, -1] if at is None else tokens[torch.arange(len(tokens)), at]
        return self.table[last]


def test_greedy_follows_the_chain_from_prompts_of_any_length() -> None:
    model = Chain()
    model.table[:, 0] = -100  # never the end
    prompts = [[3], [1, 2, 9, 4], [5, 5]]
    found = Sampling(temperature=0, max_new_tokens=6).generate(model, prompts, end=0, context=5, seed=0)
    for prompt, text in zip(prompts, found, strict=True):
        token = prompt[-1]
        for got in text:
            token = int(model.table[token].argmax())
            assert got == token
        assert len(text) == 6
    assert max(model.lengths) == 5  # the window slides


def test_it_stops_at_the_end_token_and_leaves_it_out() -> None:
    model = Chain()
    model.table[7] = -100.0
    model.table[7, 0] = 100.0  # after 7: the end
    found = Sampling(max_new_tokens=9).generate(model, [[7], [7, 7]], end=0, context=8, seed=3)
    assert found == [[], []]
    assert len(model.lengths) == 1


def test_the_same_seed_draws_the_same_tokens_whatever_else_is_drawn() -> None:
    model, sampling = Chain(), Sampling(max_new_tokens=30, temperature=1.0)
    alone = sampling.generate(model, [[4]], end=0, context=8, seed=5)
    torch.manual_seed(99)
    torch.rand(10)
    assert sampling.generate(model, [[4], [6]], end=0, context=8, seed=5)[0] == alone[0]
    assert sampling.generate(model, [[4]], end=0, context=8, seed=6) != alone


def test_draws_follow_the_distribution() -> None:
    logits = torch.tensor([0.0, 1.0, 2.0, 0.5])
    sampling = Sampling(max_new_tokens=1, temperature=0.7, top_p=0.9)
    drawn = sampling.generate(lambda tokens, at=None: logits.expand(len(tokens), -1), [[1]] * 4000, end=99, context=4, seed=0)
    share = torch.bincount(torch.tensor(drawn).flatten(), minlength=4) / 4000
    torch.testing.assert_close(share, sampling.probabilities(logits[None])[0], atol=0.03, rtol=0)


@pytest.mark.parametrize("wrong", [{"temperature": -1}, {"top_k": 0}, {"top_p": 0.0}, {"top_p": 1.5}, {"max_new_tokens": 0}])
def test_impossible_values_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Sampling(**wrong)  # type: ignore[arg-type]
