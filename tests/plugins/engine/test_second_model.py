"""A second model beside the one that is asked gives its own logits, and every layout draws the same with both."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ranks import joined, on_ranks

VOCABULARY, CONTEXT, NEW = 61, 24, 8
TINY: dict[str, Any] = {"layers": 2, "width": 32, "heads": 4, "kv_heads": 2, "initializer_std": 0.3}
PROMPTS = [[7], [3, 0, 0, 9], [11, 12, 13, 14, 15, 16, 17]]
LAYOUTS: list[dict[str, Any]] = [{}, {"tensor": 2, "sequence": True}, {"pipeline": 2}]


def ask(rank: int, layouts: list[dict[str, Any]], models: Path) -> list[Any]:
    import torch

    from modelwright.errors import ModelwrightError
    from modelwright.hooks import discover
    from modelwright_plugins.architecture.decoder import CausalDecoder
    from modelwright_plugins.artifacts import Checkpoint
    from modelwright_plugins.attention.cores import Native
    from modelwright_plugins.engine import checkpoint, generation
    from modelwright_plugins.engine.card import ModelCard
    from modelwright_plugins.engine.inference import open_model
    from modelwright_plugins.engine.model import build, initialise
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.generator.contrastive_decoding import ContrastiveDecoding
    from modelwright_plugins.kernel.local import Torch
    from modelwright_plugins.parallel.megatron import Megatron
    from modelwright_plugins.precision.floats import FP32

    how: dict[str, Any] = {"precision": FP32(), "kernel": Torch(), "attention": Native()}
    sizes = {"expert": (TINY, VOCABULARY), "amateur": ({**TINY, "width": 16}, VOCABULARY), "other": (TINY, 60)}
    found: list[Any] = []
    for number, layout in enumerate(layouts):
        parallel = Megatron(**layout)
        if rank >= parallel.ranks(None):
            found.append(None)
            continue
        joined(rank, parallel.ranks(None), number)
        if not number:
            for seed, (name, (fields, vocabulary)) in enumerate(sizes.items()):
                architecture = CausalDecoder(**fields)
                with started(parallel, seed=0):
                    chunks = build(architecture, parallel=parallel, **how, vocab_size=vocabulary, sequence_length=CONTEXT)
                    initialise(chunks, architecture, seed=seed, vocab_size=vocabulary)
                    (models / name).mkdir()
                    ModelCard(architecture, vocabulary, CONTEXT, 0, 1).write(models / name / "model.json", discover().registry)
                    checkpoint.save(models / name, 1, chunks, None, keep_last=None)
                joined(rank, 1, len(layouts) + seed)
            (models / "there").touch()
        while not (models / "there").exists():
            time.sleep(0.05)
        with open_model(Checkpoint(models / "expert"), parallel=parallel, seed=0, **how) as model:
            own = ContrastiveDecoding(amateur=models / "amateur", beams=2, max_new_tokens=NEW)
            each = {"tokens": [one.tokens for one in model.generate(PROMPTS, own, seed=0)]}
            each["again"] = [one.tokens for one in model.generate(PROMPTS, own, seed=0)]
            refused = ContrastiveDecoding(amateur=models / "other", max_new_tokens=NEW)
            try:
                model.generate(PROMPTS, refused, seed=0)
            except ModelwrightError as error:
                each["refused"] = str(error)
            own = ContrastiveDecoding(amateur=models / "amateur", beams=1, max_new_tokens=NEW)
            each["greedy"] = [one.tokens for one in model.generate(PROMPTS, own, seed=0)]
            if not number:
                core = next(each for each in model.chunks[0].modules() if hasattr(each, "core_attention")).core_attention
                beside = generation.second_model(models / "amateur", model.chunks, vocab_size=VOCABULARY)[0][0]
                each["attention"] = {
                    type(part.core_attention) is type(core) for part in beside.modules() if hasattr(part, "core_attention")
                }
                asked = model.next_logits, generation.second_model(models / "amateur", model.chunks, vocab_size=VOCABULARY)[0][0]
                each["slow"] = [slow(*asked, prompt, own, torch) for prompt in PROMPTS]
            found.append(each)
    return found


def slow(expert: Any, amateur: Any, prompt: list[int], own: Any, torch: Any) -> list[int]:
    """Token by token from whole texts."""
    reply: list[int] = []
    while len(reply) < NEW and (not reply or reply[-1]):
        text = torch.tensor([[*prompt, *reply]])
        strong = expert(text)[0].double().log_softmax(-1)
        with torch.no_grad():
            places = torch.arange(text.shape[1])[None]
            weak = amateur(text, places, None)[0, -1].double().log_softmax(-1)
        plausible = strong >= strong.max() + torch.tensor(own.alpha).log()
        reply.append(int(torch.where(plausible, strong - weak, -torch.inf).argmax()))
    return reply


def a_run(folder: Path, tokenizer: str) -> Path:
    """A run's folder, as far as it tells of a tokenizer; a checkpoint's in it."""
    (folder / "train_tokenizer" / "tokenizer").mkdir(parents=True)
    (folder / "train_tokenizer" / "tokenizer" / "tokenizer.json").write_text(tokenizer)
    (folder / "manifest.json").write_text(json.dumps({"from": None, "stages": {"train_tokenizer": {"artifacts": {"tokenizer": {}}}}}))
    return folder / "train" / "checkpoint"


def test_tokens_are_the_same(tmp_path: Path) -> None:
    """And not only as many; what can't be told is taken to be so."""
    from modelwright_plugins.architecture.decoder import CausalDecoder
    from modelwright_plugins.engine.card import ModelCard
    from modelwright_plugins.engine.second_model import other_tokens

    card = ModelCard(CausalDecoder(**TINY), VOCABULARY, CONTEXT, 0, 1, special_tokens={"<mask>": 60})
    one, same, other = (a_run(tmp_path / name, text) for name, text in (("one", "x"), ("same", "x"), ("other", "y")))
    assert other_tokens(same, card, one, replace(card, sequence_length=9)) is None
    assert other_tokens(tmp_path / "nowhere", card, one, card) is None and other_tokens(other, card, None, card) is None
    assert "another tokenizer than that of" in str(other_tokens(other, card, one, card))
    assert other_tokens(same, card, one, replace(card, end_of_document=2)) == (
        "token 0 ends its documents, and token 2 those of the model beside it"
    )
    assert "special tokens are {'<mask>': 60}" in str(other_tokens(same, card, one, replace(card, special_tokens={"<mask>": 1})))


@pytest.mark.slow
def test_every_layout(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    answers = on_ranks(ask, 2, tmp_path / "ranks", groups=len(LAYOUTS) + 3, layouts=LAYOUTS, models=tmp_path / "models")
    alone = answers[0][0]
    assert alone["greedy"] == alone["slow"] != alone["tokens"]
    assert alone["attention"] == {True}  # native, as that of the model beside it
    for number, layout in enumerate(LAYOUTS):
        for rank in range(2):
            if (found := answers[rank][number]) is not None:
                assert (found["tokens"], found["again"], found["greedy"]) == (alone["tokens"], alone["tokens"], alone["greedy"]), layout
                assert "the model has 60 tokens, and the one beside it 61" in found["refused"]
