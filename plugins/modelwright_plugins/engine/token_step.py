"""One more token of each text through a decoder, with its Megatron modules' weights and not through their `forward`.

Megatron-Core 0.16.1's layers cost about a millisecond of Python each at every call: automatic differentiation that generation has no use
for, collectives of one rank, cosines of each place for queries and keys of every layer, a mask of every layer's own. Training does not
notice, but a small model's token is little else. Here are the same operations in the same order, so logits are the same to the last bit
(`tests/plugins/engine/test_token_step.py`). What it does not know, it leaves to Megatron: `TokenStep.of` gives None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from megatron.core.models.common.embeddings.language_model_embedding import LanguageModelEmbedding
from megatron.core.models.common.embeddings.rotary_pos_embedding import RotaryEmbedding
from megatron.core.models.common.embeddings.yarn_rotary_pos_embedding import _yarn_get_concentration_factor_from_config
from megatron.core.tensor_parallel import ColumnParallelLinear, RowParallelLinear, VocabParallelEmbedding
from megatron.core.transformer.attention import SelfAttention
from megatron.core.transformer.identity_op import IdentityFuncOp, IdentityOp
from megatron.core.transformer.mlp import MLP
from megatron.core.transformer.transformer_block import TransformerBlock
from megatron.core.transformer.transformer_layer import TransformerLayer

from modelwright_plugins.architecture._gpt import GPT
from modelwright_plugins.architecture._residual import Layer
from modelwright_plugins.attention.core import CoreAttention
from modelwright_plugins.engine import heads
from modelwright_plugins.engine.kv_cache import KeyValues

Linear = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor | None]]
"""[rows, inputs] -> [rows, outputs], and a bias that is still to be added."""
Masks = Callable[[tuple[int, int] | None], torch.Tensor]
"""What is seen within a window: of that, what is added to scores, [rows, 1, 1, keys]."""


class TokenStep:
    """The modules of one rank that has the whole model."""

    def __init__(self, chunk: Any) -> None:
        self.chunk, self.config = chunk, chunk.config
        self.layers = [_Layer(layer) for layer in chunk.decoder.layers]
        tied = chunk.embedding.word_embeddings.weight if chunk.share_embeddings_and_output_weights else None
        self.embedded, self.norm = _embedding(chunk.embedding), _norm(chunk.decoder.final_layernorm)
        self.output = _linear(chunk.output_layer, tied)
        self.scale = _yarn_get_concentration_factor_from_config(chunk.config)

    @classmethod
    def of(cls, modules: Sequence[Any]) -> TokenStep | None:
        """None: something in it is other than what is known here."""
        return cls(modules[0]) if len(modules) == 1 and _known(modules[0]) else None

    def __call__(
        self, tokens: torch.Tensor, places: torch.Tensor, first: torch.Tensor, turns: torch.Tensor | None, cache: KeyValues
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(logits [rows, vocabulary], the last layer's states [rows, width]) of `tokens` int64 [rows] at `places` int64 [rows], which see
        what is kept from the slot `first` int64 [rows] on, and are kept too. `turns` [places, 1, 1, dimensions]: rotary embeddings."""
        chunk, end, dtype = self.chunk, cache.length + 1, self.config.params_dtype
        hidden = self.embedded(tokens, places)
        if chunk.embedding_multiplier != 1:
            hidden = hidden * chunk.embedding_multiplier
        hidden = hidden if chunk.embedding_norm is None else chunk.embedding_norm(hidden)
        rotation = None
        if turns is not None:
            angles = turns[places][:, 0]  # [rows, 1, dimensions]
            rotation = (torch.cos(angles) * self.scale).to(dtype), (torch.sin(angles) * self.scale).to(dtype)
        slots, known = torch.arange(end, device=tokens.device), dict[Any, torch.Tensor]()

        def masks(window: tuple[int, int] | None) -> torch.Tensor:
            if window not in known:
                begin = first if window is None or window[0] < 0 else first.clamp_min(end - 1 - window[0])
                hides = (slots < begin[:, None])[:, None, None]
                known[window] = torch.zeros(hides.shape, dtype=dtype, device=tokens.device).masked_fill_(hides, -torch.inf)
            return known[window]

        for layer in self.layers:
            hidden = layer(hidden, rotation, masks, cache)
        cache.length = end
        hidden = self.norm(hidden)
        logits, _ = self.output(hidden)
        return (logits * chunk.output_multiplier if chunk.output_multiplier != 1 else logits)[:, : chunk.tokens], hidden


