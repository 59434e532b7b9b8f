"""A token through `TokenStep` is a token through Megatron's own layers, to the last bit; what it does not know, it leaves to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ranks import joined, on_ranks

VOCABULARY, CONTEXT = 61, 24
TINY: dict[str, Any] = {"layers": 2, "width": 32, "heads": 4, "kv_heads": 2, "initializer_std": 0.3}
PROMPTS = [[7], [3, 0, 0, 9], [11, 12, 13, 14, 15, 16, 17], [3, 0, 0, 9]]
STEPS = [([5, 6, 7, 8], None), ([1, 2, 3], [3, 0, 2]), ([9, 9, 30, 30], [0, 0, 1, 2]), ([4, 4, 4, 4], None)]
KNOWN: list[dict[str, Any]] = [
    {},
    {"position": "learned", "norm": "layer", "bias": True, "norm_placement": "sandwich", "activation": "gelu"},
    {"window": 5, "rope_fraction": 0.5, "qk_norm": True, "qkv_bias": True, "tied_embeddings": False, "output_multiplier": 0.5},
    {"kv_heads": 1, "norm_placement": "post", "embedding_norm": True, "embedding_multiplier": 2.0, "attention_scale": 0.2},
    {"position": "none", "residual_multiplier": 0.5, "activation": "geglu", "kv_heads": 4},
    {"experts": 4, "expert_feed_forward": 32, "rope_scaling": "linear", "rope_factor": 2.0},
    {"precision": "bf16"},
    {"adapter": "lora"},
    {"head": "both"},
]
UNKNOWN: list[dict[str, Any]] = [{"position": "alibi"}, {"kv_heads": None, "kv_rank": 16, "rope_head_dim": 4}, {"adapter": "bottleneck"}]


def ask(rank: int, cases: list[dict[str, Any]]) -> list[Any]:
    """Of each case, whether `TokenStep` knows the model, and whether logits and states were the same at each step."""
    import torch

    from modelwright_plugins.adapter.bottleneck import Series
    from modelwright_plugins.adapter.lora import LoRA
    from modelwright_plugins.architecture.decoder import CausalDecoder
    from modelwright_plugins.attention.cores import Native
    from modelwright_plugins.engine import heads
    from modelwright_plugins.engine.model import build, initialise
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.engine.stepping import Stepping, asked
    from modelwright_plugins.kernel.local import Torch
    from modelwright_plugins.parallel.megatron import Megatron
    from modelwright_plugins.precision.floats import BF16, FP32

    joined(rank, 1, 0)
    found = []
    with started(Megatron(), seed=0):
        for case in cases:
            given = {**TINY, **case}
            precision = {"bf16": BF16, "fp32": FP32}[given.pop("precision", "fp32")]()
            adapter = {"lora": LoRA, "bottleneck": Series, "": None}[given.pop("adapter", "")]
            head = given.pop("head", "tokens")
            architecture = CausalDecoder(**given)
            how = {"parallel": Megatron(), "precision": precision, "kernel": Torch(), "attention": Native()}
            chunks = build(architecture, **how, vocab_size=VOCABULARY, sequence_length=CONTEXT)
            initialise(chunks, architecture, seed=3, vocab_size=VOCABULARY)
            heads.attach(chunks, head)
            if adapter is not None:
                adapter().apply(chunks, seed=1)
                for name, parameter in chunks[0].named_parameters():
                    if name.endswith(".b"):  # of LoRA: 0 at first
                        torch.nn.init.normal_(parameter, std=0.1)
            same = []
            with asked(chunks) as modules:
                fast, slow = (Stepping(modules, context=CONTEXT, vocab_size=VOCABULARY, states=True) for _ in range(2))
                known, slow.alone = fast.alone is not None, None
                same.append(torch.equal(fast.start(PROMPTS), slow.start(PROMPTS)))
                for tokens, rows in STEPS:
                    one, other = fast.step(tokens, rows), slow.step(tokens, rows)
                    same.append(torch.equal(one, other) and all(map(torch.equal, fast.states, slow.states)))
            found.append((known, same))
    return found


def test_bits(tmp_path: Path) -> None:
    (found,) = on_ranks(ask, 1, tmp_path, cases=KNOWN + UNKNOWN)
    for case, (known, same) in zip(KNOWN + UNKNOWN, found, strict=True):
        assert known is (case in KNOWN), case
        assert same == [True] * (1 + len(STEPS)), (case, same)
