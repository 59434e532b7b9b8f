"""Generation with what was kept of earlier tokens is generation without: the loop that reads the whole text for each token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ranks import joined, on_ranks

VOCABULARY, CONTEXT, NEW = 61, 24, 12
TINY: dict[str, Any] = {"layers": 4, "width": 32, "heads": 4, "kv_heads": 2, "initializer_std": 0.3}
EXPERTS: dict[str, Any] = {"experts": 4, "expert_feed_forward": 32}
MAMBA: dict[str, Any] = {
    "kind": "mamba", "layers": 4, "width": 32, "pattern": "M*", "heads": 4, "head_dim": 16, "state": 8, "kv_heads": 2,
    "initializer_std": 0.3,
}  # fmt: skip
PROMPTS = [[7], [3, 0, 0, 9], [11, 12, 13, 14, 15, 16, 17], [3, 0, 0, 9], [5] * 20]  # end tokens inside; the last outgrows the context
SEEDS = [int(np.random.SeedSequence([11, 4, number]).generate_state(1)[0]) for number in range(5)]  # that one seed gives five prompts


def slow(logits: Any, prompts: list[list[int]], generator: Any, seeds: list[int]) -> list[list[int]]:
    """Each row by itself, each token from the whole text."""
    import torch

    found = []
    for prompt, seed in zip(prompts, seeds, strict=True):
        numbers, reply = torch.Generator().manual_seed(seed), []
        while len(reply) < generator.max_new_tokens and (not reply or reply[-1]):
            text = [*prompt, *reply][-CONTEXT:]
            reply += generator.choose(logits(torch.tensor([text])), [prompt], [reply], [numbers])
        found.append(reply)
    return found


def ask(rank: int, cases: list[tuple[dict[str, Any], dict[str, Any]]]) -> list[Any]:
    import torch
    from megatron.core import parallel_state

    from modelwright_plugins.architecture.decoder import CausalDecoder
    from modelwright_plugins.architecture.mamba import Mamba
    from modelwright_plugins.architecture.prefix import PrefixDecoder
    from modelwright_plugins.attention.cores import Native
    from modelwright_plugins.engine.card import ModelCard
    from modelwright_plugins.engine.generation import generate
    from modelwright_plugins.engine.inference import TrainedModel
    from modelwright_plugins.engine.kv_cache import cacheable
    from modelwright_plugins.engine.model import build, distribute, initialise
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.generator.sampling import Sampling
    from modelwright_plugins.kernel.local import Torch
    from modelwright_plugins.parallel.megatron import Megatron
    from modelwright_plugins.precision.floats import FP32

    kinds = {"decoder": CausalDecoder, "mamba": Mamba, "prefix": PrefixDecoder}
    found: list[Any] = []
    for number, (fields, model) in enumerate(cases):
        layout = Megatron(**fields)
        if rank >= layout.ranks(None):
            found.append(None)
            continue
        joined(rank, layout.ranks(None), number)
        given = dict(model)
        architecture = kinds[given.pop("kind", "decoder")](**given)
        with started(layout, seed=0) as device:
            how = {"parallel": layout, "precision": FP32(), "kernel": Torch(), "attention": Native()}
            chunks = [chunk.to(device) for chunk in build(architecture, **how, vocab_size=VOCABULARY, sequence_length=CONTEXT)]
            initialise(chunks, architecture, seed=3, vocab_size=VOCABULARY)
            cached = cacheable(chunks)
            wrapped = distribute(chunks, precision=FP32(), sharded_gradients=False, fully_sharded=layout.fully_sharded)
            card = ModelCard(architecture, VOCABULARY, CONTEXT, 0, 0)
            asked = TrainedModel(wrapped if layout.fully_sharded else chunks, card, device)
            each = {}
            for name, generator in {"greedy": Sampling(temperature=0, max_new_tokens=NEW), "drawn": Sampling(max_new_tokens=NEW)}.items():
                for chunk in wrapped:
                    chunk.train()
                rows = generate(wrapped, PROMPTS, generator, end=0, context=CONTEXT, seeds=SEEDS, vocab_size=VOCABULARY, batch=3)
                assert all(module.training for chunk in wrapped for module in chunk.modules())
                for chunk in chunks:
                    chunk.eval()
                each[name] = [row.tokens for row in rows]
                if not fields:  # what a model without a layout draws is what others are compared with
                    each[name + " slow"] = slow(asked.next_logits, PROMPTS, generator, SEEDS)
                    logps = []
                    for prompt, row in zip(PROMPTS, rows, strict=True):
                        text = torch.tensor([[*prompt, *row.tokens]])[:, : CONTEXT + 1]
                        losses = asked.token_losses(text, apart=False)[0, len(prompt) - 1 :]
                        logps.append(float((row.logps[: len(losses)] + losses.cpu()).abs().max()))
                    each[name + " logps"] = max(logps)
                each[name + " shared"] = [row.tokens for row in asked.generate(PROMPTS, generator, seed=11)]
            found.append(each | {"cached": cached, "data": parallel_state.get_data_parallel_rank()})
    return found


def check(cases: list[tuple[dict[str, Any], dict[str, Any]]], folder: Path, ranks: int) -> None:
    answers = on_ranks(ask, ranks, folder, groups=len(cases), cases=cases)
    first: dict[str, Any] = {}
    for number, (layout, model) in enumerate(cases):
        for rank in range(ranks):
            if (found := answers[rank][number]) is None:
                continue
            told = (layout, model, rank)
            assert found["cached"] is (model.get("kind") != "mamba"), told
            for name in ("greedy", "drawn"):
                assert found[name] == found.get(name + " slow", found[name]), told
                assert found.get(name + " logps", 0) < 1e-4, told
                assert found[name + " shared"] == found[name], told
                assert found[name] == first.setdefault(f"{name} {model}", found[name]), told
                assert any(len(reply) == NEW for reply in found[name]), told


PLAIN: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({}, {"position": "learned", "norm": "layer", "bias": True, "norm_placement": "sandwich"}),
    ({}, {"position": "alibi", "window": 7, "embedding_norm": True, "embedding_multiplier": 2.0}),
    ({}, {"kv_heads": None, "kv_rank": 16, "rope_head_dim": 4}),
    ({}, EXPERTS),
    ({}, {"kind": "prefix"}),
    ({}, {"mtp_layers": 1}),
]


def test_one_rank(tmp_path: Path) -> None:
    check([(layout, {**TINY, **model}) for layout, model in PLAIN[:1]], tmp_path, 1)


@pytest.mark.slow
def test_architectures(tmp_path: Path) -> None:
    check([(layout, {**TINY, **model}) for layout, model in PLAIN[1:]], tmp_path, 1)


@pytest.mark.slow
def test_every_layout(tmp_path: Path) -> None:
    layouts: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({}, {}),
        ({"tensor": 2, "sequence": True}, {}),
        ({"pipeline": 2, "virtual": 2}, {}),
        ({"tensor": 2, "pipeline": 2}, {}),
        ({"data": 2, "fully_sharded": True}, {}),
        ({"context": 2}, {}),
        ({}, EXPERTS),
        ({"tensor": 2, "sequence": True, "expert": 2}, EXPERTS),
        ({"expert": 2}, EXPERTS),
        ({}, {"kv_heads": None, "kv_rank": 16, "rope_head_dim": 4}),
        ({"tensor": 2, "sequence": True}, {"kv_heads": None, "kv_rank": 16, "rope_head_dim": 4}),
        ({}, {"position": "alibi", "window": 7}),
        ({"tensor": 2, "sequence": True}, {"position": "alibi", "window": 7}),
    ]
    check([(layout, {**TINY, **model}) for layout, model in layouts], tmp_path, 4)


@pytest.mark.slow
def test_an_architecture_that_keeps_no_keys_reads_whole_texts(tmp_path: Path) -> None:
    check([({}, MAMBA), ({"tensor": 2}, MAMBA)], tmp_path, 2)
