"""The same weights give the same logits as Hugging Face's models, and padding of the vocabulary is never seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ranks import joined, on_ranks

VOCAB, LENGTH, BATCH = 203, 24, 3  # odd: tensor parallelism pads it
LAYERS, WIDTH, HEADS = 2, 64, 4


def _model(layout: dict[str, Any], attention: str = "sdpa", **fields: Any) -> Any:
    import torch

    from modelwright_plugins.architecture.decoder import CausalDecoder
    from modelwright_plugins.attention.cores import Native, Reference
    from modelwright_plugins.engine import model
    from modelwright_plugins.kernel.local import Torch
    from modelwright_plugins.parallel.megatron import Megatron
    from modelwright_plugins.precision.floats import FP32

    architecture = CausalDecoder(layers=LAYERS, width=WIDTH, heads=HEADS, initializer_std=0.08, **fields)
    core = {"sdpa": Native(), "reference": Reference()}[attention]
    (gpt,) = model.build(
        architecture,
        parallel=Megatron(**layout),
        precision=FP32(),
        kernel=Torch(),
        attention=core,
        vocab_size=VOCAB,
        sequence_length=LENGTH,
    )
    model.initialise([gpt], architecture, seed=1, vocab_size=VOCAB)
    generator = torch.Generator().manual_seed(2)
    for parameter in gpt.parameters():  # what starts at 0 or 1 must not hide a mistake; the same on every rank
        if parameter.dim() == 1 and not layout:
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return gpt.eval()


def _tokens() -> Any:
    import torch

    return torch.randint(0, VOCAB, (BATCH, LENGTH + 1), generator=torch.Generator().manual_seed(3))


def _ask(gpt: Any, **options: Any) -> Any:
    import torch

    tokens = _tokens()
    with torch.no_grad():
        return gpt(tokens[:, :-1], torch.arange(LENGTH).expand(BATCH, -1), None, **options)


def _llama(gpt: Any, kv_heads: int, feed_forward: int, tied: bool) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    ours, head, rep = gpt.state_dict(), WIDTH // HEADS, HEADS // kv_heads
    config = LlamaConfig(
        hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS, num_key_value_heads=kv_heads,
        intermediate_size=feed_forward, vocab_size=VOCAB, rms_norm_eps=1e-5, tie_word_embeddings=tied, max_position_embeddings=LENGTH,
        rope_parameters={"rope_type": "default", "rope_theta": 500_000.0},
    )  # fmt: skip
    theirs = {
        "model.embed_tokens.weight": ours["embedding.word_embeddings.weight"],
        "model.norm.weight": ours["decoder.final_layernorm.weight"],
    }
    theirs["lm_head.weight"] = ours["embedding.word_embeddings.weight" if tied else "output_layer.weight"]
    for i in range(LAYERS):
        a, b = f"decoder.layers.{i}.", f"model.layers.{i}."
        qkv = ours[a + "self_attention.linear_qkv.weight"].view(kv_heads, rep + 2, head, WIDTH)  # a group: its queries, a key, a value
        theirs[b + "self_attn.q_proj.weight"] = qkv[:, :rep].reshape(-1, WIDTH)
        theirs[b + "self_attn.k_proj.weight"] = qkv[:, rep].reshape(-1, WIDTH)
        theirs[b + "self_attn.v_proj.weight"] = qkv[:, rep + 1].reshape(-1, WIDTH)
        theirs[b + "self_attn.o_proj.weight"] = ours[a + "self_attention.linear_proj.weight"]
        theirs[b + "input_layernorm.weight"] = ours[a + "input_layernorm.weight"]
        theirs[b + "post_attention_layernorm.weight"] = ours[a + "pre_mlp_layernorm.weight"]
        theirs[b + "mlp.gate_proj.weight"], theirs[b + "mlp.up_proj.weight"] = ours[a + "mlp.linear_fc1.weight"].chunk(2)
        theirs[b + "mlp.down_proj.weight"] = ours[a + "mlp.linear_fc2.weight"]
    model = LlamaForCausalLM(config).eval()
    model.load_state_dict(theirs, strict=True)
    return model


def _gpt2(gpt: Any) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    ours, head = gpt.state_dict(), WIDTH // HEADS
    theirs = {
        "transformer.wte.weight": ours["embedding.word_embeddings.weight"],
        "lm_head.weight": ours["embedding.word_embeddings.weight"],
    }
    theirs["transformer.wpe.weight"] = ours["embedding.position_embeddings.weight"]
    for part in ("weight", "bias"):
        theirs["transformer.ln_f." + part] = ours["decoder.final_layernorm." + part]
        for i in range(LAYERS):
            a, b = f"decoder.layers.{i}.", f"transformer.h.{i}."
            qkv = ours[a + "self_attention.linear_qkv." + part]
            qkv = qkv.view(HEADS, 3, head, *qkv.shape[1:]).transpose(0, 1).reshape(3 * WIDTH, *qkv.shape[1:])
            linears = {"attn.c_attn.": qkv, "attn.c_proj.": ours[a + "self_attention.linear_proj." + part]}
            linears |= {"mlp.c_fc.": ours[a + "mlp.linear_fc1." + part], "mlp.c_proj.": ours[a + "mlp.linear_fc2." + part]}
            for name, value in linears.items():
                theirs[b + name + part] = value.t().contiguous() if part == "weight" else value  # theirs are transposed
            theirs[b + "ln_1." + part] = ours[a + "input_layernorm." + part]
            theirs[b + "ln_2." + part] = ours[a + "pre_mlp_layernorm." + part]
    model = GPT2LMHeadModel(GPT2Config(n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, vocab_size=VOCAB, n_positions=LENGTH)).eval()
    model.load_state_dict(theirs, strict=True)
    return model


def compare(rank: int) -> dict[str, float]:
    """Largest differences of logits, and of losses from torch's cross-entropy over the other side's logits."""
    import torch
    import torch.nn.functional as F

    from modelwright_plugins.engine.start import started
    from modelwright_plugins.parallel.megatron import Megatron

    joined(rank, 1, 0)
    found, tokens = {}, _tokens()
    with started(Megatron(), seed=0):
        for kv_heads, tied, attention in ((2, False, "sdpa"), (4, True, "reference")):
            gpt = _model({}, attention, kv_heads=kv_heads, tied_embeddings=tied, rope_base=500_000, feed_forward=160)
            with torch.no_grad():
                theirs = _llama(gpt, kv_heads, 160, tied)(tokens[:, :-1]).logits
            found[f"llama, {attention}"] = (_ask(gpt) - theirs).abs().max().item()
            expected = F.cross_entropy(theirs.transpose(1, 2), tokens[:, 1:], reduction="none")
            found[f"llama loss, {attention}"] = (_ask(gpt, labels=tokens[:, 1:]) - expected).abs().max().item()
        gpt = _model({}, norm="layer", activation="gelu_tanh", position="learned", bias=True)
        with torch.no_grad():
            theirs = _gpt2(gpt)(tokens[:, :-1]).logits
        found["gpt2"] = (_ask(gpt) - theirs).abs().max().item()
        found["scale"] = theirs.abs().max().item()
    return found


def test_logits_are_hugging_faces(tmp_path: Path) -> None:
    found = on_ranks(compare, 1, tmp_path, groups=1)[0]
    assert found.pop("scale") > 0.5  # of the logits
    assert max(found.values()) < 1e-5, found


def under_tensor_parallelism(rank: int, layouts: list[dict[str, Any]]) -> list[dict[str, Any] | None]:
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.parallel.megatron import Megatron

    found: list[dict[str, Any] | None] = []
    for number, layout in enumerate(layouts):
        ranks = layout.get("tensor", 1)
        if rank >= ranks:
            found.append(None)
            continue
        joined(rank, ranks, number)
        with started(Megatron(**layout), seed=0):
            gpt = _model(layout | {"data": 1}, tied_embeddings=False)
            logits = _ask(gpt, runtime_gather_output=True)
            found.append({"logits": logits, "losses": _ask(gpt, labels=_tokens()[:, 1:]), "rows": gpt.output_layer.weight.shape[0]})
    return found


@pytest.mark.slow
def test_padding_of_the_vocabulary_is_never_seen(tmp_path: Path) -> None:
    import torch
    import torch.nn.functional as F

    layouts: list[dict[str, Any]] = [{}, {"tensor": 2}, {"tensor": 4}]
    one, *others = on_ranks(under_tensor_parallelism, 4, tmp_path, groups=3, layouts=layouts)[0]
    expected = F.cross_entropy(one["logits"].transpose(1, 2), _tokens()[:, 1:], reduction="none")
    assert one["rows"] == VOCAB and torch.allclose(one["losses"], expected, atol=1e-5)
    assert [other["rows"] for other in others] == [102, 51]  # padded to 204
    for other in others:
        assert other["logits"].shape == (BATCH, LENGTH, VOCAB)
        assert (other["logits"] - one["logits"]).abs().max() < 1e-5
        assert (other["losses"] - one["losses"]).abs().max() < 1e-5
