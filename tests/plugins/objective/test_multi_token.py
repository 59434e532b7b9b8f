"""Multi-token prediction: the modules' targets by hand, their loss by the slow formula, and the same in every layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from modelwright_plugins.architecture.decoder import CausalDecoder
from modelwright_plugins.conformance.ranks import joined, on_ranks
from modelwright_plugins.conformance.training import BATCH, SEED, Case, batches, built_in, losses, small_decoder
from modelwright_plugins.objective import Passage
from modelwright_plugins.objective.multi_token import MultiToken
from modelwright_plugins.parallel.megatron import Megatron
from modelwright_plugins.tokenizer.vocabulary import Vocabulary


def test_targets_end_with_the_document() -> None:
    text = np.array([5, 6, 7, 0, 8, 9, 3, 4])  # 0 ends a document, and begins what is predicted of the next one
    found = MultiToken(depth=2).example(Passage((text,), 7, Vocabulary(10, 0), np.random.default_rng(0)))
    assert found["labels"].T.tolist() == [[6, 7, 0, 8, 9, 3, 4], [7, 0, -1, 9, 3, 4, -1], [0, -1, -1, 3, 4, -1, -1]]
    assert found["attention_mask"][:, 0].tolist() == [0, 0, 0, 3, 3, 3, 3]


def test_loss_is_the_papers() -> None:
    nats = torch.arange(12.0, dtype=torch.float64).view(1, 4, 3)
    labels = torch.tensor([[[1, 1, 1], [1, 1, -1], [1, -1, -1], [-1, -1, -1]]])
    total, count = MultiToken(depth=2, weight=0.5).loss(nats, {"labels": labels})
    assert (total.item(), count.item()) == (0 + 3 + 6 + 0.5 / 2 * (1 + 4 + 2), 3)


def test_it_wants_the_modules() -> None:
    assert MultiToken(depth=2).problems(CausalDecoder(mtp_layers=2)) == []
    assert MultiToken(depth=2).problems(CausalDecoder()) == ["objective.MultiToken needs architecture.mtp_layers=2, and it is 0"]
    with pytest.raises(ValueError, match="position is learned; with mtp_layers it is rope or none"):
        CausalDecoder(mtp_layers=1, position="learned")


def compared(rank: int) -> dict[str, Any]:
    """Losses of a model with two modules, and the same from its weights in double precision, the slow way."""
    from modelwright_plugins.engine import model
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.engine.trainer import how

    parts, architecture = built_in(), small_decoder(mtp_layers=2)
    joined(rank, 1)
    with started(parts["parallel"], seed=SEED):
        chunk = model.build(architecture, **how(parts), vocab_size=211, sequence_length=32)[0]
        model.initialise([chunk], architecture, seed=SEED, vocab_size=211)
        chunk = chunk.double()
        inputs = batches(MultiToken(depth=2)).batch(0, 2)
        nats = chunk(**inputs)
        nats[..., 1:].sum().backward()
        gradient = chunk.embedding.word_embeddings.weight.grad.norm().item()
        state, expected = (
            chunk.decoder(chunk.embedding(inputs["input_ids"], inputs["position_ids"]), None, rotary_pos_emb=chunk.rotary_pos_emb(32)),
            [],
        )
        matrix = chunk.embedding.word_embeddings.weight
        for depth in range(3):
            if depth:
                layer = chunk.mtp.layers[depth - 1]
                further = torch.roll(inputs["input_ids"], -depth, 1)  # what comes in at the end is under no target
                both = torch.cat([rms(matrix[further].transpose(0, 1), layer.enorm), rms(state, layer.hnorm)], -1)
                state, _ = layer.transformer_layer(both @ layer.eh_proj.weight.T, None, rotary_pos_emb=chunk.rotary_pos_emb(32))
                state = rms(state, layer.final_layernorm)
            chances = (state @ matrix.T).log_softmax(-1).transpose(0, 1)
            labels = inputs["labels"][..., depth]
            expected.append(-chances.gather(-1, labels.clamp(0)[..., None])[..., 0])
        known = inputs["labels"] >= 0
        worst = ((nats - torch.stack(expected, -1)) * known).abs().max().item()
        plain = chunk(**{**inputs, "labels": inputs["labels"][..., 0].contiguous()})
        return {"worst": worst, "gradient": gradient, "plain": (plain - nats[..., 0]).abs().max().item()}


def rms(x: torch.Tensor, norm: torch.nn.Module) -> torch.Tensor:
    return x * (x.square().mean(-1, keepdim=True) + 1e-5).rsqrt() * norm.weight


@pytest.mark.slow
def test_modules_are_the_formula(tmp_path: Path) -> None:
    (found,) = on_ranks(compared, 1, tmp_path)
    assert found["worst"] < 1e-5 and found["plain"] < 1e-12 and found["gradient"] > 0  # Megatron's loss is in single precision


LAYOUTS: dict[str, dict[str, Any]] = {
    "tensor 2": {"tensor": 2},
    "tensor 2, sequence": {"tensor": 2, "sequence": True},
    "pipeline 2": {"pipeline": 2},
    "context 2": {"context": 2},
    "data 2": {"data": 2, "distributed_optimizer": True},
    "recompute": {"recompute": "full"},
}


@pytest.mark.slow
@pytest.mark.parametrize("tied", [True, False])
def test_every_layout_learns_what_one_rank_learns(tmp_path: Path, tied: bool) -> None:
    parts = {"objective": MultiToken(depth=2), "architecture": small_decoder(mtp_layers=2, tied_embeddings=tied)}
    cases = [Case(parts={**parts, "parallel": Megatron(**layout)}, steps=6) for layout in [{}, *LAYOUTS.values()]]
    one, *others = losses(cases, tmp_path, ranks=2)
    assert one[-1] < one[0] and BATCH % 2 == 0
    for name, other in zip(LAYOUTS, others, strict=True):
        assert other == pytest.approx(one, rel=1e-5), name
