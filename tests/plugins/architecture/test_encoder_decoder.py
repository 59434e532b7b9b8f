"""T5: logits of Hugging Face's model, its published sizes, the same losses in every layout."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from modelwright_plugins.architecture.encoder_decoder import EncoderDecoder
from modelwright_plugins.conformance.training import VOCABULARY, Case, losses
from modelwright_plugins.objective import Example, Objective, Passage
from modelwright_plugins.parallel.megatron import Megatron

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from ranks import joined, on_ranks

LENGTH, TARGETS, BATCH = 24, 150, 3  # more targets than `relative_distance`
SMALL: dict[str, Any] = {"encoder_layers": 2, "decoder_layers": 3, "width": 32, "heads": 4, "head_dim": 16, "feed_forward": 48}
V1_1: dict[str, Any] = {"activation": "geglu", "tied_embeddings": False}


def built(architecture: Any, **how: Any) -> Any:
    """One rank's module with initial weights, in evaluation."""
    from modelwright_plugins.attention.cores import Native
    from modelwright_plugins.engine import model
    from modelwright_plugins.kernel.local import Torch
    from modelwright_plugins.precision.floats import FP32

    parts = {"parallel": Megatron(), "precision": FP32(), "kernel": Torch(), "attention": Native(), **how}
    (module,) = model.build(architecture, vocab_size=VOCABULARY, sequence_length=LENGTH, **parts)
    model.initialise([module], architecture, seed=1, vocab_size=VOCABULARY)
    return module.eval()


