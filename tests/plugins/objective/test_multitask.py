"""A mix of objectives: drawn by weight, each sequence as its objective alone has it, the loss the sum of theirs; what can't be mixed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from denoised import END, WORDS, two_sides

from modelwright.errors import ModelwrightError
from modelwright_plugins.architecture.decoder import CausalDecoder
from modelwright_plugins.architecture.encoder import Encoder
from modelwright_plugins.architecture.encoder_decoder import EncoderDecoder
from modelwright_plugins.architecture.prefix import PrefixDecoder
from modelwright_plugins.conformance.ranks import joined, on_ranks
from modelwright_plugins.conformance.training import BATCH, LENGTH, SEED, Case, batches, built_in, losses, small_decoder
from modelwright_plugins.objective import Passage
from modelwright_plugins.objective._mixed import COLUMNS, PART
from modelwright_plugins.objective.multitask import Multitask
from modelwright_plugins.optimizer.sgd import SGD
from modelwright_plugins.parallel.megatron import Megatron
from modelwright_plugins.tokenizer.vocabulary import Vocabulary

SMALL = {"width": 32, "heads": 4}
PREFIX = {name: {"family": "prefix_decoder"} for name in ("mixture_of_denoisers", "span_corruption")}
MIXES: dict[str, tuple[Multitask, Any]] = {
    "decoder": (Multitask(weights={"causal_lm": 2, "fill_in_the_middle": 1, "multi_token": 2}), small_decoder(mtp_layers=1)),
    "prefix decoder": (
        Multitask(
            weights={"causal_lm": 0.3, "fill_in_the_middle": 0.1, "prefix_lm": 0.2, "mixture_of_denoisers": 0.4},
            parts={"mixture_of_denoisers": PREFIX["mixture_of_denoisers"], "fill_in_the_middle": {"rate": 0.9}},
        ),
        PrefixDecoder(layers=2, kv_heads=2, **SMALL),
    ),
    "encoder": (Multitask(weights={"masked_lm": 1, "next_sentence": 1}), Encoder(layers=2, **SMALL)),
    "encoder-decoder": (Multitask(weights={"span_corruption": 1, "bart": 1}), EncoderDecoder(encoder_layers=2, decoder_layers=2, **SMALL)),
}


def passage(mix: Multitask, spans: Any, length: int, seed: int = 0) -> Passage:
    special = {name: WORDS + place for place, name in enumerate(mix.special_tokens)}
    vocabulary = Vocabulary(WORDS + len(special), END, special)
    return Passage(tuple(np.asarray(span) for span in spans), length, vocabulary, np.random.default_rng(seed))


def test_parts_are_drawn_by_weight() -> None:
    mix, text = Multitask(weights={"causal_lm": 5, "fill_in_the_middle": 3, "multi_token": 2}), np.arange(1, 34)
    drawn = np.bincount([mix.example(passage(mix, [text], 32, seed))[PART] for seed in range(4000)], minlength=3)
    wanted = 400 * np.array([5, 3, 2])
    assert ((drawn - wanted) ** 2 / wanted).sum() < 13.8  # chi-squared, 2 degrees of freedom, p = 0.001


@pytest.mark.parametrize(
    ("name", "settings"),
    [("causal_lm", {}), ("fill_in_the_middle", {"rate": 0.9}), ("next_sentence", {}), ("bart", {}), ("multi_token", {"depth": 2})],
)
def test_a_mix_of_one_is_that_one(name: str, settings: dict[str, Any]) -> None:
    mix = Multitask(weights={name: 3}, parts={name: settings})
    (part,) = mix.objectives.values()
    ours, alone = batches(mix), batches(part)
    assert (mix.architectures, mix.special_tokens, mix.spans(LENGTH)) == (part.architectures, part.special_tokens, part.spans(LENGTH))
    one, other = ours.batch(0, BATCH), alone.batch(0, BATCH)
    assert one.pop(PART).tolist() == [0] * BATCH and set(one) == set(other)
    for key, value in one.items():
        assert torch.equal(value, other[key]) and value.dtype == other[key].dtype, key
    nats = torch.rand(other["labels"].shape)
    assert mix.loss(nats, ours.batch(0, BATCH)) == part.loss(nats, other)


def alone(mix: Multitask, number: int) -> tuple[Any, dict[str, torch.Tensor]]:
    """The part that a sequence is of, and its example as the part alone makes it: a batch of one."""
    data = batches(mix)
    random = np.random.default_rng([SEED, 1, number, 0])
    chance = random.spawn(1)[0]
    weights = np.array([*mix.weights.values()], dtype=float)
    part = [*mix.objectives.values()][chance.choice(len(weights), p=weights / weights.sum())]
    spans = []
    for span, length in zip(data.texts.spans(number), part.spans(LENGTH), strict=False):
        start = chance.integers(0, len(span) - length + 1)
        spans.append(span[start : start + length])
    example = part.example(Passage(tuple(spans), LENGTH, data.vocabulary, random))
    return part, {name: torch.from_numpy(np.array(value)[None]) for name, value in example.items()}


def sums(rank: int) -> dict[str, Any]:
    """Of each mix, the loss of a batch, and the same sequence by sequence with each part alone; with the gradient's norm."""
    from modelwright_plugins.engine import model
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.engine.trainer import how

    found, parts = {}, built_in()
    joined(rank, 1)
    with started(parts["parallel"], seed=SEED):
        for name, (mix, architecture) in MIXES.items():
            data = batches(mix)
            chunk = model.build(architecture, **how(parts), vocab_size=data.vocabulary.size, sequence_length=LENGTH)[0]
            model.initialise([chunk], architecture, seed=SEED, vocab_size=data.vocabulary.size)

            def asked(objective: Any, inputs: dict[str, torch.Tensor], chunk: Any = chunk) -> Any:
                given = {name: value for name, value in inputs.items() if not name.startswith("loss_")}
                return objective.loss(chunk(**given), inputs)

            def norm(chunk: Any = chunk) -> float:
                grads = [parameter.grad for parameter in chunk.parameters() if parameter.grad is not None]
                total = sum(grad.double().square().sum().item() for grad in grads) ** 0.5
                chunk.zero_grad()
                return total

            total, count = asked(mix, inputs := data.batch(0, 12))
            total.backward()
            together = (total.item(), count.item(), norm())
            slow, slow_count = 0.0, 0
            for number in range(12):
                total, count = asked(*alone(mix, number))
                total.backward()
                slow, slow_count = slow + total.item(), slow_count + count.item()
            found[name] = together, (slow, slow_count, norm()), sorted(set(inputs[PART].tolist()))
    return found


