"""ELECTRA: both models as Hugging Face's, sampling by statistics, the same losses in every layout."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from test_encoder import built, layers_of_theirs

from modelwright.assemble import assemble, problems
from modelwright.compose import composed
from modelwright.hooks import discover
from modelwright_plugins.architecture.electra import Electra
from modelwright_plugins.conformance.training import VOCABULARY, Case, losses
from modelwright_plugins.objective.replaced_tokens import ReplacedTokenDetection
from modelwright_plugins.optimizer.adam import AdamW
from modelwright_plugins.parallel.megatron import Megatron

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from ranks import joined, on_ranks

LENGTH, BATCH = 24, 3
SMALL: dict[str, Any] = {
    "layers": 2, "width": 32, "heads": 4, "feed_forward": 48, "embedding_width": 24, "generator_size": 0.5, "initializer_std": 0.2
}  # fmt: skip


def hugging_face(electra: Any, a: Electra) -> tuple[Any, Any]:
    """(generator, discriminator)"""
    from types import SimpleNamespace

    from transformers import ElectraConfig, ElectraForMaskedLM, ElectraForPreTraining

    ours, small, found = electra.state_dict(), a.generator, []
    shared = {}
    for name, to in (("word", "word"), ("position", "position"), ("tokentype", "token_type")):
        shared[f"electra.embeddings.{to}_embeddings.weight"] = ours[f"embedding.{name}_embeddings.weight"]
    shared |= {f"electra.embeddings.LayerNorm.{part}": ours[f"embedding.norm.{part}"] for part in ("weight", "bias")}
    sides = (
        ("generator.", "generator_widened.", small["width"], small["num_attention_heads"], small["ffn_hidden_size"], ElectraForMaskedLM),
        ("encoder.", "widened.", a.width, a.heads, a.feed_forward_size, ElectraForPreTraining),
    )
    for of, wide, width, heads, feed_forward, kind in sides:
        config = ElectraConfig(
            vocab_size=VOCABULARY, embedding_size=a.embedding_width, hidden_size=width, num_hidden_layers=a.layers,
            num_attention_heads=heads, intermediate_size=feed_forward, max_position_embeddings=LENGTH, attn_implementation="eager",
        )  # fmt: skip
        sizes = SimpleNamespace(layers=a.layers, width=width, heads=heads)
        theirs = shared | layers_of_theirs(ours, sizes, of, "electra.encoder.")
        names = {"electra.embeddings_project.": wide}
        if kind is ElectraForMaskedLM:
            names |= {"generator_predictions.dense.": "masked_head.dense.", "generator_predictions.LayerNorm.": "masked_head.norm."}
            theirs["generator_lm_head.weight"] = ours["embedding.word_embeddings.weight"]
            theirs["generator_lm_head.bias"] = ours["output_layer.bias"]
        else:
            names |= {"discriminator_predictions.dense.": "judge.", "discriminator_predictions.dense_prediction.": "verdict."}
        theirs |= {to + part: ours[mine + part] for to, mine in names.items() for part in ("weight", "bias")}
        model = kind(config).eval()
        model.load_state_dict(theirs, strict=True)
        found.append(model)
    return found[0], found[1]


def compare(rank: int) -> dict[str, float]:
    """Largest differences from Hugging Face's logits and losses; how far sampled tokens are from their distribution."""
    import torch
    import torch.nn.functional as F

    from modelwright_plugins.engine.start import started

    joined(rank, 1)
    random = torch.Generator().manual_seed(3)
    text = torch.randint(0, VOCABULARY, (BATCH, LENGTH), generator=random)
    targets, kinds = torch.arange(LENGTH).expand(BATCH, -1) % 4 == 1, (torch.arange(LENGTH).expand(BATCH, -1) > 9).long()
    given, chance = torch.where(targets, 0, text), torch.rand(BATCH, LENGTH, generator=random)
    labels = torch.stack([torch.where(targets, text, -1), text], -1)
    with started(Megatron(), seed=0), torch.no_grad():
        architecture = Electra(**SMALL)
        electra = built(architecture)
        generator, discriminator = hugging_face(electra, architecture)
        logits = generator(input_ids=given, token_type_ids=kinds).logits
        # the first token at which the cumulated probability exceeds the chance
        drawn = (logits.double().softmax(-1).cumsum(-1) <= chance.double()[..., None]).sum(-1)
        read = torch.where(targets, drawn, text)
        scores = discriminator(input_ids=read, token_type_ids=kinds).logits
        told = F.binary_cross_entropy_with_logits(scores, (read != text).float(), reduction="none")
        nats = electra(given, None, None, kinds, labels, chance)
        many = electra.sampled(logits[0, 1].log_softmax(-1).expand(20_000, -1), torch.rand(20_000, generator=random))
        share = torch.bincount(many, minlength=VOCABULARY) / 20_000
        p = logits[0, 1].softmax(-1)
        return {
            "generator": (nats[..., 0] - F.cross_entropy(logits.transpose(1, 2), text, reduction="none"))[targets].abs().max().item(),
            "discriminator": (nats[..., 1] - told).abs().max().item(),
            "scores": (electra(read, tokentype_ids=kinds) - scores).abs().max().item(),
            "sampled": (((share - p) ** 2) / (p * (1 - p) / 20_000)).max().item() ** 0.5,
            "replaced": (read != text)[targets].float().mean().item(),
        }


def test_both_models_are_hugging_faces(tmp_path: Path) -> None:
    found = on_ranks(compare, 1, tmp_path, groups=1)[0]
    assert found["replaced"] > 0.5
    assert max(found[name] for name in ("generator", "discriminator", "scores")) < 1e-5, found
    assert found["sampled"] < 4.5, found  # standard deviations, the most of 211


@pytest.mark.slow
def test_every_layout_learns_what_one_rank_learns(tmp_path: Path) -> None:
    layouts = [Megatron(), Megatron(tensor=2), Megatron(tensor=2, sequence=True), Megatron(data=2), Megatron(context=2)]
    architecture = Electra(**{**SMALL, "initializer_std": 0.05})
    parts = {"architecture": architecture, "objective": ReplacedTokenDetection(), "optimizer": AdamW(lr=3e-3)}
    one, *others = losses([Case(parts={**parts, "parallel": layout}, steps=6) for layout in layouts], tmp_path, ranks=2)
    assert one[-1] < one[0] - 1
    for layout, other in zip(layouts[1:], others, strict=True):
        assert other == pytest.approx(one, rel=1e-5), layout


def test_what_it_can_not_be_laid_out_as_is_told() -> None:
    assert Electra().problems(Megatron()) == []
    assert "wants 1, as its second model reads what the first made" in Electra().problems(Megatron(pipeline=2))[0]
    assert Electra(heads=4, width=256, generator_size=0.25).problems(Megatron(tensor=2)) == [
        "parallel.tensor=2 does not divide the generator's num_query_groups=1"
    ]


def test_bad_sizes_are_told() -> None:
    with pytest.raises(ValueError, match="generator_size is 0; it is above 0 and at most 1"):
        Electra(generator_size=0)
    with pytest.raises(ValueError, match="a generator of width 97 with 3 heads"):
        Electra(width=384, heads=12, generator_size=0.2526)


def test_plan_refuses_a_pipeline() -> None:
    words = ["architecture=electra", "objective=replaced_token_detection", "parallel.pipeline=2"]
    config = composed(["recipe=pretrain/quickstart", "stages=[curate,train_tokenizer,tokenize,train]", *words])
    assert any("pipeline" in line for line in problems(assemble(config, discover().registry), config))
