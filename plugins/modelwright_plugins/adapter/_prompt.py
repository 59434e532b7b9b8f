"""Trained embeddings before a model's input.

What comes before a text never sees it, so its keys and values in each layer are the same for every text: they are computed once a
sequence, and each text in it sees them (`_before`). Inside, sequences are longer by the embeddings: [them; the text] on each context rank,
and under sequence parallelism a part of both on each tensor rank, so that what comes before is taken off again without a message.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.distributed as dist
from megatron.core import parallel_state
from megatron.core.transformer.module import MegatronModule

from modelwright.errors import ModelwrightError
from modelwright_plugins.adapter._before import Before, attentions, look_before
from modelwright_plugins.adapter._frozen import New, draw, freeze
from modelwright_plugins.architecture._gpt import GPT
from modelwright_plugins.engine import alibi, context

COMMON = 5000  # Lester et al. 2021, section 3.2: of the most common tokens, which are the first ones of a vocabulary of merges


class Prompt(New):
    """`vectors` [length, width], which the first pipeline stage has."""

    split = {}  # noqa: RUF012

    def __init__(self, chunk: MegatronModule, length: int) -> None:
        super().__init__()
        config = chunk.config
        self.vectors = torch.nn.Parameter(next(chunk.parameters()).new_zeros(length, config.hidden_size))
        self.vectors.is_embedding_or_output_parameter = True  # type: ignore[attr-defined]  # no matrix to optimizers of matrices
        self.ranks = sequence_ranks(config)
        self.mark(parallel_state.get_tensor_model_parallel_group(), scattered=self.ranks > 1)

    def placed(self, module: Any, given: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Before the embedding: learned positions of the text begin behind this."""
        if not module.add_position_embedding:
            return given, named
        length, known = named["input_ids"].shape[1] * context.ranks() + len(self.vectors), len(module.position_embeddings.weight)
        if length > known:
            raise ModelwrightError(
                f"adapter=prompt_tuning: {len(self.vectors)} embeddings and a text of {length - len(self.vectors)} tokens are more than "
                f"the model's {known} positions"
            )
        return given, {**named, "position_ids": named["position_ids"] + len(self.vectors)}

    def put(self, module: Any, given: Any, named: Any, out: torch.Tensor) -> torch.Tensor:
        """Behind it: [length, rows, width] with this before it."""
        vectors = self.vectors
        if module.add_position_embedding:
            vectors = vectors + module.position_embeddings.weight[: len(vectors)]
        if self.ranks > 1:
            vectors = vectors.chunk(self.ranks)[parallel_state.get_tensor_model_parallel_rank()]
        return torch.cat([vectors.to(out.dtype).unsqueeze(1).expand(-1, out.shape[1], -1), out])


class Prompted(Before):
    """Goes before the class of a core attention: the first `count` positions are those before the text. They see each other, causally."""

    count: int
    ranks: int  # whose parts of the sequence follow one another

    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: Any = None, *a: Any, **k: Any) -> Any:
        (first_q, query), (first_k, key), (first_v, value) = (apart(each, self.count, self.ranks) for each in (query, key, value))
        me, count = cast(Any, self), self.count
        q, self.keys, self.values = (each.permute(1, 2, 0, 3) for each in (first_q, first_k, first_v))
        mask = torch.ones(count, count, dtype=torch.bool, device=q.device).tril()[None, None]
        if me.slopes is not None:
            slopes, place = torch.tensor(me.slopes, device=q.device), torch.arange(count, device=q.device)
            mask = alibi.biases(slopes, place, count).masked_fill(~mask, -torch.inf).to(q.dtype)
            far = context.places(len(query), q.device)[None] - (0 if attention_mask is None else attention_mask[..., 0])
            far = count + far[:, None, :, None] - place  # [1 or rows, 1, length, count]
            self.distances = -(slopes[:, None, None] * far)
        first = super(Before, self).attend(q, self.keys, self.values, mask, 0.0)  # type: ignore[misc]
        text = super().forward(query, key, value, attention_mask, *a, **k)
        return together(first.permute(2, 0, 1, 3).flatten(2), text, self.ranks)


class Prompting:
    """Goes before the class of a GPT: what comes out is the text's."""

    prompt: int  # positions of this rank before the text's
    reads_whole: bool = True  # no key can be kept by its place in the text alone

    def _postprocess(self, hidden_states: torch.Tensor, *given: Any, **named: Any) -> torch.Tensor:
        if cast(Any, self).post_process:
            hidden_states = hidden_states[self.prompt :]
        out: torch.Tensor = super()._postprocess(hidden_states, *given, **named)  # type: ignore[misc]
        return out


def sequence_ranks(config: Any) -> int:
    return config.tensor_model_parallel_size if config.sequence_parallel else 1


