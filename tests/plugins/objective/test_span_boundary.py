"""SpanBERT's objective: spans by the paper's statistics, boundaries by hand, the head by its formula written out, every layout alike."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from denoised import END, WORDS, passage

from modelwright_plugins.architecture.decoder import CausalDecoder
from modelwright_plugins.architecture.encoder import Encoder
from modelwright_plugins.conformance.ranks import joined, on_ranks
from modelwright_plugins.conformance.training import LENGTH, SEED, Case, batches, built_in, losses
from modelwright_plugins.objective import Passage
from modelwright_plugins.objective._spans import spanned
from modelwright_plugins.objective.multitask import Multitask
from modelwright_plugins.objective.span_boundary import SpanBoundary
from modelwright_plugins.optimizer.sgd import SGD
from modelwright_plugins.parallel.megatron import Megatron
from modelwright_plugins.tokenizer.vocabulary import Vocabulary

OBJECTIVE = SpanBoundary()
MASK = WORDS


def texts(count: int, length: int) -> Any:
    return np.random.default_rng(5).integers(1, WORDS, (count, length))


def runs(targets: Any) -> list[tuple[int, int]]:
    """(first, after the last) of each stretch of targets."""
    steps = np.diff(np.asarray(targets).astype(int), prepend=0, append=0)
    return [*zip(np.flatnonzero(steps == 1).tolist(), np.flatnonzero(steps == -1).tolist(), strict=True)]


def test_spans_are_as_long_as_the_papers() -> None:
    many, found = 100_000, Counter[int]()  # words, so many that spans hardly ever meet
    for seed in range(30):
        random = np.random.default_rng(seed)
        targets = spanned(np.ones(many, dtype=bool), np.arange(many), 0.004, success=0.2, longest=10, random=random)
        assert targets.sum() == 400
        found.update(end - start for start, end in runs(targets))
    total = sum(found.values())
    chance = np.array([0.2 * 0.8 ** (length - 1) for length in range(1, 11)]) / (1 - 0.8**10)
    assert sum(chance * np.arange(1, 11)) == pytest.approx(3.8, abs=0.01)  # as section 3.1 has it
    for length, share in enumerate(chance, 1):
        # one in a hundred is cut, the last of its text, and as many meet another
        assert found[length] / total == pytest.approx(share, abs=4 * (share / total) ** 0.5 + 0.01), length
    assert sum(length * count for length, count in found.items()) / total == pytest.approx(3.8, abs=0.15)


def test_any_place_is_as_likely() -> None:
    found = np.zeros(40)
    for seed in range(4000):
        found += spanned(np.ones(40, dtype=bool), np.arange(40), 1 / 40, success=0.2, longest=10, random=np.random.default_rng(seed))
    assert found.sum() == 4000 and ((found - 100) ** 2 / 100).sum() < 72.1  # chi-squared, 39 degrees of freedom, p = 0.001


def test_a_share_of_tokens_are_targets_and_a_span_is_hidden_as_one() -> None:
    length, kinds, targets = 128, Counter[str](), 0
    for seed, text in enumerate(texts(600, length)):
        example = OBJECTIVE.example(passage(OBJECTIVE, text, length, seed))
        labels, given = example["labels"][:, 0], example["input_ids"]
        assert (np.where(labels >= 0, labels, given) == text).all()  # nothing is lost
        assert (labels >= 0).sum() == 19  # round(0.15 x 128)
        for start, end in runs(labels >= 0):
            inside = given[start:end]
            same, masked = (inside == text[start:end]).all(), (inside == MASK).all()
            assert same or masked or not (inside == MASK).any()
            if end - start > 1:  # a token by itself may be replaced by itself
                kinds["kept" if same else "masked" if masked else "replaced"] += 1
                targets += 1
    for kind, share in (("masked", 0.8), ("replaced", 0.1), ("kept", 0.1)):
        assert abs(kinds[kind] - share * targets) < 4 * (share * (1 - share) * targets) ** 0.5, kind


def test_boundaries_are_the_tokens_beside_the_span_in_its_document() -> None:
    text = np.array([*range(1, 30), END, *range(101, 130), END, *range(201, 240)])
    group = np.cumsum(text == END)
    one_sided = 0
    for seed in range(200):
        found = OBJECTIVE.example(passage(OBJECTIVE, text, len(text), seed))
        masked, told = found["labels"].T
        for start, end in runs(masked >= 0):
            assert (text[start:end] != END).all()
            whole = start > 0 and group[start - 1] == group[start] and end < len(text) and group[end] == group[start]
            one_sided += not whole
            for place in range(start, end):
                assert told[place] == (text[place] if whole and place < start + 20 else -1)
                assert found["boundaries"][place].tolist() == ([start - 1, end] if told[place] >= 0 else [0, 0])
        assert (told[masked < 0] == -1).all()
    assert one_sided > 20
    assert (found["attention_mask"][29:59] == [29, 59]).all()


@dataclass(frozen=True)
class Spoken(Vocabulary):
    """Its odd tokens go on with the word before."""

    @property
    def pieces(self) -> list[str]:  # type: ignore[override]
        return [""] + ["on" if token % 2 else " word" for token in range(1, self.size)]


def test_spans_are_of_whole_words() -> None:
    length, sizes = 64, []
    for seed, text in enumerate(texts(200, length)):
        vocabulary = Spoken(WORDS + 1, END, {"<mask>": MASK})
        labels = OBJECTIVE.example(Passage((text,), length, vocabulary, np.random.default_rng(seed)))["labels"][:, 0]
        starts = (text % 2 == 0) | (np.arange(length) == 0)
        for word in np.split(labels >= 0, np.flatnonzero(starts)[1:]):
            assert word.all() or not word.any()
        sizes.append((labels >= 0).sum())
        assert 1 <= sizes[-1] <= 10  # round(0.15 x 64), or less where no word fits
    assert np.mean(sizes) > 9.5
    vocabulary = Spoken(WORDS + 1, END, {"<mask>": MASK})
    for seed in range(5):
        example = OBJECTIVE.example(Passage((np.full(8, 3),), 8, vocabulary, np.random.default_rng(seed)))
        assert (example["labels"] == [3, -1]).all()  # one word that is too long is a target all the same, and has nothing beside it
        assert (OBJECTIVE.example(Passage((np.full(8, END),), 8, vocabulary, np.random.default_rng(seed)))["labels"] == -1).all()


def test_far_places_of_a_long_span_are_told_by_the_first_head_alone() -> None:
    objective = SpanBoundary(rate=0.9, boundary_targets=3)
    for seed in range(20):
        found = objective.example(passage(objective, np.arange(1, 60), 59, seed))
        masked, told = (labels >= 0 for labels in found["labels"].T)
        for start, end in runs(masked):
            assert told[start:end].tolist() == [start > 0 and end < 59 and place < 3 for place in range(end - start)]


def test_the_loss_is_the_sum_of_both_heads_over_targets() -> None:
    nats = torch.arange(8.0, dtype=torch.float64).view(1, 4, 2)
    labels = torch.tensor([[[5, 5], [6, -1], [-1, -1], [7, 7]]])
    total, count = OBJECTIVE.loss(nats, {"labels": labels})
    assert (total.item(), count.item()) == (0 + 2 + 6 + 1 + 7, 3)


def small(**changes: Any) -> Encoder:
    return Encoder(**{"layers": 2, "width": 32, "heads": 4, "span_head": 20, "initializer_std": 0.1, **changes})


def compared(rank: int) -> dict[str, float]:
    """How far nats are from the formula, written out in double precision from the model's own hidden states and weights."""
    from modelwright_plugins.engine import model
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.engine.trainer import how

    parts, found = built_in(), {}
    joined(rank, 1)
    with started(parts["parallel"], seed=SEED):
        for tied in (True, False):
            data = batches(OBJECTIVE)
            architecture = small(embedding_width=16, tied_embeddings=tied)
            (bert,) = model.build(architecture, **how(parts), vocab_size=data.vocabulary.size, sequence_length=LENGTH)
            model.initialise([bert], architecture, seed=SEED, vocab_size=data.vocabulary.size)
            bert = bert.double().eval()
            for parameter in bert.parameters():
                if parameter.dim() == 1:
                    parameter.data += torch.linspace(-0.2, 0.3, len(parameter))
            inputs = data.batch(0, 6)
            told = bert(**inputs)
            states: list[torch.Tensor] = []
            handle = bert.masked_head.register_forward_pre_hook(lambda _, given, to=states: to.append(given[0]))
            plain = bert(**{name: value for name, value in inputs.items() if name not in ("labels", "boundaries")})
            handle.remove()
            hidden, head = states[0], bert.span_head

            def layer(x: torch.Tensor, dense: Any, norm: Any) -> torch.Tensor:
                x = x @ dense.weight.T + dense.bias
                x = x * 0.5 * (1 + torch.erf(x / 2**0.5))
                x = (x - x.mean()) / (x.var(unbiased=False) + 1e-12).sqrt()
                return x * norm.weight + norm.bias

            matrix = bert.embedding.word_embeddings.weight if tied else bert.output_layer.weight
            worst, count = 0.0, 0
            for row, place in (inputs["labels"][..., 1] >= 0).nonzero().tolist():
                left, right = inputs["boundaries"][row, place].tolist()
                h0 = torch.cat([hidden[left, row], hidden[right, row], head.places.weight[place - left - 1]])
                y = layer(layer(h0, head.dense, head.norm), head.head.dense, head.head.norm)
                expected = -(y @ matrix.T + bert.output_layer.bias).log_softmax(-1)[inputs["labels"][row, place, 1]]
                worst, count = max(worst, (told[row, place, 1] - expected).abs().item()), count + 1
            masked = torch.nn.functional.cross_entropy(plain.transpose(1, 2), inputs["labels"][..., 0].clamp(0), reduction="none")
            found[f"span {tied}"], found[f"targets {tied}"] = worst, count
            found[f"masked {tied}"] = ((told[..., 0] - masked) * (inputs["labels"][..., 0] >= 0)).abs().max().item()
    return found