class _Layer:
    def __init__(self, layer: Any) -> None:
        self.layer, self.attention, self.mlp = layer, layer.self_attention, layer.mlp
        self.qkv, self.projection = _linear(self.attention.linear_qkv), _linear(self.attention.linear_proj)
        self.normed = not isinstance(self.attention.q_layernorm, IdentityOp | None)
        self.before, self.between = _norm(layer.input_layernorm), _norm(layer.pre_mlp_layernorm)
        self.feed_forward = _feed_forward(layer.mlp) if type(layer.mlp) is MLP else None
        self.own_sum = type(layer) is Layer
        self.turned = _turned_layer(self.attention)

    def __call__(self, x: torch.Tensor, rotation: Any, masks: Masks, cache: KeyValues) -> torch.Tensor:
        layer = self.layer
        x = self._sum(layer.self_attn_bda, self._attention(self.before(x), rotation, masks, cache), x)
        given = self.between(x)
        if self.feed_forward is not None:
            return self._sum(layer.mlp_bda, self.feed_forward(given), x)
        out, bias = self.mlp(given[None])
        return self._sum(layer.mlp_bda, (out[0], bias), x)

    def _sum(self, own: Any, branch: tuple[torch.Tensor, torch.Tensor | None], x: torch.Tensor) -> torch.Tensor:
        if self.own_sum:
            found: torch.Tensor = own(False, False)(branch, x, 0.0)
            return found
        out, bias = branch
        out = out if bias is None else out + bias
        return out.add_(x) if out.dtype == x.dtype else out.add_(x.to(out.dtype))

    def _attention(self, x: torch.Tensor, rotation: Any, masks: Masks, cache: KeyValues) -> tuple[torch.Tensor, torch.Tensor | None]:
        own, core = self.attention, self.attention.core_attention
        groups, size = own.num_query_groups_per_partition, own.hidden_size_per_attention_head
        each = own.num_attention_heads_per_partition // groups
        mixed, _ = self.qkv(x)
        mixed = mixed.view(len(x), groups, each + 2, size)  # of each group its queries, its key and its value
        rotation = rotation if self.turned else None
        if self.normed:
            query, key = (
                norm(part.reshape(len(x), -1, size))
                for norm, part in ((own.q_layernorm, mixed[:, :, :each]), (own.k_layernorm, mixed[:, :, each]))
            )
            if rotation is not None:
                query, key = _turn(query, *rotation), _turn(key, *rotation)
        else:
            both = mixed[:, :, : each + 1]
            if rotation is not None:
                both = _turn(both, *(part[:, None] for part in rotation))
            query, key = both[:, :, :each].reshape(len(x), -1, size), both[:, :, each]
        keys, values = cache.put(core, key[:, :, None], mixed[:, :, -1:])
        out = core.attend(query[:, :, None], keys, values, masks(core.window), 0.0)
        return self.projection(out.reshape(len(x), -1))