@pytest.mark.slow
def test_the_loss_is_the_sum_of_the_parts_each_alone(tmp_path: Path) -> None:
    (found,) = on_ranks(sums, 1, tmp_path)
    assert set(found) == set(MIXES)
    for name, (together, slowly, drawn) in found.items():
        assert drawn == list(range(len(MIXES[name][0].weights))), name  # each has a sequence among them
        assert together == pytest.approx(slowly, rel=1e-5), name


LAYOUTS: dict[str, dict[str, Any]] = {
    "tensor 2, sequence": {"tensor": 2, "sequence": True},
    "pipeline 2": {"pipeline": 2},
    "context 2": {"context": 2},
    "data 2": {"data": 2, "distributed_optimizer": True},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(MIXES))
def test_every_layout_learns_what_one_rank_learns(tmp_path: Path, name: str) -> None:
    mix, architecture = MIXES[name]
    # with Adam a gradient of hardly more than rounding is a whole step
    parts = {"objective": mix, "architecture": architecture, "optimizer": SGD(lr=0.3)}
    cases = [Case(parts={**parts, "parallel": Megatron(**layout)}, steps=6) for layout in [{}, *LAYOUTS.values()]]
    one, *others = losses([*cases, Case(parts=parts, steps=6, micro_batch=1)], tmp_path, ranks=2)
    assert len({*one}) == 6  # the loss of a batch depends on which parts are in it
    for layout, other in zip([*LAYOUTS, "micro-batches of 1"], others, strict=True):
        assert other == pytest.approx(one, rel=1e-5), layout


def test_what_a_part_lacks_is_filled_in() -> None:
    mix, _ = MIXES["encoder"]
    found = [mix.example(passage(mix, [np.arange(1, 33), np.arange(101, 130)], 32, seed)) for seed in range(20)]
    masked = [each for each in found if each[PART] == 0]
    assert 0 < len(masked) < 20
    for each in masked:
        assert (each["pair_labels"] == -1).all() and not each["tokentype_ids"].any() and not each["loss_weights"].any()


def test_a_shorter_decoder_is_padded() -> None:
    mix, lengths = MIXES["encoder-decoder"][0], set()
    for seed in range(12):
        found = mix.example(passage(mix, [np.arange(1, mix.spans(32)[0] + 1)], 32, seed))
        lengths.add(tuple(len(found[name]) for name in ("decoder_input_ids", "labels", "decoder_attention_mask", "cross_attention_mask")))
        two_sides(found)  # which checks all masks
    assert lengths == {(32, 32, 32, 32)}


def test_a_part_with_fewer_labels_a_position_finds_its_own() -> None:
    mix = Multitask(weights={"causal_lm": 1, "multi_token": 1}, parts={"multi_token": {"depth": 2, "weight": 0.5}})
    found = [mix.example(passage(mix, [np.arange(1, 34)], 32, seed)) for seed in range(20)]
    inputs = {name: torch.from_numpy(np.stack([each[name] for each in found])) for name in found[0]}
    assert inputs["labels"].shape == (20, 32, 3) and set(inputs[COLUMNS].tolist()) == {0, 3}
    assert (inputs["labels"][inputs[PART] == 0][..., 1:] == -1).all()
    nats = torch.rand(20, 32, 3, dtype=torch.float64)
    total, count = mix.loss(nats, inputs)
    further = nats[..., 1:][(inputs["labels"][..., 1:] >= 0) & (inputs[PART] == 1)[:, None, None]]
    assert total.item() == pytest.approx((nats[..., 0].sum() + 0.5 / 2 * further.sum()).item(), rel=1e-6)
    assert count == 20 * 32


