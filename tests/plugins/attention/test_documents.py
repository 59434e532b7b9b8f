"""Packed sequences: what stands before a document in its sequence has no influence on it, through whole models, in both attentions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelwright_plugins.conformance.ranks import joined, on_ranks

LENGTH, BEFORE, VOCABULARY = 24, 9, 50
MODELS: dict[str, dict[str, Any]] = {
    "rope": {},
    "learned": {"position": "learned"},
    "alibi": {"position": "alibi"},
    "window": {"window": 4},
    "latent": {"kv_heads": None, "kv_rank": 8, "rope_head_dim": 4, "value_head_dim": 6},
}


def ask(rank: int) -> dict[str, dict[str, float]]:
    """Largest differences of the losses of the second of two documents, by attention and model: when another document stands before
    it, when it stands alone, and when another stands before it and the mask is left out."""
    import numpy as np
    import torch

    from modelwright_plugins.attention.cores import SDPA, Reference
    from modelwright_plugins.conformance.training import built_in, small_decoder
    from modelwright_plugins.engine import model
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.engine.trainer import how
    from modelwright_plugins.objective import Passage
    from modelwright_plugins.tokenizer.vocabulary import Vocabulary

    joined(rank, 1)
    parts, found = built_in(), {}
    random = np.random.default_rng(0)
    one, other, document = (random.integers(1, VOCABULARY, size) for size in (BEFORE, BEFORE, LENGTH - BEFORE))
    texts = [np.concatenate(each) for each in ((one, [0], document), (other, [0], document), ([0], document))]
    with started(parts["parallel"], seed=0):
        for attention in (SDPA(), Reference()):
            for name, changes in MODELS.items():
                architecture = small_decoder(**changes)
                how_computed = how({**parts, "attention": attention})
                (chunk,) = model.build(architecture, **how_computed, vocab_size=VOCABULARY, sequence_length=LENGTH)
                torch.manual_seed(0)
                for parameter in chunk.parameters():  # weights so large that attention is far from uniform
                    torch.nn.init.normal_(parameter, std=0.3)
                chunk.eval()

                @torch.no_grad()
                def losses(text: Any, masked: bool = True, chunk: Any = chunk) -> Any:
                    example = parts["objective"].example(Passage((text,), LENGTH, Vocabulary(VOCABULARY, 0), random))
                    inputs = {key: torch.from_numpy(value)[None] for key, value in example.items()}
                    mask = inputs.pop("attention_mask")
                    return chunk(**inputs, attention_mask=mask if masked else None)[0, -len(document) :]

                first, second, alone = map(losses, texts)
                unmasked = [losses(text, masked=False) for text in texts[:2]]
                found[f"{type(attention).__name__} {name}"] = {
                    "another": (first - second).abs().max().item(),
                    "alone": (first - alone).abs().max().item(),
                    "without a mask": (unmasked[0] - unmasked[1]).abs().max().item(),
                }
    return found


@pytest.mark.slow
def test_what_stands_before_a_document_has_no_influence(tmp_path: Path) -> None:
    (found,) = on_ranks(ask, 1, tmp_path)
    assert len(found) == 2 * len(MODELS)
    for case, far in found.items():
        assert far["another"] < 1e-5 and far["alone"] < 1e-4, (case, far)
        assert far["without a mask"] > 1e-2, (case, far)  # or this test would tell nothing