def _turn(x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """Rotary embeddings of [..., size], of which the first dimensions turn."""
    size = cosine.shape[-1]
    turned = x if size == x.shape[-1] else x[..., :size]
    one, other = turned.chunk(2, -1)
    found = turned * cosine + torch.cat((-other, one), -1) * sine
    return found if turned is x else torch.cat((found, x[..., size:]), -1)


def _norm(norm: torch.nn.Module | None) -> Callable[[torch.Tensor], torch.Tensor]:
    """Without what a module's call costs, where nothing hangs on it."""
    if norm is None or isinstance(norm, IdentityOp):
        return lambda x: x
    return norm if _hooked(norm) else norm.forward


def _embedding(embedding: Any) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Tokens and places, each [rows] -> [rows, width]."""
    words, table = embedding.word_embeddings, embedding.add_position_embedding
    parts = [embedding, words, *([embedding.position_embeddings] if table else [])]
    if type(embedding) is not LanguageModelEmbedding or type(words) is not VocabParallelEmbedding or any(map(_hooked, parts)):
        return lambda tokens, places: embedding(tokens[:, None], places[:, None])[0]
    if table:
        return lambda tokens, places: F.embedding(tokens, words.weight) + F.embedding(places, embedding.position_embeddings.weight)
    return lambda tokens, places: F.embedding(tokens, words.weight)


def _linear(linear: Any, weight: torch.Tensor | None = None) -> Linear:
    """Megatron's own, or another in its place."""
    if type(linear) not in (ColumnParallelLinear, RowParallelLinear) or _hooked(linear):
        return _called(linear, {} if weight is None else {"weight": weight})
    turned = (linear.weight if weight is None else weight).t()
    if linear.bias is None or linear.skip_bias_add:
        return lambda x: (torch.mm(x, turned), linear.bias)
    return lambda x: (torch.mm(x, turned) + linear.bias, None)


def _called(linear: Any, named: dict[str, torch.Tensor]) -> Linear:
    def forward(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        out, bias = linear(x[None], **named)
        return out[0], bias

    return forward


def _feed_forward(mlp: Any) -> Linear:
    config, first, second = mlp.config, _linear(mlp.linear_fc1), _linear(mlp.linear_fc2)

    def forward(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        inner, bias = first(x)
        inner = inner if bias is None else inner + bias
        if not config.gated_linear_unit:
            return second(mlp.activation_func(inner))
        gate, linear = inner.chunk(2, -1)
        return second(config.activation_func(gate) * linear)

    return forward


def _turned_layer(attention: Any) -> bool:
    every = attention.config.no_rope_freq
    return not (every and every[attention.layer_number - 1])


def _known(chunk: Any) -> bool:
    """Whether what is done here is what its modules do."""
    config, decoder = chunk.config, chunk.decoder
    plain = (
        isinstance(chunk, GPT)
        and all(map(partial(_leaves, chunk), type(chunk).__mro__[: type(chunk).__mro__.index(GPT)]))
        and chunk.pre_process
        and chunk.post_process
        and type(decoder) is TransformerBlock
        and config.tensor_model_parallel_size == config.pipeline_model_parallel_size == 1
        and (chunk.position_embedding_type != "rope" or type(getattr(chunk, "rotary_pos_emb", None)) is RotaryEmbedding)
        and chunk.position_embedding_type in ("rope", "learned_absolute", "none")
        and not any((config.fp8, config.fp4, config.rotary_interleaved, config.attention_output_gate, config.multi_latent_attention))
        and not any((config.fp32_residual_connection, config.inference_fuse_tp_communication, config.test_mode, config.apply_rope_fusion))
        and not any((config.bias_dropout_fusion, config.bias_activation_fusion, config.use_te_activation_func))
    )
    return bool(plain) and not any(map(_hooked, (chunk, decoder))) and all(map(_known_layer, decoder.layers))


def _leaves(chunk: Any, before: type) -> bool:
    """Whether a class that is put before GPT leaves what tokens become as it is: adapters' does, and a value head beside the tokens'."""
    return not vars(before).keys() & {"forward", "_preprocess", "_postprocess"} or (before is heads.Valued and chunk.head == "both")


def _known_layer(layer: Any) -> bool:
    if type(layer) not in (TransformerLayer, Layer) or type(layer.self_attention) is not SelfAttention:
        return False
    own, core, mlp = layer.self_attention, layer.self_attention.core_attention, layer.mlp
    if not isinstance(core, CoreAttention) or type(core).forward is not CoreAttention.forward or core.slopes is not None:
        return False
    config = layer.config
    gated = type(mlp) is MLP and (config.activation_func_clamp_value is not None or config.glu_linear_offset)
    nothing = isinstance(layer.cross_attention, IdentityOp) and isinstance(layer.cross_attn_bda, IdentityFuncOp)
    return not gated and nothing and not any(map(_hooked, (layer, own, core, *([mlp] if type(mlp) is MLP else []))))


def _hooked(module: torch.nn.Module) -> bool:
    """Adapters change what a module does by hooks, and fully sharded weights are gathered by them."""
    return bool(module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module))
