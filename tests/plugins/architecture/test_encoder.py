"""BERT: both heads as Hugging Face's model, the same losses in every layout."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from modelwright_plugins.architecture.encoder import Encoder
from modelwright_plugins.conformance.training import VOCABULARY, Case, losses
from modelwright_plugins.objective import Example, Objective, Passage
from modelwright_plugins.optimizer.adam import AdamW
from modelwright_plugins.parallel.megatron import Megatron

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from ranks import joined, on_ranks

LENGTH, BATCH = 24, 3
SMALL: dict[str, Any] = {"layers": 2, "width": 32, "heads": 4, "feed_forward": 48, "initializer_std": 0.2}


def built(architecture: Any) -> Any:
    """One rank's module in evaluation; what starts at 0 or 1 is moved, as it must not hide a mistake."""
    import torch

    from modelwright_plugins.attention.cores import Native
    from modelwright_plugins.engine import model
    from modelwright_plugins.kernel.local import Torch
    from modelwright_plugins.precision.floats import FP32

    parts = {"parallel": Megatron(), "precision": FP32(), "kernel": Torch(), "attention": Native()}
    (module,) = model.build(architecture, vocab_size=VOCABULARY, sequence_length=LENGTH, **parts)
    model.initialise([module], architecture, seed=1, vocab_size=VOCABULARY)
    random = torch.Generator().manual_seed(2)
    for parameter in module.parameters():
        if parameter.dim() == 1:
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=random)
    return module.eval()


def layers_of_theirs(ours: dict[str, Any], a: Any, of: str, to: str) -> dict[str, Any]:
    """The weights of BERT's layers under Hugging Face's names."""
    theirs, head = {}, a.width // a.heads
    for part in ("weight", "bias"):
        for i in range(a.layers):
            mine, other = f"{of}layers.{i}.", f"{to}layer.{i}."
            qkv = ours[f"{mine}self_attention.linear_qkv.{part}"]
            qkv = qkv.view(a.heads, 3, head, *qkv.shape[1:])
            for place, name in enumerate(("query", "key", "value")):
                theirs[f"{other}attention.self.{name}.{part}"] = qkv[:, place].flatten(0, 1)
            theirs[f"{other}attention.output.dense.{part}"] = ours[f"{mine}self_attention.linear_proj.{part}"]
            theirs[f"{other}attention.output.LayerNorm.{part}"] = ours[f"{mine}post_attention_norm.{part}"]
            theirs[f"{other}intermediate.dense.{part}"] = ours[f"{mine}mlp.linear_fc1.{part}"]
            theirs[f"{other}output.dense.{part}"] = ours[f"{mine}mlp.linear_fc2.{part}"]
            theirs[f"{other}output.LayerNorm.{part}"] = ours[f"{mine}post_mlp_norm.{part}"]
    return theirs


def hugging_face(bert: Any, a: Encoder) -> Any:
    from transformers import BertConfig, BertForPreTraining

    ours = bert.state_dict()
    config = BertConfig(
        vocab_size=VOCABULARY, hidden_size=a.width, num_hidden_layers=a.layers, num_attention_heads=a.heads,
        intermediate_size=a.feed_forward_size, max_position_embeddings=LENGTH, attn_implementation="eager",
    )  # fmt: skip
    theirs = layers_of_theirs(ours, a, "encoder.", "bert.encoder.")
    for name, to in (("word", "word"), ("position", "position"), ("tokentype", "token_type")):
        theirs[f"bert.embeddings.{to}_embeddings.weight"] = ours[f"embedding.{name}_embeddings.weight"]
    heads = {
        "bert.embeddings.LayerNorm.": "embedding.norm.",
        "bert.pooler.dense.": "pooler.",
        "cls.seq_relationship.": "pair_head.",
        "cls.predictions.transform.dense.": "masked_head.dense.",
        "cls.predictions.transform.LayerNorm.": "masked_head.norm.",
    }
    theirs |= {to + part: ours[of + part] for to, of in heads.items() for part in ("weight", "bias")}
    theirs["cls.predictions.decoder.weight"] = ours["embedding.word_embeddings.weight"]
    theirs["cls.predictions.decoder.bias"] = theirs["cls.predictions.bias"] = ours["output_layer.bias"]
    model = BertForPreTraining(config).eval()
    model.load_state_dict(theirs, strict=True)
    return model


