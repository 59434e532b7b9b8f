"""DoReMi's steps against the paper's formulas worked out token by token, and the weights it finds where the truth is planted."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted_domains import END, VOCABULARY, chain, documents, material, noise, repeats

from modelwright.compose import composed
from modelwright.errors import ModelwrightError
from modelwright_plugins.conformance.ranks import on_ranks
from modelwright_plugins.mixture import Material
from modelwright_plugins.mixture.doremi import DoReMi

SMALL = {"name": "causal_decoder", "layers": 2, "width": 32, "heads": 4}


def searches(rank: int, settings: Mapping[str, Any], given: list[Material]) -> list[dict[str, float]]:
    return [dict(DoReMi(**settings).weigh(each)) for each in given]


def slow(
    nats: dict[str, list[list[float]]], domains: list[int], before: list[float], eta: float, c: float
) -> tuple[list[float], list[float]]:
    """(λ, α) of Algorithm 1, from each sequence's losses, sum by sum and token by token."""
    k, excess = len(before), []
    for i in range(k):
        mine = [row for row, domain in enumerate(domains) if domain == i]
        total = sum(max(p - r, 0.0) for row in mine for p, r in zip(nats["proxy"][row], nats["reference"][row], strict=True))
        excess.append(total / sum(len(nats["proxy"][row]) for row in mine))
    grown = [a * math.exp(eta * each) for a, each in zip(before, excess, strict=True)]
    return excess, [(1 - c) * each / sum(grown) + c / k for each in grown]


def updates(rank: int, given: Material, eta: float, c: float) -> list[dict[str, Any]]:
    """Of each of three updates: what the engine made of it, and what the formulas do with the same models' logits in float64."""
    import dataclasses

    import torch

    from modelwright_plugins.engine.start import started
    from modelwright_plugins.mixture._doremi import Round
    from modelwright_plugins.mixture._robust import DomainRobust, Excess
    from modelwright_plugins.objective.causal_lm import CausalLM
    from modelwright_plugins.parallel.megatron import Megatron

    # eight sequences of three domains, three at most a micro-batch, which hold different domains; a gradient that nothing clips
    found = []
    settings = DoReMi(proxy=SMALL, optimizer={"name": "sgd", "lr": 0.5}, steps=3, sequence_length=16, global_batch=8, micro_batch=4)
    with started(Megatron(), seed=1):
        mine = Round(settings, given, 0)
        reference = mine.trainer(CausalLM(), np.array([0.2, 0.5, 0.3]), 0, clip=0.0)
        for _ in reference.updates():
            pass
        trainer = mine.trainer(DomainRobust(), np.full(3, 1 / 3), 1, clip=0.0)
        model, other = trainer.chunks[0].module, reference.chunks[0].module
        excess = Excess([other], model, 16, 3, step_size=eta, smoothing=c)
        trainer = dataclasses.replace(trainer, reference=excess)
        running, before = trainer.updates(), [1 / 3] * 3
        parameters = {name: one for name, one in model.named_parameters() if one.requires_grad}
        for step in range(3):
            rows = trainer.batches.batch(8 * step, 8)
            domains = rows["loss_domain"].tolist()
            nats = {}
            for name, one in (("proxy", model), ("reference", other)):
                logits = one(rows["input_ids"], rows["position_ids"], rows["attention_mask"]).double()
                nats[name] = -logits.log_softmax(-1).gather(-1, rows["labels"][..., None])[..., 0]
            told = {name: values.tolist() for name, values in nats.items()}
            wanted_excess, before = slow(told, domains, before, eta, c)
            means = [torch.cat([nats["proxy"][row] for row in range(8) if domains[row] == i]).mean() for i in range(3)]
            loss = sum(a * mean for a, mean in zip(before, means, strict=True))
            wanted = dict(zip(parameters, torch.autograd.grad(loss, list(parameters.values())), strict=True))
            metrics = next(running)
            found.append(
                {
                    "domains": domains,
                    "excess": (excess.steps.excess[-1].tolist(), wanted_excess),
                    "weights": (excess.steps.weights[-1].tolist(), before),
                    "loss": (metrics["loss"], float(loss)),
                    "gradient": {name: (one.main_grad.numpy().copy(), wanted[name].numpy()) for name, one in parameters.items()},
                }
            )
    return found


def test_a_step_is_the_papers(tmp_path: Path) -> None:
    domains = {"noise": documents(noise, 0, 5), "repeats": documents(repeats, 1, 3), "chain": documents(chain, 2, 4, 30)}
    for step in on_ranks(updates, 1, tmp_path / "ranks", given=material(tmp_path / "given", domains), eta=1.5, c=0.01)[0]:
        counts = [step["domains"].count(domain) for domain in range(3)]
        assert sorted(counts) == [2, 3, 3]  # so that a mean over domains is none over tokens
        for name in ("excess", "weights", "loss"):
            ours, wanted = step[name]
            assert ours == pytest.approx(wanted, rel=2e-5), name
        assert max(step["weights"][1]) - min(step["weights"][1]) > 0.01
        for name, (ours, wanted) in step["gradient"].items():
            assert np.abs(wanted).max() > 0
            np.testing.assert_allclose(ours, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max(), err_msg=name)


