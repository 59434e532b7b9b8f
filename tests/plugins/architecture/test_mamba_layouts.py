"""Mamba-2 and hybrids in every layout: the same initial weights, the same losses, with documents that are kept apart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from modelwright_plugins.architecture.mamba import Mamba
from modelwright_plugins.conformance.ranks import joined, on_ranks
from modelwright_plugins.conformance.training import LENGTH, VOCABULARY, Case, losses
from modelwright_plugins.objective import Example, Passage
from modelwright_plugins.objective.causal_lm import CausalLM
from modelwright_plugins.objective.fill_in_the_middle import FillInTheMiddle
from modelwright_plugins.parallel.megatron import Megatron
from modelwright_plugins.precision.floats import BF16

SMALL: dict[str, Any] = {"width": 32, "heads": 4, "head_dim": 16, "state": 8, "initializer_std": 0.1}
PURE = Mamba(layers=4, **SMALL)
HYBRID = Mamba(layers=8, pattern="M-M*", groups=2, kv_heads=2, activation="swiglu", tied_embeddings=False, **SMALL)
MODELS = {"pure": PURE, "hybrid": HYBRID}
TWO = [
    Megatron(),
    Megatron(tensor=2),
    Megatron(tensor=2, sequence=True),
    Megatron(pipeline=2),
    Megatron(pipeline=2, first_stage_layers=1),
    Megatron(pipeline=2, virtual=2),
    Megatron(data=2, distributed_optimizer=True),
    Megatron(data=2, fully_sharded=True),
    Megatron(context=2),
    Megatron(recompute="full"),
    Megatron(recompute="selective"),
]
DEEP = [
    Megatron(tensor=4),
    Megatron(tensor=2, pipeline=2, sequence=True),
    Megatron(tensor=2, data=2, distributed_optimizer=True),
    Megatron(tensor=2, context=2, sequence=True),
]


@dataclass(frozen=True, kw_only=True)
class Packed(CausalLM):
    """Three documents in each sequence, wherever the text ends."""

    def example(self, passage: Passage) -> Example:
        import numpy as np

        from modelwright_plugins.objective.visible import positions, seen

        visible = seen(np.arange(LENGTH) // 12, causal=True)
        return {**super().example(passage), "attention_mask": visible, "position_ids": positions(visible)}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_layout_learns_what_one_rank_learns(name: str, tmp_path: Path) -> None:
    parts = {"architecture": MODELS[name], "objective": Packed()}
    resumed = Case(parts={**parts, "parallel": Megatron(tensor=2)}, resume_at=2)
    one, *others = losses([*(Case(parts={**parts, "parallel": each}) for each in TWO), resumed], tmp_path, ranks=2)
    assert one[-1] < one[0] - 0.1
    for layout, other in zip([*TWO[1:], resumed], others, strict=True):
        assert other == pytest.approx(one, abs=1e-5), layout


@pytest.mark.slow
def test_four_ranks_and_a_group_on_several_of_them(tmp_path: Path) -> None:
    """With four tensor ranks and two groups each group's heads are on two of them: one more than PURE and HYBRID have."""
    parts = {"architecture": replace(HYBRID, kv_heads=4), "objective": Packed()}
    one, *others = losses([Case(parts={**parts, "parallel": each}) for each in [Megatron(), *DEEP]], tmp_path, ranks=4)
    for layout, other in zip(DEEP, others, strict=True):
        assert other == pytest.approx(one, abs=1e-5), layout


@pytest.mark.slow
def test_bfloat16_learns_the_same_roughly(tmp_path: Path) -> None:
    cases = [Case(parts={"architecture": HYBRID, "parallel": Megatron(tensor=2), **extra}) for extra in ({}, {"precision": BF16()})]
    single, half = losses(cases, tmp_path, ranks=2)
    assert half == pytest.approx(single, abs=0.03)


def weights(rank: int, architecture: Mamba, layouts: list[Megatron]) -> list[dict[str, Any]]:
    """Each rank's part of the initial weights, in each layout: by name in a checkpoint, with where it lies."""
    from modelwright_plugins.conformance.training import built_in
    from modelwright_plugins.engine import model
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.engine.trainer import how

    found = []
    for number, layout in enumerate(layouts):
        if rank >= layout.ranks(None):
            continue
        joined(rank, layout.ranks(None), number)
        with started(layout, seed=0):
            chunks = model.build(architecture, **how({**built_in(), "parallel": layout}), vocab_size=VOCABULARY, sequence_length=LENGTH)
            model.initialise(chunks, architecture, seed=1, vocab_size=VOCABULARY)
            found.append({name: (data.detach().clone(), whole, offset) for name, data, whole, offset in model.named_parts(chunks)})
    return found


def test_initial_weights_are_the_papers_in_any_layout(tmp_path: Path) -> None:
    """Dao and Gu's code: A from 1 to 16, Δ from 0.001 to 0.1, D 1, filters of four taps up to a half."""
    architecture = Mamba(layers=2, pattern="M*", width=64, heads=64, head_dim=2, state=8)
    ranks = on_ranks(weights, 2, tmp_path, groups=2, architecture=architecture, layouts=[Megatron(), Megatron(tensor=2)])
    whole = {name: data for name, (data, _, _) in ranks[0][0].items()}
    mixer = "decoder.layers.0.mixer."
    a, dt, filters = (whole[mixer + name] for name in ("A_log", "dt_bias", "convolution"))
    assert 1 <= a.exp().min() < 3 and 14 < a.exp().max() <= 16.001
    dt = dt.exp().log1p()
    assert 0.00099 < dt.min() < 0.002 and 0.05 < dt.max() < 0.101 and 0.005 < dt.median() < 0.02
    assert (whole[mixer + "D"] == 1).all() and (whole[mixer + "norm"] == 1).all()
    assert 0.4 < filters.abs().max() <= 0.5 and whole[mixer + "convolution_bias"].std() > 0.2
    assert whole[mixer + "in_proj.weight"].std() == pytest.approx(0.02, rel=0.05)
    assert whole[mixer + "bc_proj"].std() == pytest.approx(0.02, rel=0.05)
    assert whole[mixer + "out_proj.weight"].std() == pytest.approx(0.02 / 2**0.5, rel=0.05)
    for parts in (ranks[0][1], ranks[1][0]):
        for name, (data, shape, offset) in parts.items():
            if name in whole and "word_embeddings" not in name:
                place = tuple(slice(start, start + size) for start, size in zip(offset[-len(shape) :], data.shape, strict=True))
                assert (whole[name][place] == data).all(), name


