"""Contrastive decoding is the paper's equations 2 and 3 in float64, searched the slow way: whole texts, one prompt at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from test_beam import PROMPTS, VOCABULARY, Whole
from test_beam import llama as llama
from transformers import LlamaConfig, LlamaForCausalLM

from modelwright_plugins.generator.beam import Beam
from modelwright_plugins.generator.contrastive_decoding import ContrastiveDecoding


@pytest.fixture(scope="module")
def amateur() -> Any:
    torch.manual_seed(2)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=VOCABULARY, **sizes, initializer_range=0.5, bos_token_id=None, eos_token_id=0)).eval()


class Both(Whole):
    def __init__(self, expert: Any, amateur: Any) -> None:
        super().__init__(expert)
        self.beside = Whole(amateur)

    def start(self, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        self.logits = self.beside.start(prompts)
        return super().start(prompts)

    def step(self, tokens: Sequence[int], rows: Sequence[int] | None = None) -> torch.Tensor:
        self.logits = self.beside.step(tokens, rows)
        return super().step(tokens, rows)

    def other(self) -> torch.Tensor:
        return self.logits


@torch.no_grad()
def slow(expert: Any, amateur: Any, prompt: list[int], own: ContrastiveDecoding) -> list[int]:
    """The text of the largest sum, of those that `beams` texts at a time lead to; nothing ends one."""
    texts: list[tuple[float, list[int]]] = [(0.0, [])]
    for _ in range(own.max_new_tokens):
        longer = []
        for total, text in texts:
            seen = torch.tensor([[*prompt, *text]])
            chances = expert(seen).logits[0, -1].double().softmax(-1)
            weak = (amateur(seen).logits[0, -1].double() / own.amateur_temperature).softmax(-1)
            for token in range(VOCABULARY):
                if chances[token] >= own.alpha * chances.max():
                    longer.append((total + float(chances[token].log() - weak[token].log()), [*text, token]))
        texts = sorted(longer, reverse=True)[: own.beams]
    return texts[0][1]


@pytest.mark.parametrize(("beams", "alpha", "temperature"), [(1, 0.1, 1.0), (3, 0.1, 0.5), (4, 0.3, 2.0), (2, 0.0, 1.0)])
def test_the_papers_equations(llama: Any, amateur: Any, beams: int, alpha: float, temperature: float) -> None:
    own = ContrastiveDecoding(amateur=Path("a"), beams=beams, alpha=alpha, amateur_temperature=temperature, max_new_tokens=6)
    found = own.generate(Both(llama, amateur), PROMPTS, end=[], seeds=[0] * len(PROMPTS))
    assert [one.tokens for one in found] == [slow(llama, amateur, prompt, own) for prompt in PROMPTS]
    for prompt, one in zip(PROMPTS, found, strict=True):  # what is told of a token is the expert's
        with torch.no_grad():
            likely = llama(torch.tensor([[*prompt, *one.tokens]])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        assert torch.allclose(one.logps, likely[torch.arange(6), torch.tensor(one.tokens)], atol=1e-4)


def test_it_is_something_else_than_the_likeliest_text(llama: Any, amateur: Any) -> None:
    """Or the test above would compare little; and where only the likeliest is plausible, it is greedy search."""
    asked = [ContrastiveDecoding(amateur=Path("a"), alpha=alpha, beams=1, max_new_tokens=8) for alpha in (0.1, 1.0)]
    found = [[one.tokens for one in each.generate(Both(llama, amateur), PROMPTS, end=[], seeds=[0] * 3)] for each in asked]
    greedy = [one.tokens for one in Beam(beams=1, max_new_tokens=8).generate(Whole(llama), PROMPTS, end=[], seeds=[0] * 3)]
    assert found[0] != greedy and found[1] == greedy


def test_finished_texts_are_compared_by_the_mean_or_by_the_sum() -> None:
    """By hand, of one text that ends at once, a gain of 1 nat, and one that goes on: 0.7, 0.7, and 0.1 for its end. 1 against 0.5 a token,
    and 1.5 in all."""

    class Told:
        """The expert finds tokens 0 (the end), 1 and 2 equally likely, the amateur each so much less likely, in nats."""

        gains: ClassVar[dict[int, list[float]]] = {9: [1.0, 0.7, -0.758], 1: [-0.2245, -0.2245, 0.7], 2: [0.1, -0.0465, -0.0465]}

        def start(self, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
            return self.step([prompt[-1] for prompt in prompts])

        def step(self, tokens: Sequence[int], rows: Sequence[int] | None = None) -> torch.Tensor:
            self.weak = -torch.tensor([self.gains[token] for token in tokens])
            return torch.zeros_like(self.weak)

        def other(self) -> torch.Tensor:
            return self.weak

    def best(penalty: float) -> list[int]:
        own = ContrastiveDecoding(amateur=Path("a"), alpha=0.0, beams=2, length_penalty=penalty, max_new_tokens=3)
        return own.generate(Told(), [[9]], end=[0], seeds=[0])[0].tokens  # type: ignore[arg-type]

    assert (best(1.0), best(0.0)) == ([0], [1, 2, 0])


def test_a_text_with_a_token_that_is_not_plausible_is_never_followed(llama: Any, amateur: Any) -> None:
    """Also where there are fewer plausible ones than beams, and a text ends with one that is not."""
    own = ContrastiveDecoding(amateur=Path("a"), alpha=1.0, beams=5, max_new_tokens=8, early_stopping="first")
    (found,) = own.generate(Both(llama, amateur), PROMPTS[:1], end=range(20), seeds=[0])
    (greedy,) = Beam(beams=1, max_new_tokens=8).generate(Whole(llama), PROMPTS[:1], end=range(20), seeds=[0])
    assert found.tokens == greedy.tokens


@pytest.mark.parametrize("wrong", [{"alpha": 1.5}, {"amateur_temperature": 0.0}, {"beams": 0}, {"early_stopping": "never"}])
def test_impossible_values_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ContrastiveDecoding(amateur=Path("a"), **wrong)


def test_an_amateur_that_is_none_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    """By every stage that draws."""
    from modelwright.hooks import discover
    from modelwright_plugins.architecture.decoder import CausalDecoder
    from modelwright_plugins.engine.card import ModelCard

    run = tmp_path / "run"
    own, inner = (ContrastiveDecoding(amateur=folder) for folder in (run, run / "train" / "checkpoint"))
    assert "is not a checkpoint's folder" in own.problems()[0]
    registry = discover().registry
    card = ModelCard(CausalDecoder(layers=1, width=32, heads=2), 259, 64, 0, 1)
    card.write(run / "train" / "checkpoint" / "model.json", registry)
    assert own.problems()[0].endswith(f"take generator.amateur={run}/train/checkpoint")
    assert "holds no whole checkpoint" in inner.problems()[0]
    (run / "train" / "checkpoint" / "latest.json").write_text('{"step": 1}')
    assert inner.problems() == []
    replace(card, head="value").write(run / "train" / "checkpoint" / "model.json", registry)
    assert "a reward model" in inner.problems()[0]


@pytest.mark.parametrize("stage", ["evaluate", "sample_pairs", "align"])
def test_stages_ask_a_generator(stage: str, tmp_path: Path) -> None:
    from modelwright.assemble import assemble
    from modelwright.compose import composed
    from modelwright.hooks import discover

    words = [f"stages=[{stage}]", "aligner=grpo", "reward=length", "generator=contrastive_decoding", f"generator.amateur={tmp_path}"]
    (bound,) = assemble(composed(["recipe=pretrain/quickstart", *words]), discover().registry)
    assert any(line.startswith(f"generator.amateur={tmp_path} is not") for line in bound.stage.problems(bound.parts))