@pytest.mark.slow
def test_the_head_is_the_papers_formula(tmp_path: Path) -> None:
    (found,) = on_ranks(compared, 1, tmp_path)
    assert found["targets True"] > 10
    assert max(value for name, value in found.items() if "targets" not in name) < 1e-5, found  # Megatron's loss is in single precision


LAYOUTS: dict[str, dict[str, Any]] = {
    "tensor 2": {"tensor": 2},
    "tensor 2, sequence": {"tensor": 2, "sequence": True},
    "pipeline 2": {"pipeline": 2},
    "context 2": {"context": 2},
    "tensor 2, sequence, context 2": {"tensor": 2, "sequence": True, "context": 2},
    "data 2": {"data": 2, "distributed_optimizer": True},
}


@pytest.mark.slow
def test_every_layout_learns_what_one_rank_learns(tmp_path: Path) -> None:
    parts = {"objective": OBJECTIVE, "architecture": small(), "optimizer": SGD(lr=0.3)}
    cases = [Case(parts={**parts, "parallel": Megatron(**layout)}, steps=6) for layout in [{}, *LAYOUTS.values()]]
    one, *others = losses(cases, tmp_path, ranks=4)
    assert one[-1] < one[0]
    for name, other in zip(LAYOUTS, others, strict=True):
        assert other == pytest.approx(one, rel=1e-5), name


