"""A small Llama and a small GPT-2 of ours, and the same weights in transformers' models, mapped by hand."""

from __future__ import annotations

from typing import Any

VOCAB, LENGTH, WIDTH, LAYERS, HEADS, KV_HEADS, FEED_FORWARD = 203, 12, 64, 2, 4, 2, 96
HEAD = WIDTH // HEADS
LLAMA = {"kv_heads": KV_HEADS, "feed_forward": FEED_FORWARD, "tied_embeddings": False, "qkv_bias": True}
GPT2 = {"norm": "layer", "activation": "gelu_tanh", "position": "learned", "bias": True, "positions": 32}


def ours(layout: dict[str, Any] | None = None, **fields: Any) -> list[Any]:
    """This rank's modules, inside `started`. What begins at 0 or 1 does not stay so, which could hide a mistake."""
    import hashlib

    import torch

    from modelwright_plugins.architecture.decoder import CausalDecoder
    from modelwright_plugins.attention.cores import Native
    from modelwright_plugins.engine import model
    from modelwright_plugins.kernel.local import Torch
    from modelwright_plugins.parallel.megatron import Megatron
    from modelwright_plugins.precision.floats import FP32

    a = CausalDecoder(layers=LAYERS, width=WIDTH, heads=HEADS, initializer_std=0.08, **fields)
    how = {"parallel": Megatron(**layout or {}), "precision": FP32(), "kernel": Torch(), "attention": Native()}
    chunks = model.build(a, **how, vocab_size=VOCAB, sequence_length=LENGTH)
    model.initialise(chunks, a, seed=1, vocab_size=VOCAB)
    for name, data, whole, offset in model.named_parts(chunks):
        if len(whole) == 1:
            seed = hashlib.sha256(repr((name, offset[:-1])).encode()).digest()[0]
            noise = 0.1 * torch.randn(whole, generator=torch.Generator().manual_seed(seed))
            with torch.no_grad():
                data += noise[offset[-1] : offset[-1] + len(data)]
    return [chunk.eval() for chunk in chunks]


def tokens(rows: int = 3, length: int = LENGTH, seed: int = 3) -> Any:
    import torch

    return torch.randint(0, VOCAB, (rows, length), generator=torch.Generator().manual_seed(seed))


def asked(gpt: Any, text: Any, begins: list[int] | None = None) -> Any:
    """Logits. `begins`: where texts begin that are packed into each row."""
    import torch

    length = text.shape[1]
    place = torch.arange(length)
    if begins is None:
        return gpt(text, place.expand_as(text), None)
    first = torch.tensor([max(b for b in begins if b <= i) for i in range(length)])
    visible = torch.stack([first, place + 1], -1).expand(len(text), -1, -1)
    return gpt(text, (place - first).expand_as(text), visible)


def rows_of(qkv: Any) -> tuple[Any, Any, Any]:
    """Megatron's rows are those of one group of heads after another: its queries', its key's, its value's."""
    each = qkv.view(KV_HEADS, HEADS // KV_HEADS + 2, HEAD, *qkv.shape[1:])
    return tuple(part.reshape(-1, *qkv.shape[1:]) for part in (each[:, :-2], each[:, -2], each[:, -1]))  # type: ignore[return-value]


def llama(gpt: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    w = gpt.state_dict()
    them = {"model.embed_tokens.weight": w["embedding.word_embeddings.weight"], "lm_head.weight": w["output_layer.weight"]}
    them["model.norm.weight"] = w["decoder.final_layernorm.weight"]
    for i in range(LAYERS):
        a, b = f"decoder.layers.{i}.", f"model.layers.{i}."
        for part in ("weight", "bias"):
            for name, rows in zip("qkv", rows_of(w[f"{a}self_attention.linear_qkv.{part}"]), strict=True):
                them[f"{b}self_attn.{name}_proj.{part}"] = rows
        them[b + "self_attn.o_proj.weight"] = w[a + "self_attention.linear_proj.weight"]
        them[b + "self_attn.o_proj.bias"] = 0 * w[a + "input_layernorm.weight"]
        them[b + "input_layernorm.weight"] = w[a + "input_layernorm.weight"]
        them[b + "post_attention_layernorm.weight"] = w[a + "pre_mlp_layernorm.weight"]
        them[b + "mlp.gate_proj.weight"], them[b + "mlp.up_proj.weight"] = w[a + "mlp.linear_fc1.weight"].chunk(2)
        them[b + "mlp.down_proj.weight"] = w[a + "mlp.linear_fc2.weight"]
    config = LlamaConfig(
        hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS, num_key_value_heads=KV_HEADS, vocab_size=VOCAB,
        intermediate_size=FEED_FORWARD, rms_norm_eps=1e-5, tie_word_embeddings=False, attention_bias=True, max_position_embeddings=64,
        attn_implementation="eager",
    )  # fmt: skip
    theirs = LlamaForCausalLM(config).eval()
    theirs.load_state_dict(them, strict=True)
    return theirs


def gpt2(gpt: Any) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    w = gpt.state_dict()
    them = {"transformer.wte.weight": w["embedding.word_embeddings.weight"], "lm_head.weight": w["embedding.word_embeddings.weight"]}
    them["transformer.wpe.weight"] = w["embedding.position_embeddings.weight"]
    for part in ("weight", "bias"):
        them["transformer.ln_f." + part] = w["decoder.final_layernorm." + part]
        for i in range(LAYERS):
            a, b = f"decoder.layers.{i}.", f"transformer.h.{i}."
            qkv = w[a + "self_attention.linear_qkv." + part]
            qkv = qkv.view(HEADS, 3, HEAD, *qkv.shape[1:]).transpose(0, 1).reshape(3 * WIDTH, *qkv.shape[1:])
            linears = {"attn.c_attn.": qkv, "attn.c_proj.": w[a + "self_attention.linear_proj." + part]}
            linears |= {"mlp.c_fc.": w[a + "mlp.linear_fc1." + part], "mlp.c_proj.": w[a + "mlp.linear_fc2." + part]}
            for name, value in linears.items():
                them[b + name + part] = value.t().contiguous() if part == "weight" else value  # theirs are transposed
            them[b + "ln_1." + part] = w[a + "input_layernorm." + part]
            them[b + "ln_2." + part] = w[a + "pre_mlp_layernorm." + part]
    config = GPT2Config(n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, vocab_size=VOCAB, n_positions=32, attn_implementation="eager")
    theirs = GPT2LMHeadModel(config).eval()
    theirs.load_state_dict(them, strict=True)
    return theirs