def apart(x: torch.Tensor, count: int, ranks: int) -> tuple[torch.Tensor, torch.Tensor]:
    """What comes before, and the text, of [count + length, …] in which each rank's parts of both follow one another."""
    parts, own = x.unflatten(0, (ranks, -1)), count // ranks
    return parts[:, :own].flatten(0, 1), parts[:, own:].flatten(0, 1)


def together(first: torch.Tensor, text: torch.Tensor, ranks: int) -> torch.Tensor:
    return torch.cat([each.unflatten(0, (ranks, -1)) for each in (first, text)], 1).flatten(0, 1)


def attach(chunks: list[MegatronModule], *, length: int, seed: int) -> None:
    """Put the embeddings before the first stage's own, uniform in ±0.5 (section 3.2)."""
    config = chunks[0].config
    if not all(isinstance(chunk, GPT) for chunk in chunks) or config.mtp_num_layers:
        raise ModelwrightError("adapter=prompt_tuning is for decoders, without modules of multi-token prediction")
    if length % (ranks := sequence_ranks(config)):
        raise ModelwrightError(f"adapter.length={length}: {ranks} tensor ranks that share out sequences want a multiple of {ranks}")
    shares = config.context_parallel_size
    found = list(attentions(chunks, "adapter=prompt_tuning"))
    if config.pipeline_model_parallel_size > 1:
        config.variable_seq_lengths = True  # what stages send each other is longer than the text: its size is sent before it
    for chunk, attention in found:
        core = look_before(chunk, attention, Prompted)
        core.count = core.ahead = length
        core.ranks = ranks
    for chunk in chunks:
        freeze(chunk)
        chunk.__class__ = type(f"Prompting{type(chunk).__name__}", (Prompting, type(chunk)), {})
        model = cast(Any, chunk)
        model.prompt = length // ranks
        if model.pre_process:
            prompt = model.embedding.adapter = Prompt(chunk, length)
            model.embedding.register_forward_pre_hook(prompt.placed, with_kwargs=True)
            model.embedding.register_forward_hook(prompt.put, with_kwargs=True)
        if (rotary := getattr(model, "rotary_pos_emb", None)) is not None:
            rotary.register_forward_hook(lambda module, given, out: _turns(module, given[0] // shares - length, out, length, ranks))

    def drawn(name: str, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor | None:
        return torch.rand(shape, generator=generator) - 0.5 if name.endswith(".adapter.vectors") else None

    draw(chunks, seed, drawn)


def _turns(module: Any, count: int, out: Any, length: int, ranks: int) -> Any:
    """Radians of the embeddings' places and, behind them, of the text's; `count`: the text's positions that this rank has."""
    table = module.get_emb(length + count * context.ranks())
    many = isinstance(table, tuple)  # yarn's have a factor beside them
    turns, *factor = table if many else (table,)
    if "forward" in vars(module):  # someone says the places of each row (`engine.kv_cache.Places`)
        text = (out[0] if many else out) + turns[length]
        first = turns[:length].expand(-1, text.shape[1], -1, -1)
    else:
        first, text = turns[:length], turns[length + context.places(count, turns.device)]
    found = together(first, text, ranks)
    return (found, *factor) if many else found


@torch.no_grad()
def start_from(chunks: list[MegatronModule], tokens: torch.Tensor) -> None:
    """Begin with the embeddings of these tokens, [length]."""
    for chunk in chunks:
        model = cast(Any, chunk)
        if not model.pre_process:
            continue
        table = model.embedding.word_embeddings
        first, own = table.vocab_start_index, table.weight
        mine = ((tokens >= first) & (tokens < first + len(own))).to(own.device)
        rows = torch.where(mine[:, None], own[torch.where(mine, tokens.to(own.device) - first, 0)], 0)
        dist.all_reduce(rows, group=parallel_state.get_tensor_model_parallel_group())
        model.embedding.adapter.vectors.copy_(rows)


def some(chunks: list[MegatronModule], length: int, seed: int) -> torch.Tensor:
    """Common tokens, by chance: [length]."""
    return torch.randint(min(COMMON, cast(Any, chunks[0]).tokens), (length,), generator=torch.Generator().manual_seed(seed))


def read(text: str, tokenizer: Any, length: int) -> torch.Tensor:
    """The text's tokens, again and again, or the first ones: [length]."""
    from tokenizers import Tokenizer

    ids = Tokenizer.from_file(str(tokenizer / "tokenizer.json")).encode(text, add_special_tokens=False).ids
    if not ids:
        raise ModelwrightError(f"adapter.text={text!r} has no tokens to start from")
    return torch.tensor((ids * -(-length // len(ids)))[:length])
