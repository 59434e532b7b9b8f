"""Prefixes and prompts compute what transformers computes with past keys and values, or with embeddings put before the input; a text that
is packed behind others is what it is alone; generation sees them too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from by_hand import GPT2, LLAMA, asked, gpt2, llama, ours, tokens

from modelwright_plugins.adapter.prefix_tuning import PrefixTuning
from modelwright_plugins.adapter.prompt_tuning import PromptTuning
from modelwright_plugins.conformance.ranks import joined, on_ranks

BEFORE = 5


def theirs_with_prefix(theirs: Any, gpt: Any, text: Any) -> Any:
    import torch
    from transformers import DynamicCache

    cache = DynamicCache(config=theirs.config)
    for i, layer in enumerate(gpt.decoder.layers):
        keys, values = (each.expand(len(text), -1, -1, -1) for each in layer.self_attention.adapter())
        cache.update(keys, values, i)
    place = torch.arange(text.shape[1]).expand_as(text)
    seen = torch.ones(len(text), BEFORE + text.shape[1], dtype=torch.long)
    return theirs(text, past_key_values=cache, position_ids=place, attention_mask=seen).logits


def theirs_with_prompt(theirs: Any, gpt: Any, text: Any) -> Any:
    import torch

    vectors = gpt.embedding.adapter.vectors.unsqueeze(0).expand(len(text), -1, -1)
    return theirs(inputs_embeds=torch.cat([vectors, theirs.get_input_embeddings()(text)], 1)).logits[:, BEFORE:]


def compare(rank: int) -> dict[str, Any]:
    import torch

    from modelwright_plugins.engine.generation import generate
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.generator.sampling import Sampling
    from modelwright_plugins.parallel.megatron import Megatron

    joined(rank, 1, 0)
    adapters = {
        "prefix": PrefixTuning(length=BEFORE, hidden=None, std=1.0),
        "network": PrefixTuning(length=BEFORE, hidden=16),
        "prompt": PromptTuning(length=BEFORE),
    }
    found: dict[str, Any] = {}
    how: dict[str, Any] = {"end": (), "context": 12, "seeds": [1, 2], "vocab_size": 203}
    text, weights = tokens(), torch.randn(3, 12, 203, generator=torch.Generator().manual_seed(4))
    with started(Megatron(), seed=0):
        for name, adapter in adapters.items():
            for family, fields, made in (("llama", LLAMA, llama), ("gpt2", GPT2, gpt2), ("alibi", {"position": "alibi"}, None)):
                told = found[f"{name}, {family}"] = {}
                (gpt,) = ours(**fields)
                before, theirs = asked(gpt, text).detach(), None if made is None else made(gpt)
                adapter.apply([gpt], seed=7)
                logits = asked(gpt, text)
                told["moved"] = (logits - before).abs().max().item()
                new = [p for p in gpt.parameters() if p.requires_grad]
                mine = torch.autograd.grad((logits * weights).sum(), new)
                if theirs is not None:
                    expected = (theirs_with_prompt if name == "prompt" else theirs_with_prefix)(theirs, gpt, text)
                    told["logits"] = (logits - expected).abs().max().item()
                    others = torch.autograd.grad((expected * weights).sum(), new)
                    told["gradient"] = max((a - b).abs().max().item() / b.abs().max().item() for a, b in zip(mine, others, strict=True))
                with torch.no_grad():
                    packed, parts = asked(gpt, text, [0, 5, 9]), [asked(gpt, text[:, a:b]) for a, b in ((0, 5), (5, 9), (9, 12))]
                    told["packed"] = (packed - torch.cat(parts, 1)).abs().max().item()
                    prompts = [text[0, :3].tolist(), text[1, :6].tolist()]
                    drawn = generate([gpt], prompts, Sampling(temperature=0.0, max_new_tokens=4), **how)
                    slow = []
                    for prompt in prompts:
                        for _ in range(4):
                            prompt = [*prompt, int(asked(gpt, torch.tensor([prompt]))[0, -1].argmax())]
                        slow.append(prompt[-4:])
                    told["generated"] = [each.tokens for each in drawn] == slow
    return found


@pytest.mark.slow  # 15 s
def test_they_are_what_transformers_computes(tmp_path: Path) -> None:
    for name, told in on_ranks(compare, 1, tmp_path)[0].items():
        assert told["moved"] > 0.05, name
        assert told.get("logits", 0) < 1e-5 and told.get("gradient", 0) < 1e-5, (name, told)
        assert told["packed"] < 1e-5, (name, told)
        assert told["generated"], name


LAYOUTS: list[dict[str, Any]] = [{}, {"tensor": 2, "sequence": True}, {"pipeline": 2}]


def drawn(rank: int) -> list[Any]:
    """What is generated in each layout: of two prompts, and of one whose length tensor ranks don't divide."""
    from modelwright_plugins.engine.generation import generate
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.generator.sampling import Sampling
    from modelwright_plugins.parallel.megatron import Megatron

    found: list[Any] = []
    for number, layout in enumerate(LAYOUTS):
        if rank >= (count := Megatron(**layout).ranks(None)):
            found.append(None)
            continue
        joined(rank, count, number)
        with started(Megatron(**layout), seed=0):
            told = []
            for adapter in (PrefixTuning(length=4, hidden=None, std=1.0), PromptTuning(length=4)):
                chunks = ours(layout, **LLAMA)
                adapter.apply(chunks, seed=7)
                for prompts in ([[1, 2, 3], [4, 5, 6, 7, 8]], [[9, 8, 7]]):
                    how: dict[str, Any] = {"end": (), "context": 12, "seeds": range(len(prompts)), "vocab_size": 203}
                    each = generate(chunks, prompts, Sampling(temperature=0.0, max_new_tokens=4), **how)
                    told.append([(one.tokens, one.logps) for one in each])
            found.append(told)
    return found


@pytest.mark.slow
def test_every_layout_generates_the_same(tmp_path: Path) -> None:
    one, *others = on_ranks(drawn, 2, tmp_path, groups=len(LAYOUTS))[0]
    for other in others:
        for mine, theirs in zip(one, other, strict=True):
            for (expected, logps), (found, chances) in zip(mine, theirs, strict=True):
                assert expected == found and [float(p) for p in logps] == pytest.approx([float(p) for p in chances], abs=1e-5)
