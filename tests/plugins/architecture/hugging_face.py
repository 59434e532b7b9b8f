"""Our weights under Hugging Face's names, and both models' logits."""

from __future__ import annotations

from typing import Any

VOCAB, LENGTH, BATCH = 203, 24, 3
SIZES = {"layers": 2, "width": 64, "heads": 4, "feed_forward": 160}
THEIRS = {
    "num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 4, "intermediate_size": 160,
    "vocab_size": VOCAB, "max_position_embeddings": 64, "tie_word_embeddings": False,
}  # fmt: skip


def made(architecture: Any, vocab_size: int = VOCAB, length: int = LENGTH) -> Any:
    """A model with random weights, in FP32; what starts at 0 or 1 does not stay so, which could hide a mistake."""
    import torch

    from modelwright_plugins.attention.cores import Native
    from modelwright_plugins.engine import model
    from modelwright_plugins.kernel.local import Torch
    from modelwright_plugins.parallel.megatron import Megatron
    from modelwright_plugins.precision.floats import FP32

    parts = {"parallel": Megatron(), "precision": FP32(), "kernel": Torch(), "attention": Native()}
    (gpt,) = model.build(architecture, **parts, vocab_size=vocab_size, sequence_length=length)
    model.initialise([gpt], architecture, seed=1, vocab_size=vocab_size)
    generator = torch.Generator().manual_seed(2)
    for parameter in gpt.parameters():
        if parameter.dim() == 1:
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return gpt.eval()


def tokens(length: int = LENGTH) -> Any:
    import torch

    return torch.randint(0, VOCAB, (BATCH, length), generator=torch.Generator().manual_seed(3))


def difference(gpt: Any, theirs: Any, length: int = LENGTH) -> tuple[float, float]:
    """The largest difference of the logits, and the largest logit."""
    import torch

    with torch.no_grad():
        logits = gpt(tokens(length), torch.arange(length).expand(BATCH, -1), None)
        expected = theirs(tokens(length)).logits
    return (logits - expected).abs().max().item(), expected.abs().max().item()


def loaded(model: Any, weights: dict[str, Any]) -> Any:
    model.load_state_dict(weights, strict=True)
    return model.eval()


def llama(gpt: Any, a: Any, *, norms: dict[str, str] | None = None, shift: float = 0.0) -> dict[str, Any]:
    """Under the names of Llama and its many heirs. `norms`: their names, where others; `shift` is what they add to norms' weights."""
    ours = gpt.state_dict()
    norms = norms or {"input_layernorm": "input_layernorm", "pre_mlp_layernorm": "post_attention_layernorm"}
    theirs = {"model.embed_tokens.weight": ours["embedding.word_embeddings.weight"]}
    theirs["lm_head.weight"] = ours["embedding.word_embeddings.weight" if a.tied_embeddings else "output_layer.weight"]
    for part in ("weight", "bias"):
        if "decoder.final_layernorm." + part in ours:
            theirs["model.norm." + part] = ours["decoder.final_layernorm." + part] - shift
    for i in range(a.layers):
        mine, layer = f"decoder.layers.{i}.", f"model.layers.{i}."
        theirs |= attention(ours, mine + "self_attention.", layer + "self_attn.", a)
        for name, other in norms.items():
            for part in ("weight", "bias"):
                if mine + name + "." + part in ours:
                    theirs[f"{layer}{other}.{part}"] = ours[f"{mine}{name}.{part}"] - shift
        for name in ("q", "k"):
            if a.qk_norm:
                theirs[f"{layer}self_attn.{name}_norm.weight"] = ours[f"{mine}self_attention.{name}_layernorm.weight"]
        theirs |= feed_forward(ours, mine + "mlp.", layer + "mlp.", a)
    return theirs


def attention(ours: Any, mine: str, layer: str, a: Any) -> dict[str, Any]:
    theirs = {layer + "o_proj.weight": ours[mine + "linear_proj.weight"]}
    if a.kv_rank is not None:
        names = {"linear_kv_down_proj": "kv_a_proj_with_mqa", "kv_layernorm": "kv_a_layernorm", "linear_kv_up_proj": "kv_b_proj"}
        queries = {"linear_q_down_proj": "q_a_proj", "q_layernorm": "q_a_layernorm", "linear_q_up_proj": "q_b_proj"}
        names |= {"linear_q_proj": "q_proj"} if a.q_rank is None else queries
        return theirs | {f"{layer}{other}.weight": ours[f"{mine}{name}.weight"] for name, other in names.items()}
    kv_heads, head = a.kv_heads or a.heads, a.head_dim or a.width // a.heads
    repeat = a.heads // kv_heads
    for part in ("weight", "bias"):
        if (qkv := ours.get(f"{mine}linear_qkv.{part}")) is not None:
            qkv = qkv.view(kv_heads, repeat + 2, head, *qkv.shape[1:])  # a group: its queries, a key, a value
            theirs[f"{layer}q_proj.{part}"] = qkv[:, :repeat].reshape(-1, *qkv.shape[3:])
            theirs[f"{layer}k_proj.{part}"] = qkv[:, repeat].reshape(-1, *qkv.shape[3:])
            theirs[f"{layer}v_proj.{part}"] = qkv[:, repeat + 1].reshape(-1, *qkv.shape[3:])
    return theirs


def feed_forward(ours: Any, mine: str, layer: str, a: Any) -> dict[str, Any]:
    import torch

    if mine + "router.weight" not in ours:
        gate, up = ours[mine + "linear_fc1.weight"].chunk(2)
        return {
            layer + "gate_proj.weight": gate,
            layer + "up_proj.weight": up,
            layer + "down_proj.weight": ours[mine + "linear_fc2.weight"],
        }
    theirs = {layer + "gate.weight": ours[mine + "router.weight"]}
    for name, other in {"linear_fc1": "gate_up_proj", "linear_fc2": "down_proj"}.items():
        each = [ours[f"{mine}experts.local_experts.{n}.{name}.weight"] for n in range(a.experts)]
        theirs[f"{layer}experts.{other}"] = torch.stack(each)
    if a.shared_expert_feed_forward:
        theirs |= feed_forward(ours, mine + "shared_experts.", layer + "shared_experts.", a)
    return theirs


def bloom(gpt: Any, a: Any) -> dict[str, Any]:
    ours = gpt.state_dict()
    names = {"input_layernorm": "input_layernorm", "pre_mlp_layernorm": "post_attention_layernorm"}
    names |= {"self_attention.linear_qkv": "self_attention.query_key_value", "self_attention.linear_proj": "self_attention.dense"}
    names |= {"mlp.linear_fc1": "mlp.dense_h_to_4h", "mlp.linear_fc2": "mlp.dense_4h_to_h"}
    theirs = {f"transformer.h.{i}.{other}": f"decoder.layers.{i}.{name}" for i in range(a.layers) for name, other in names.items()}
    theirs |= {"transformer.word_embeddings_layernorm": "embedding_norm", "transformer.ln_f": "decoder.final_layernorm"}
    found = {f"{other}.{part}": ours[f"{name}.{part}"] for other, name in theirs.items() for part in ("weight", "bias")}
    embedding = ours["embedding.word_embeddings.weight"]
    return found | {"transformer.word_embeddings.weight": embedding, "lm_head.weight": embedding}
