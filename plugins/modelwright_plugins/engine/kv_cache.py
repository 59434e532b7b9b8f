"""Keys and values that a model's attention has computed, so that each next token costs one position and not the whole text.

They are kept before the core attention, by a hook: keys are already turned (rotary embeddings), so a step turns one. Megatron-Core 0.16.1's
`StaticInferenceContext` keeps them unturned and turns all of them in each layer at each step, has one place for all rows, and takes no
interleaved pipeline.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from megatron.core.models.common.embeddings.rotary_pos_embedding import RotaryEmbedding
from megatron.core.transformer.attention import Attention, SelfAttention
from megatron.core.transformer.multi_latent_attention import MLASelfAttention
from megatron.core.transformer.transformer_layer import TransformerLayer

from modelwright_plugins.architecture._gpt import GPT


def cacheable(chunks: Sequence[torch.nn.Module]) -> bool:
    """Whether all that a model remembers of earlier positions are keys and values."""
    return all(
        isinstance(chunk, GPT)
        and not getattr(chunk, "reads_whole", False)  # adapter=prompt_tuning
        and all(
            isinstance(layer, TransformerLayer) and isinstance(layer.self_attention, SelfAttention | MLASelfAttention)
            for layer in chunk.decoder.layers
        )
        for chunk in chunks
    )


class KeyValues:
    """Of one batch of rows, for every attention of this rank. Slots are numbered alike in all rows: shorter rows begin in later ones."""

    def __init__(self) -> None:
        self.length = 0  # slots in use
        self._cores: list[torch.nn.Module] | None = None  # found once: there are as many steps as tokens
        self._kept: dict[torch.nn.Module, tuple[torch.Tensor, torch.Tensor]] = {}  # [rows, heads, slots, head_dim] each

    @contextmanager
    def filled(self, chunks: Sequence[torch.nn.Module], new: int) -> Iterator[None]:
        """Inside, attentions see what is kept, and their last `new` keys and values are kept too."""
        if self._cores is None:
            found = (module for chunk in chunks for module in chunk.modules())
            self._cores = [module.core_attention for module in found if isinstance(module, Attention)]
        hooks = [core.register_forward_pre_hook(lambda core, given: self._seen(core, given, new)) for core in self._cores]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
        self.length += new

    def take(self, rows: Sequence[int]) -> None:
        """Go on with these rows, in this order; a row may come several times, or not at all."""
        at = None
        for core, both in self._kept.items():
            at = torch.tensor(rows, device=both[0].device) if at is None else at
            self._kept[core] = both[0].index_select(0, at), both[1].index_select(0, at)

    def put(self, core: torch.nn.Module, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """All keys and values of `core`, [rows, heads, slots, head_dim], with these new ones after what is in use, which is counted by
        whoever asked all cores."""
        end = self.length + key.shape[2]
        kept = self._kept.get(core)
        if kept is None or kept[0].shape[2] < end:
            old = (key, value) if kept is None else tuple(each[:, :, : self.length] for each in kept)
            kept = (_room(old[0], 2 * end), _room(old[1], 2 * end))
            self._kept[core] = kept
        for memory, each in zip(kept, (key, value), strict=True):
            memory[:, :, self.length : end] = each
        return kept[0][:, :, :end], kept[1][:, :, :end]

    def _seen(self, core: torch.nn.Module, given: tuple[Any, ...], new: int) -> tuple[Any, ...]:
        query, key, value, *others = given
        # [length, rows, heads, head_dim] -> [rows, heads, length, head_dim], and back
        key, value = (each.permute(2, 0, 1, 3) for each in self.put(core, *(each[-new:].permute(1, 2, 0, 3) for each in (key, value))))
        return (query, key, value, *others)


def _room(used: torch.Tensor, slots: int) -> torch.Tensor:
    """The same [rows, heads, length, head_dim] at the beginning of more slots."""
    rows, heads, length, size = used.shape
    memory = used.new_zeros(rows, heads, slots, size)
    memory[:, :, :length] = used
    return memory


class Places:
    """Rotary embeddings of places that are not 0, 1, 2 …: each row's own."""

    def __init__(self, chunks: Sequence[torch.nn.Module], positions: int) -> None:
        """`positions`: how many places there are."""
        self.modules = [each for chunk in chunks for each in chunk.modules() if isinstance(each, RotaryEmbedding)]
        self.tables = [each.get_emb(positions) for each in self.modules]  # yarn's have a factor beside them

    @property
    def turns(self) -> torch.Tensor | None:
        """Of a model that has one table without a factor: [places, 1, 1, dimensions]."""
        return self.tables[0] if len(self.tables) == 1 else None

    @contextmanager
    def at(self, places: torch.Tensor) -> Iterator[None]:
        """Inside, positions are turned as those at `places` int64 [rows, length]."""
        for module, table in zip(self.modules, self.tables, strict=True):
            turns, *factor = table if isinstance(table, tuple) else (table,)
            chosen = turns[places.T][:, :, 0]  # [length, rows, 1, dimensions]
            module.forward = lambda *_, found=(chosen, *factor), **__: found if len(found) > 1 else found[0]
        try:
            yield
        finally:
            for module in self.modules:
                del module.forward
