"""Replies of a server, where evaluators and sample_pairs ask the model for some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from megatron.core import parallel_state

from modelwright.errors import ModelwrightError
from modelwright_plugins.engine import remote_replies
from modelwright_plugins.evaluator.model import Model
from modelwright_plugins.generator import Remote, Reply
from modelwright_plugins.generator.seeds import seed_of
from modelwright_plugins.tokenizer.bpe import ByteLevelBPE
from modelwright_plugins.tokenizer.find_template import find_template


@dataclass(frozen=True, kw_only=True)
class Repeating(Remote):
    """Says what it is asked, its seed and its tools."""

    def said(self, conversations: Sequence[Mapping[str, Any]], *, seeds: Sequence[int]) -> list[Reply]:
        each = zip(conversations, seeds, strict=True)
        return [
            Reply(f"{one['messages'][-1]['content']} {seed} {one.get('tools', '')}".strip(), one["messages"][-1]["content"] != "b")
            for one, seed in each
        ]


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_a_server_answers_in_the_place_of_the_model(tmp_path: Path, monkeypatch: Any, ranks: int) -> None:
    """Data ranks share the conversations out, and each gets all replies, as they would be tokens of the model."""
    ByteLevelBPE(vocab_size=259).train(iter(["x"]), tmp_path)
    trained: Any = SimpleNamespace(sequence_length=99, end_of_document=0, rank=0, generate=None)
    model = Model(trained, tmp_path, Repeating(), template=find_template("chatml", tmp_path), seed=10)
    told: list[Any] = []
    monkeypatch.setattr(remote_replies, "leads", lambda: True)
    monkeypatch.setattr(parallel_state, "get_data_parallel_world_size", lambda: ranks)
    asked = [{"messages": [{"role": "user", "content": word}]} for word in ("a", "b", "c")]
    asked[2] |= {"tools": []}
    prompts = [found for found in model.prompts(asked) if not isinstance(found, ModelwrightError)]
    for everyone in (False, True):
        monkeypatch.setattr(remote_replies, "gathered", (lambda _: told) if everyone else lambda mine: told.append(mine) or [([], "")])
        for rank in range(ranks):
            monkeypatch.setattr(parallel_state, "get_data_parallel_rank", lambda rank=rank: rank)
            if not everyone:
                with pytest.raises(ValueError, match="zip"):
                    model.answered(asked, prompts)
                continue
            found = model.answered(asked, prompts)
            assert [each.text for each in found] == [f"a {seed_of(10, 0)}", f"b {seed_of(10, 1)}", f"c {seed_of(10, 2)} []"]
            assert [each.finished for each in found] == [True, False, True]
            for each, prompt in zip(found, prompts, strict=True):
                assert each.tokens[: each.begin] == prompt
                assert (each.tokens[-1] == model.chat.special["<|im_end|>"]) is each.finished
            assert model.reply([each["messages"] for each in asked]) == [each.text for each in found]


def test_texts_are_not_for_a_server(tmp_path: Path) -> None:
    with pytest.raises(ModelwrightError, match="generator Repeating answers conversations, and goes on from no text"):
        Repeating().generate(None, [[1]], end=(), seeds=[1])  # type: ignore[arg-type]