def hugging_face(t5: Any, architecture: EncoderDecoder) -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    ours, a = t5.state_dict(), architecture
    config = T5Config(  # it always ties, and takes the flag for whether outputs are divided
        vocab_size=VOCABULARY, d_model=a.width, d_kv=a.head_size, d_ff=a.feed_forward_size, num_layers=a.encoder_layers,
        num_decoder_layers=a.decoder_layers, num_heads=a.heads, tie_word_embeddings=a.tied_embeddings, attn_implementation="eager",
        feed_forward_proj="relu" if a.activation == "relu" else "gated-gelu",
    )  # fmt: skip
    config.tie_word_embeddings = a.tied_embeddings
    words = ours["embedding.word_embeddings.weight"]
    theirs = dict.fromkeys(("shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"), words)
    theirs["lm_head.weight"] = words if a.tied_embeddings else ours["output_layer.weight"]
    for side, layers in (("encoder", a.encoder_layers), ("decoder", a.decoder_layers)):
        theirs[f"{side}.final_layer_norm.weight"] = ours[f"{side}.final_layernorm.weight"]
        theirs[f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"] = ours[f"{side}_relative.weight"]
        for i in range(layers):
            of, to = f"{side}.layers.{i}.", f"{side}.block.{i}.layer."
            qkv = ours[of + "self_attention.linear_qkv.weight"].view(a.heads, 3, a.head_size, a.width)
            for place, letter in enumerate("qkv"):
                theirs[f"{to}0.SelfAttention.{letter}.weight"] = qkv[:, place].reshape(-1, a.width)
            theirs[to + "0.SelfAttention.o.weight"] = ours[of + "self_attention.linear_proj.weight"]
            theirs[to + "0.layer_norm.weight"] = ours[of + "input_layernorm.weight"]
            last = 1
            if side == "decoder":
                last = 2
                kv = ours[of + "cross_attention.linear_kv.weight"].view(a.heads, 2, a.head_size, a.width)
                theirs[to + "1.EncDecAttention.q.weight"] = ours[of + "cross_attention.linear_q.weight"]
                theirs[to + "1.EncDecAttention.k.weight"] = kv[:, 0].reshape(-1, a.width)
                theirs[to + "1.EncDecAttention.v.weight"] = kv[:, 1].reshape(-1, a.width)
                theirs[to + "1.EncDecAttention.o.weight"] = ours[of + "cross_attention.linear_proj.weight"]
                theirs[to + "1.layer_norm.weight"] = ours[of + "pre_cross_attn_layernorm.weight"]
            theirs[f"{to}{last}.layer_norm.weight"] = ours[of + "pre_mlp_layernorm.weight"]
            dense = f"{to}{last}.DenseReluDense."
            fc1 = ours[of + "mlp.linear_fc1.weight"]
            if a.activation == "relu":
                theirs[dense + "wi.weight"] = fc1
            else:
                theirs[dense + "wi_0.weight"], theirs[dense + "wi_1.weight"] = fc1.chunk(2)
            theirs[dense + "wo.weight"] = ours[of + "mlp.linear_fc2.weight"]
    model = T5ForConditionalGeneration(config).eval()
    model.load_state_dict(theirs, strict=True)
    return model


def compare(rank: int) -> dict[str, dict[str, float]]:
    """Largest differences from Hugging Face's logits and losses, of either version."""
    import torch
    import torch.nn.functional as F

    from modelwright_plugins.attention.cores import Reference
    from modelwright_plugins.engine.start import started

    joined(rank, 1)
    random = torch.Generator().manual_seed(3)
    encoder, decoder, labels = (torch.randint(0, VOCABULARY, (BATCH, n), generator=random) for n in (LENGTH, TARGETS, TARGETS))
    real = torch.tensor([LENGTH, LENGTH - 5, LENGTH - 9])  # the rest is padding
    padding = torch.arange(LENGTH) < real[:, None]
    own = torch.arange(LENGTH).expand(BATCH, -1)
    visible = torch.stack([torch.where(padding, 0, own), torch.where(padding, real[:, None], own + 1)], -1)
    cross = torch.stack([torch.zeros(BATCH, dtype=torch.int64), real], -1)[:, None].expand(-1, TARGETS, -1)
    found: dict[str, dict[str, float]] = {}
    with started(Megatron(), seed=0), torch.no_grad():
        for name, fields, how in (("v1.0", {}, {}), ("v1.1", V1_1, {}), ("v1.1, the formula", V1_1, {"attention": Reference()})):
            architecture = EncoderDecoder(**SMALL, **fields)
            t5 = built(architecture, **how)
            for weight in (t5.encoder_relative.weight, t5.decoder_relative.weight):
                weight.mul_(20)  # what is small must not hide a mistake
            theirs = hugging_face(t5, architecture)(
                input_ids=encoder, decoder_input_ids=decoder, attention_mask=padding.long(), use_cache=False
            ).logits
            ours = t5(encoder, decoder, visible, None, cross)
            nats = t5(encoder, decoder, visible, None, cross, labels=labels)
            expected = F.cross_entropy(theirs.transpose(1, 2), labels, reduction="none")
            found[name] = {
                "logits": (ours - theirs).abs().max().item(),
                "nats": (nats - expected).abs().max().item(),
                "scale": theirs.std().item(),
            }
    return found


def test_logits_are_hugging_faces(tmp_path: Path) -> None:
    found = on_ranks(compare, 1, tmp_path, groups=1)[0]
    for name, each in found.items():
        assert each["scale"] > 0.5, name
        assert each["logits"] < 1e-5 * max(1.0, each["scale"]), (name, each)
        assert each["nats"] < 1e-5 * max(1.0, each["scale"]), (name, each)


@dataclass(frozen=True, kw_only=True)
class Echo(Objective):
    """The decoder says the first part of what the encoder reads."""

    architectures: ClassVar[tuple[str, ...]] = ("encoder_decoder",)

    def example(self, passage: Passage) -> Example:
        import numpy as np

        text = passage.tokens[: passage.length]
        labels = text[: passage.length // 2]
        return {"input_ids": text, "decoder_input_ids": np.concatenate([[0], labels[:-1]]), "labels": labels}

    def loss(self, output: Any, inputs: Any) -> Any:
        from modelwright_plugins.objective._targets import sum_over_targets

        return sum_over_targets(output, inputs["labels"])


@pytest.mark.slow
@pytest.mark.parametrize("fields", [{}, V1_1], ids=["v1.0", "v1.1"])
def test_every_layout_learns_what_one_rank_learns(fields: dict[str, Any], tmp_path: Path) -> None:
    architecture = EncoderDecoder(**{**SMALL, "decoder_layers": 2}, **fields)
    layouts = [
        Megatron(),
        Megatron(tensor=2),
        Megatron(tensor=2, sequence=True),
        Megatron(pipeline=2),
        Megatron(pipeline=2, first_stage_layers=3),  # the stage's border is within the decoder
        Megatron(pipeline=2, virtual=2),
        Megatron(context=2),
        Megatron(data=2, distributed_optimizer=True),
        Megatron(recompute="full"),
        Megatron(recompute="selective"),
    ]
    parts = {"architecture": architecture, "objective": Echo()}
    one, *others = losses([Case(parts={**parts, "parallel": layout}, steps=4) for layout in layouts], tmp_path, ranks=2)
    assert one[-1] < one[0] - 0.1
    for layout, other in zip(layouts[1:], others, strict=True):
        assert other == pytest.approx(one, abs=1e-5), layout


def sizes_of(rank: int, cases: list[dict[str, Any]]) -> list[int]:
    from modelwright_plugins.attention.cores import Native
    from modelwright_plugins.engine.forecast import sizes
    from modelwright_plugins.kernel.local import Torch
    from modelwright_plugins.precision.floats import BF16

    options = {"precision": BF16(), "kernel": Torch(), "attention": Native(), "vocab_size": 32_128, "sequence_length": 64}
    return [sum(sizes(EncoderDecoder(**case), Megatron(), 0, **options).values()) for case in cases]


def test_bad_shapes_are_told() -> None:
    with pytest.raises(ValueError, match="decoder_layers is 0; it is 1 or more"):
        EncoderDecoder(decoder_layers=0)
    with pytest.raises(ValueError, match="relative_distance is 16; it is more than half of relative_buckets"):
        EncoderDecoder(relative_distance=16)