@pytest.mark.slow
def test_what_is_learnable_and_hard_gets_the_weight(tmp_path: Path) -> None:
    domains = {"noise": documents(noise, 0, 700), "repeats": documents(repeats, 1, 100), "chain": documents(chain, 2, 200)}
    given = material(tmp_path / "given", domains)
    settings = {"proxy": SMALL, "steps": 200, "sequence_length": 64, "global_batch": 12, "micro_batch": 12, "step_size": 0.3}
    found = on_ranks(searches, 1, tmp_path / "ranks", settings=settings, given=[given])[0][0]
    assert list(found) == ["noise", "repeats", "chain"]
    assert sum(found.values()) == pytest.approx(1, abs=1e-12)
    assert min(found.values()) >= 1e-3 / 3
    assert found["chain"] > 0.5  # of the reference's text it is a fifth
    assert found["noise"] < 0.2  # and this seven tenths

    told = json.loads((given.work / "doremi.json").read_text())
    assert told["settings"]["proxy"]["width"] == 32 and told["settings"]["optimizer"]["betas"] == [0.9, 0.95]
    (only,) = told["rounds"]
    assert only["reference_weights"] == pytest.approx({"noise": 0.7, "repeats": 0.1, "chain": 0.2})
    assert told["weights"] == only["weights"] == pytest.approx(found)
    assert only["steps"]["step"] == list(range(1, 201))
    assert np.mean(only["steps"]["weights"], 0) == pytest.approx(list(found.values()), rel=1e-5)
    assert only["reference_loss"]["noise"] == pytest.approx(math.log(32), abs=0.1)
    assert only["reference_loss"]["repeats"] < 0.2  # the first tokens of documents can't be known
    picture = (given.work / "doremi.svg").read_text()
    assert all(f"{name} {share:.3f} (reference" in picture for name, share in found.items())


@pytest.mark.slow
def test_domains_alike_stay_uniform_and_twice_is_the_same(tmp_path: Path) -> None:
    domains = {name: documents(chain, seed, 100) for seed, name in enumerate("abc")}
    given = [material(tmp_path / name, domains, seed) for name, seed in (("one", 5), ("again", 5), ("other", 6))]
    settings = {"proxy": SMALL, "steps": 50, "sequence_length": 64, "global_batch": 12, "micro_batch": 12, "step_size": 0.1}
    one, again, other = on_ranks(searches, 1, tmp_path / "ranks", settings=settings, given=given)[0]
    assert one == again != other
    files = [(each.work / "doremi.json").read_bytes() for each in given]
    assert files[0] == files[1] != files[2]
    assert (given[0].work / "doremi.svg").read_bytes() == (given[1].work / "doremi.svg").read_bytes()
    for found in (one, other):
        assert list(found.values()) == pytest.approx([1 / 3] * 3, abs=0.05)


def drawn(rank: int, given: Material) -> list[list[int]]:
    """The domains of each of 20 batches of as many sequences as there are domains, one more, and twice as many."""
    from modelwright_plugins.engine.start import find_device
    from modelwright_plugins.mixture._domain_batches import DomainBatches
    from modelwright_plugins.objective.causal_lm import CausalLM
    from modelwright_plugins.tokenizer.vocabulary import Vocabulary

    find_device()
    shards, k = {name: domain.shard for name, domain in given.domains.items()}, len(given.domains)
    batches = DomainBatches.blended(shards, np.full(k, 1 / k), CausalLM(), Vocabulary(VOCABULARY, END), length=16, seed=3)
    return [batches.batch(number * size, size)["loss_domain"].tolist() for size in (k, k + 1, 2 * k) for number in range(20)]


def test_each_batch_has_all_domains_alike(tmp_path: Path) -> None:
    given = material(tmp_path / "given", {f"d{seed}": documents(noise, seed, 1 + seed % 3) for seed in range(7)})
    for domains in on_ranks(drawn, 1, tmp_path / "ranks", given=given)[0]:
        counts = [domains.count(domain) for domain in range(7)]
        assert min(counts) >= 1 and max(counts) - min(counts) <= 1


def test_a_domain_with_less_than_a_sequence_is_told(tmp_path: Path) -> None:
    given = material(tmp_path / "given", {"web": documents(noise, 0, 3), "code": documents(noise, 1, 1, 15)})
    with pytest.raises(RuntimeError, match="domain code: 16 tokens make no sequence of 16; take a smaller mixture"):
        on_ranks(drawn, 1, tmp_path / "ranks", given=given)