def test_a_part_has_as_much_text_as_it_wants_from_anywhere() -> None:
    mix = Multitask(weights={"causal_lm": 1, "span_corruption": 1}, parts={"span_corruption": PREFIX["span_corruption"]})
    short = mix.objectives["span_corruption"].spans(64)[0]
    assert short < 65 == mix.spans(64)[0]
    starts = set()
    for seed in range(200):
        found = mix.example(passage(mix, [np.arange(1, 66)], 64, seed))
        if found[PART] == 0:
            assert found["input_ids"].tolist() == list(range(1, 65))
        else:
            starts.add(int(found["input_ids"][0]))
    assert starts == set(range(1, 65 - short + 2))


def test_parts_may_have_names_of_their_own_and_the_config_says_all() -> None:
    rates = {"half": 0.5, "all": 1.0}
    mix = Multitask(weights={"half": 1, "all": 1}, parts={name: {"name": "fill_in_the_middle", "rate": rates[name]} for name in rates})
    assert mix.parts == {name: {"name": "fill_in_the_middle", "rate": rates[name], "spm": 0.5} for name in rates}
    assert Multitask(weights=mix.weights, parts=mix.parts) == mix
    assert Multitask(weights={"causal_lm": 1}).parts == {"causal_lm": {"name": "causal_lm"}}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"weights": {}}, "weights is empty"),
        ({"weights": {"causal_lm": 0}}, "weights.causal_lm is 0; it is a number above 0"),
        ({"weights": {"causl_lm": 1}}, "weights.causl_lm: no objective named 'causl_lm'; did you mean 'causal_lm'"),
        (
            {"weights": {"causal_lm": 1}, "parts": {"causal": {}}},
            "parts.causal: weights has no part of that name; did you mean 'causal_lm'",
        ),
        (
            {"weights": {"fill_in_the_middle": 1}, "parts": {"fill_in_the_middle": {"rat": 1}}},
            "parts.fill_in_the_middle.rat: there is no such parameter; did you mean 'rate'",
        ),
        ({"weights": {"bart": 1}, "parts": {"bart": {"mask_rate": 30}}}, "parts.bart: mask_rate is 30"),
        ({"weights": {"multitask": 1}}, "Multitask is no part of Multitask"),
    ],
)
def test_wrong_settings_are_told(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Multitask(**fields)


def test_what_can_not_be_mixed_is_refused_before_it_runs(tmp_path: Path) -> None:
    assert [mix.problems(architecture) for mix, architecture in MIXES.values()] == [[]] * len(MIXES)
    (told,) = Multitask(weights={"causal_lm": 1, "masked_lm": 1}).problems(CausalDecoder())
    assert told.endswith(
        "no architecture can be trained by all its parts: causal_lm trains decoder or prefix_decoder; masked_lm trains encoder"
    )
    told = " ".join(MIXES["decoder"][0].problems(Encoder()))
    assert "objective.parts.causal_lm: objective.CausalLM trains decoder or prefix_decoder, and architecture Encoder is of" in told
    (told,) = MIXES["decoder"][0].problems(CausalDecoder())
    assert told == "objective.parts.multi_token: objective.MultiToken needs architecture.mtp_layers=1, and it is 0"
    (told,) = Multitask(weights={"causal_lm": 1, "span_corruption": 1}).problems(PrefixDecoder())
    assert told.endswith("is of the family prefix_decoder; take objective.parts.span_corruption.family=prefix_decoder")
    taught = Multitask(weights={"causal_lm": 1, "distillation": 1}, parts={"distillation": {"teacher": str(tmp_path)}})
    assert any("distillation and causal_lm can't be mixed" in line for line in taught.problems(CausalDecoder()))
    two = {name: {"name": "distillation", "teacher": str(tmp_path / name)} for name in ("one", "other")}
    mix = Multitask(weights={"one": 1, "other": 1}, parts=two)
    assert any("one and other can't be mixed" in line for line in mix.problems(CausalDecoder()))


def test_inputs_that_a_part_can_not_do_without_are_told() -> None:
    mix = Multitask(weights={"masked_lm": 1, "next_sentence": 1})
    with pytest.raises(ModelwrightError, match="next_sentence gives the model"), pytest.MonkeyPatch.context() as patch:
        patch.setattr("modelwright_plugins.objective.sentence_pairs.Pairs.neutral", {})
        mix.example(passage(mix, [np.arange(1, 33), np.arange(101, 130)], 32))