def compare(rank: int) -> dict[str, float]:
    """Largest differences from Hugging Face's logits and losses."""
    import torch
    import torch.nn.functional as F

    from modelwright_plugins.engine.start import started

    joined(rank, 1)
    random = torch.Generator().manual_seed(3)
    tokens, labels = (torch.randint(0, VOCABULARY, (BATCH, LENGTH), generator=random) for _ in range(2))
    real, own = torch.tensor([[LENGTH], [LENGTH - 5], [LENGTH - 9]]), torch.arange(LENGTH).expand(BATCH, -1)
    seen = own < real  # the rest is padding
    visible = torch.stack([torch.where(seen, 0, own), torch.where(seen, real, own + 1)], -1)
    kinds, pairs = (own > 10).long(), torch.full((BATCH, LENGTH), -1)
    pairs[:, 0] = torch.tensor([0, 1, 1])
    with started(Megatron(), seed=0), torch.no_grad():
        architecture = Encoder(**SMALL)
        bert = built(architecture)
        theirs = hugging_face(bert, architecture)(input_ids=tokens, attention_mask=seen.long(), token_type_ids=kinds)
        ours = bert(tokens, own, visible, kinds)
        nats = bert(tokens, own, visible, kinds, labels, pairs)
        expected = F.cross_entropy(theirs.prediction_logits.transpose(1, 2), labels, reduction="none")
        expected[:, 0] = F.cross_entropy(theirs.seq_relationship_logits, pairs[:, 0], reduction="none")
        plain = hugging_face(bert, architecture)(input_ids=tokens).prediction_logits
        return {
            "logits": (ours - theirs.prediction_logits)[seen].abs().max().item(),
            "nats": (nats - expected)[seen].abs().max().item(),
            "defaults": (bert(tokens) - plain).abs().max().item(),
            "scale": theirs.prediction_logits.std().item(),
        }


def test_both_heads_are_hugging_faces(tmp_path: Path) -> None:
    found = on_ranks(compare, 1, tmp_path, groups=1)[0]
    assert found.pop("scale") > 0.5
    assert max(found.values()) < 1e-5, found


@dataclass(frozen=True, kw_only=True)
class EveryThird(Objective):
    """Every third token is hidden, all are told; the pair's class is whether the first is odd."""

    architectures: ClassVar[tuple[str, ...]] = ("encoder",)

    def example(self, passage: Passage) -> Example:
        import numpy as np

        text = passage.tokens[: passage.length]
        place = np.arange(passage.length)
        pair = np.where(place == 0, text[0] % 2, -1)
        hidden = place % 3 == 1
        return {
            "input_ids": np.where(hidden, 0, text),
            "tokentype_ids": place % 2,
            "labels": text,
            "pair_labels": pair,
        }

    def loss(self, output: Any, inputs: Any) -> Any:
        targets = (inputs["labels"] >= 0) | (inputs["pair_labels"] >= 0)
        return (output * targets).sum(), targets.sum().int()


@pytest.mark.slow
@pytest.mark.parametrize("fields", [{}, {"norm_placement": "pre", "embedding_width": 16, "tied_embeddings": False}], ids=["post", "pre"])
def test_every_layout_learns_what_one_rank_learns(fields: dict[str, Any], tmp_path: Path) -> None:
    layouts = [
        Megatron(),
        Megatron(tensor=2),
        Megatron(tensor=2, sequence=True),
        Megatron(pipeline=2),
        Megatron(context=2),
        Megatron(recompute="full"),
    ]
    architecture = Encoder(**{**SMALL, "initializer_std": 0.05}, **fields)
    parts = {"architecture": architecture, "objective": EveryThird(), "optimizer": AdamW(lr=1e-2)}
    one, *others = losses([Case(parts={**parts, "parallel": layout}, steps=12) for layout in layouts], tmp_path, ranks=2)
    assert min(one) < one[0] - 0.02
    for layout, other in zip(layouts[1:], others, strict=True):
        assert other == pytest.approx(one, abs=1e-5), layout


def test_bad_shapes_are_told() -> None:
    with pytest.raises(ValueError, match="width 10 is not a multiple of heads 4"):
        Encoder(width=10, heads=4)
    with pytest.raises(ValueError, match="token_types is -1; it is 0 or more"):
        Encoder(token_types=-1)
