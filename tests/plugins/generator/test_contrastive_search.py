"""Contrastive search is the paper's equation, computed in float64 from whole texts, one prompt and one candidate at a time."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from test_beam import ENDS, PROMPTS, Whole
from test_beam import llama as llama

from modelwright_plugins.generator.contrastive_search import ContrastiveSearch
from modelwright_plugins.generator.sampling import Sampling


def slow(model: Any, prompt: list[int], top_k: int, alpha: float, most: int) -> list[int]:
    text = list(prompt)
    while len(text) - len(prompt) < most and (len(text) == len(prompt) or text[-1] not in ENDS):
        chances = model(torch.tensor([text])).logits[0, -1].double().softmax(-1)
        best: tuple[float, int] | None = None
        for token in chances.topk(top_k).indices.tolist():
            states = model.model(torch.tensor([[*text, token]])).last_hidden_state[0].double()
            like = max(float(torch.cosine_similarity(states[-1], state, dim=0)) for state in states[:-1])
            score = (1 - alpha) * float(chances[token]) - alpha * like
            best = max(best, (score, token)) if best else (score, token)
        assert best is not None
        text.append(best[1])
    return text[len(prompt) :]


@pytest.mark.parametrize(("top_k", "alpha"), [(4, 0.6), (3, 0.3)])
def test_the_papers_equation(llama: Any, top_k: int, alpha: float) -> None:
    search = ContrastiveSearch(top_k=top_k, alpha=alpha, max_new_tokens=8)
    found = search.generate(Whole(llama), PROMPTS, end=ENDS, seeds=[0] * len(PROMPTS))
    with torch.no_grad():
        assert [one.tokens for one in found] == [slow(llama, prompt, top_k, alpha, 8) for prompt in PROMPTS]


def test_without_alpha_it_is_greedy(llama: Any) -> None:
    each = [
        [one.tokens for one in generator.generate(Whole(llama), PROMPTS, end=ENDS, seeds=[0] * len(PROMPTS))]
        for generator in (ContrastiveSearch(alpha=0.0, max_new_tokens=8), Sampling(temperature=0, max_new_tokens=8))
    ]
    assert each[0] == each[1]


@pytest.mark.parametrize("wrong", [{"top_k": 0}, {"alpha": 1.5}, {"max_new_tokens": 0}])
def test_impossible_values_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ContrastiveSearch(**wrong)