@pytest.mark.slow
def test_it_goes_into_a_mix_with_the_encoders_others(tmp_path: Path) -> None:
    mix = Multitask(weights={"masked_lm": 1, "next_sentence": 1, "span_boundary": 2})
    assert mix.problems(small()) == []
    parts = {"objective": mix, "architecture": small(), "optimizer": SGD(lr=0.1)}
    layouts = ({"tensor": 2, "sequence": True}, {"context": 2}, {"pipeline": 2})
    one, *others = losses([Case(parts={**parts, "parallel": Megatron(**layout)}) for layout in ({}, *layouts)], tmp_path, ranks=2)
    for layout, other in zip(layouts, others, strict=True):
        assert other == pytest.approx(one, rel=1e-5), layout


def test_a_model_without_the_head_is_refused() -> None:
    assert OBJECTIVE.problems(small()) == []
    assert OBJECTIVE.problems(Encoder()) == ["objective.SpanBoundary needs architecture.span_head=20, and it is 0"]
    (told,) = OBJECTIVE.problems(CausalDecoder())
    assert "trains encoder, and architecture CausalDecoder is of the family decoder; take architecture=encoder, or objective=" in told
    with pytest.raises(ValueError, match="span_head is -1; it is 0 or more"):
        Encoder(span_head=-1)
    with pytest.raises(ValueError, match="success is 1; it is above 0 and below 1"):
        SpanBoundary(success=1)
    with pytest.raises(ValueError, match="longest is 0; it is 1 or more"):
        SpanBoundary(longest=0)
