"""Distillation: the formula in double precision, whole or with the vocabulary shared out; the same in every layout; a teacher that fits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from teacher import made

from modelwright_plugins.architecture.decoder import CausalDecoder
from modelwright_plugins.conformance.ranks import joined, on_ranks
from modelwright_plugins.conformance.training import SEED, Case, losses, small_decoder
from modelwright_plugins.objective.distillation import Distillation
from modelwright_plugins.parallel.megatron import Megatron

TOKENS = 7  # odd: padded on two ranks


def loss_on_ranks(rank: int, ranks: int, settings: list[dict[str, Any]]) -> list[tuple[float, Any]]:
    """The sum of the loss, and its gradient by this rank's part of the student's logits."""
    from modelwright_plugins.engine.start import started

    joined(rank, ranks)
    found = []
    with started(Megatron(tensor=ranks), seed=SEED):
        for fields in settings:
            student, teacher, labels = drawn()
            parts = [F.pad(logits, (0, -TOKENS % ranks), value=3.0).chunk(ranks, -1)[rank] for logits in (student, teacher)]
            mine = parts[0].clone().requires_grad_()
            inputs = {"loss_labels": labels, "loss_reference": parts[1], "loss_vocabulary": torch.tensor([TOKENS] * 2)}
            total, count = Distillation(teacher=Path("none"), **fields).loss(mine, inputs)
            total.backward()
            assert count == (labels >= 0).sum()
            found.append((total.item(), mine.grad.numpy()))
    return found


def drawn() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(2, 5, TOKENS, dtype=torch.float64, generator=generator) * 4 for _ in range(2))
    labels = torch.randint(TOKENS, (2, 5), generator=generator)
    labels[0, 2] = -1
    return student, teacher, labels


SETTINGS = [
    {"temperature": 2.0, "alpha": 0.3},
    {"temperature": 0.7, "alpha": 1.0},
    {"temperature": 3.0, "alpha": 0.8, "divergence": "reverse"},
]


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
def test_loss_and_gradient_are_the_formula(tmp_path: Path, ranks: int) -> None:
    found = on_ranks(loss_on_ranks, ranks, tmp_path, ranks=ranks, settings=SETTINGS)
    for place, fields in enumerate(SETTINGS):
        student, teacher, labels = drawn()
        student.requires_grad_()
        p, q = (torch.softmax(logits / fields["temperature"], -1) for logits in (teacher, student))
        if fields.get("divergence") == "reverse":
            p, q = q, p
        soft = (p * (p.log() - q.log())).sum(-1) * fields["temperature"] ** 2
        hard = F.cross_entropy(student.flatten(0, 1), labels.flatten(), ignore_index=-1, reduction="none").view_as(labels)
        expected = ((fields["alpha"] * soft + (1 - fields["alpha"]) * hard) * (labels >= 0)).double().sum()
        expected.backward()
        for rank in found:
            assert rank[place][0] == pytest.approx(expected.item(), rel=1e-6)  # sums are told in single precision
        gradient = torch.cat([torch.from_numpy(rank[place][1]) for rank in found], -1)
        torch.testing.assert_close(gradient[..., :TOKENS], student.grad, rtol=1e-6, atol=1e-7)
        assert not gradient[..., TOKENS:].any()


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("distillation"))


LAYOUTS: dict[str, dict[str, Any]] = {
    "tensor 2": {"tensor": 2},
    "tensor 2, sequence": {"tensor": 2, "sequence": True},
    "pipeline 2": {"pipeline": 2},
    "pipeline 2, virtual 2": {"pipeline": 2, "virtual": 2},
    "context 2": {"context": 2},
    "data 2": {"data": 2, "distributed_optimizer": True},
}


@pytest.mark.slow
def test_every_layout_learns_what_one_rank_learns(tmp_path: Path, teacher: Path) -> None:
    parts = {"objective": Distillation(teacher=teacher, alpha=0.7), "architecture": small_decoder(layers=4)}
    cases = [Case(parts={**parts, "parallel": Megatron(**layout)}, steps=6) for layout in [{}, *LAYOUTS.values()]]
    one, *others = losses(cases, tmp_path, ranks=2)
    assert one[-1] < one[0]
    for name, other in zip(LAYOUTS, others, strict=True):
        assert other == pytest.approx(one, rel=1e-5), name


@pytest.mark.slow
def test_a_student_with_the_teachers_weights_has_nothing_to_learn(tmp_path: Path, teacher: Path) -> None:
    (found,) = on_ranks(from_its_weights, 1, tmp_path, teacher=teacher)
    assert found["loss"] == pytest.approx(0, abs=1e-6)
    assert found["kept"] and not found["trained"]


def from_its_weights(rank: int, teacher: Path) -> dict[str, Any]:
    from modelwright_plugins.conformance.training import BATCH, batches, built_in
    from modelwright_plugins.engine import checkpoint
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.engine.trainer import assembled

    objective = Distillation(teacher=teacher, alpha=1.0)
    parts = {**built_in(), "architecture": small_decoder(layers=4, width=48, heads=4), "objective": objective}
    joined(rank, 1)
    with started(parts["parallel"], seed=SEED):
        trainer = assembled(
            parts,
            batches(objective),
            global_batch=BATCH,
            micro_batch=2,
            steps=2,
            weights=lambda chunks: checkpoint.load(teacher, 10, chunks, None) and None,
        )
        weights = [weight.clone() for weight in trainer.reference.chunks[0].parameters()]
        metrics = list(trainer.updates(0))
        kept = all(torch.equal(a, b) for a, b in zip(weights, trainer.reference.chunks[0].parameters(), strict=True))
        return {"loss": metrics[0]["loss"], "kept": kept, "trained": any(w.requires_grad for w in trainer.reference.chunks[0].parameters())}


def test_plan_knows_a_teacher_that_does_not_fit(tmp_path: Path) -> None:
    missing = Distillation(teacher=tmp_path / "none").problems(CausalDecoder())
    assert len(missing) == 1 and "is not a checkpoint's folder" in missing[0]
    card = {
        "architecture": {"name": "prefix_decoder", "fields": {}},
        "vocab_size": 9,
        "sequence_length": 8,
        "end_of_document": 0,
        "seed": 1,
    }
    (tmp_path / "model.json").write_text(json.dumps(card))
    told = Distillation(teacher=tmp_path).problems(CausalDecoder())
    assert ["there is no latest.json" in told[0], "is of the family prefix_decoder, and the student of decoder" in told[1]] == [True, True]


def test_the_teachers_weights_are_part_of_what_was_trained(tmp_path: Path) -> None:
    before = Distillation(teacher=tmp_path).fingerprint()
    (tmp_path / "latest.json").write_text('{"step": 10}')
    assert Distillation(teacher=tmp_path).fingerprint() != before
    for fields, why in (({"temperature": 0}, "temperature is 0"), ({"alpha": 0}, "alpha is 0"), ({"divergence": "js"}, "divergence is js")):
        with pytest.raises(ValueError, match=why):
            Distillation(teacher=tmp_path, **fields)