def apart(rank: int) -> dict[str, dict[str, float]]:
    """Largest differences of the losses of the last of two documents: when another stands before it, when it stands alone, and when
    another stands before it and the mask is left out."""
    import numpy as np
    import torch

    from modelwright_plugins.conformance.training import built_in
    from modelwright_plugins.engine import model
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.engine.trainer import how
    from modelwright_plugins.tokenizer.vocabulary import Vocabulary

    length = 100  # the document begins in the first chunk and ends in the second
    joined(rank, 1)
    parts, found = built_in(), {}
    random = np.random.default_rng(0)
    one, other, document = (random.integers(1, VOCABULARY, size) for size in (9, 9, length - 9))
    texts = [np.concatenate(each) for each in ((one, [0], document), (other, [0], document), ([0], document))]
    with started(parts["parallel"], seed=0):
        for name, architecture in MODELS.items():
            (chunk,) = model.build(architecture, **how(parts), vocab_size=VOCABULARY, sequence_length=length)
            torch.manual_seed(0)
            for parameter_name, parameter in chunk.named_parameters():
                torch.nn.init.normal_(parameter, -5.0 if parameter_name.endswith("A_log") else 0.0, std=0.3)  # states that last
            chunk.eval()

            @torch.no_grad()
            def nats(text: Any, masked: bool = True, chunk: Any = chunk) -> Any:
                example = parts["objective"].example(Passage((text,), length, Vocabulary(VOCABULARY, 0), random))
                inputs = {key: torch.from_numpy(value)[None] for key, value in example.items()}
                mask = inputs.pop("attention_mask")
                return chunk(**inputs, attention_mask=mask if masked else None)[0, -len(document) :]

            first, second, alone = map(nats, texts)
            unmasked = [nats(text, masked=False) for text in texts[:2]]
            found[name] = {
                "another": (first - second).abs().max().item(),
                "alone": (first - alone).abs().max().item(),
                "without a mask": (unmasked[0] - unmasked[1]).abs().max().item(),
            }
    return found


def test_what_stands_before_a_document_has_no_influence(tmp_path: Path) -> None:
    found = on_ranks(apart, 1, tmp_path, groups=1)[0]
    assert set(found) == set(MODELS)
    for case, far in found.items():
        assert far["another"] < 1e-5 and far["alone"] < 1e-4, (case, far)
        assert far["without a mask"] > 1e-2, (case, far)  # or this test would tell nothing


def answers(rank: int, layouts: list[Megatron]) -> list[dict[str, Any]]:
    """What a hybrid says of the same tokens in each layout."""
    import torch

    from modelwright_plugins.conformance.training import built_in
    from modelwright_plugins.engine import model
    from modelwright_plugins.engine.card import ModelCard
    from modelwright_plugins.engine.inference import TrainedModel
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.engine.trainer import how

    found = []
    tokens = torch.randint(1, VOCABULARY, (3, 32), generator=torch.Generator().manual_seed(0))
    tokens[1, 20] = 0  # a document ends there
    for number, layout in enumerate(layouts):
        joined(rank, 2, number)
        with started(layout, seed=0) as device:
            chunks = model.build(HYBRID, **how({**built_in(), "parallel": layout}), vocab_size=VOCABULARY, sequence_length=LENGTH)
            model.initialise(chunks, HYBRID, seed=1, vocab_size=VOCABULARY)
            asked = TrainedModel([chunk.eval() for chunk in chunks], ModelCard(HYBRID, VOCABULARY, LENGTH, 0, 1), device)
            text, at = tokens[:, :-1], torch.tensor([2, 30, 7])
            alone = torch.cat([asked.next_logits(text[i : i + 1, : at[i] + 1]) for i in range(3)])
            found.append({"losses": asked.token_losses(tokens), "at": asked.next_logits(text, at), "alone": alone})
    return found


@pytest.mark.slow
def test_a_model_is_asked_in_any_layout(tmp_path: Path) -> None:
    layouts = [Megatron(data=2), Megatron(tensor=2, sequence=True), Megatron(pipeline=2, virtual=2)]
    one, *others = on_ranks(answers, 2, tmp_path, groups=3, layouts=layouts)[0]
    assert (one["at"] - one["alone"]).abs().max() < 1e-5  # what comes after has no influence
    for layout, other in zip(layouts[1:], others, strict=True):
        for what, value in other.items():
            assert (value - one[what]).abs().max() < 1e-5, (layout, what)


@pytest.mark.slow
def test_it_learns_to_fill_in_the_middle(tmp_path: Path) -> None:
    (found,) = losses([Case(parts={"architecture": HYBRID, "objective": FillInTheMiddle()}, steps=6)], tmp_path, ranks=1)
    assert found[-1] < found[0] - 0.1