def some_rounds(rank: int, settings: Mapping[str, Any], given: Material) -> dict[str, float]:
    return dict(DoReMi(**settings).weigh(given))


@pytest.mark.slow
def test_rounds_begin_with_the_weights_before(tmp_path: Path) -> None:
    domains = {"noise": documents(noise, 0, 20), "repeats": documents(repeats, 1, 20)}
    settings: dict[str, Any] = {"proxy": SMALL, "steps": 4, "sequence_length": 16, "global_batch": 4, "micro_batch": 2, "rounds": 3}
    settings["reference_weights"] = {"repeats": 1, "noise": 3}
    found, told = {}, {}
    same = {"rounds": 1, "micro_batch": 4}
    for name, changes in (("moves", {}), ("still", {"smoothing": 1.0, "reference_weights": None}), ("whole batches", same)):
        given = material(tmp_path / name, domains)
        found[name] = on_ranks(some_rounds, 1, tmp_path / "ranks" / name, settings={**settings, **changes}, given=given)[0]
        told[name] = json.loads((given.work / "doremi.json").read_text())["rounds"]
    assert told["moves"][0]["reference_weights"] == pytest.approx({"noise": 0.75, "repeats": 0.25})
    assert len(told["moves"]) == 3
    for before, after in pairwise(told["moves"]):
        assert after["reference_weights"] == pytest.approx(before["weights"])
    assert told["whole batches"][0]["weights"] == pytest.approx(told["moves"][0]["weights"], rel=1e-5)
    assert len(told["still"]) == 1  # smoothed to what it began with
    assert found["still"] == pytest.approx({"noise": 0.5, "repeats": 0.5})


BAD = [
    ({"steps": 0}, "steps is 0; it is 1 or more"),
    ({"rounds": 0}, "rounds is 0; it is 1 or more"),
    ({"micro_batch": 5}, "micro_batch is 5; it divides global_batch=32"),
    ({"step_size": 0.0}, "step_size is 0.0; it is a number above 0"),
    ({"smoothing": 0.0}, "smoothing is 0.0; it is above 0 and up to 1"),
    ({"reference_weights": {"web": 0.0}}, "reference_weights.web is 0.0; it is a number above 0"),
    ({"proxy": {"name": "causal_decoder", "layrs": 2}}, "proxy.layrs: there is no such parameter; did you mean 'layers'?"),
    ({"proxy": {"name": "encoder"}}, "proxy is Encoder; it is of the family decoder, such as {name: causal_decoder}"),
    ({"proxy": {"name": "causal_decoder", "positions": 8}}, "sequence_length is 256; proxy.positions=8 are fewer"),
    ({"optimizer": {"name": "adamw", "lr": -1.0}}, "optimizer: lr is -1.0"),
    ({"optimizer": {"name": "adamv"}}, "optimizer: "),
]


@pytest.mark.parametrize(("fields", "words"), BAD, ids=[" ".join(fields) for fields, _ in BAD])
def test_bad_values(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(words)}"):
        DoReMi(**fields)


def test_domains_by_other_names(tmp_path: Path) -> None:
    given = material(tmp_path, {"web": documents(noise, 0, 1), "code": documents(noise, 1, 3)})
    assert DoReMi().first_weights(given) == {"web": 0.25, "code": 0.75}
    assert list(DoReMi(reference_weights={"code": 1, "web": 4}).first_weights(given).items()) == [("web", 0.8), ("code", 0.2)]
    with pytest.raises(ModelwrightError, match=r"mixture\.reference_weights\.wbe: there is no domain of that name; did you mean 'web'\?"):
        DoReMi(reference_weights={"wbe": 1, "code": 1}).weigh(given)
    with pytest.raises(ModelwrightError, match=r"mixture\.reference_weights has no weight for domain 'code'"):
        DoReMi(reference_weights={"web": 1}).weigh(given)
    with pytest.raises(ModelwrightError, match=r"mixture\.global_batch=1 has no sequence for each of 2 domains"):
        DoReMi(global_batch=1, micro_batch=1).weigh(given)


def test_settings_of_the_proxy_are_set_like_any_others() -> None:
    """A field that is a dict has keys of its own; composing takes those that its default does not have."""
    found = composed(["mixture=doremi", "mixture.proxy.kv_heads=2", "mixture.optimizer={name: adamw, lr: 0.01, weight_decay: 0.0}"])[
        "mixture"
    ]
    assert found["proxy"]["kv_heads"] == 2 and found["proxy"]["layers"] == 4 and found["optimizer"]["weight_decay"] == 0
    with pytest.raises(ModelwrightError, match="kv_hads: there is no such parameter; did you mean 'kv_heads'"):
        composed(["mixture=doremi", "mixture.proxy.kv_hads=2"])
