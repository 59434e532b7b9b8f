"""Asking a model for one token after another: logits of what comes next, for a batch of texts that grow.

Every rank of a model-parallel group calls the same methods with the same arguments; the ranks of the last pipeline stage get logits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.distributed as dist
from megatron.core import parallel_state
from megatron.core.distributed import DistributedDataParallel
from megatron.core.tensor_parallel import gather_from_sequence_parallel_region

from modelwright_plugins.engine import context as sequence
from modelwright_plugins.engine.evaluating import evaluating
from modelwright_plugins.engine.fully_sharded import FullySharded
from modelwright_plugins.engine.kv_cache import KeyValues, Places, cacheable
from modelwright_plugins.engine.token_step import TokenStep


@contextmanager
def asked(chunks: Sequence[Any]) -> Iterator[list[Any]]:
    """The modules of this rank without what training wraps them in, ready to be asked; afterwards they are as they were."""
    modules = [chunk.module if isinstance(chunk, DistributedDataParallel | FullySharded) else chunk for chunk in chunks]
    with evaluating(chunks), sequence.alone():
        yield modules


class Stepping:
    """Texts that grow by a token a step. `start` and `step` give FP32 [rows, vocab_size] on the CPU, on a last pipeline stage."""

    def __init__(self, modules: Sequence[Any], *, context: int, vocab_size: int, states: bool = False) -> None:
        """`modules`: as `asked` gives them. `context`: how many tokens are seen at most; of longer texts the last ones are. `states`: keep
        the last layer's states, FP32 [tokens that are seen, width] of each text, on a last pipeline stage, on the CPU."""
        self.states: list[torch.Tensor] | None = [] if states else None
        self.modules, self.context, self.vocab_size = modules, context, vocab_size
        self.device = next(modules[0].parameters()).device
        self.texts: list[list[int]] = []
        self.cache = KeyValues() if cacheable(modules) else None
        self.places = Places(modules, context)
        self.alone = TokenStep.of(modules) if self.cache is not None else None  # a token a text, without what Megatron's layers cost

    def start(self, prompts: Sequence[Sequence[int]]) -> torch.Tensor | None:
        """Of the token after each prompt. The same prompt several times is read once."""
        once = {tuple(prompt): number for number, prompt in enumerate(dict.fromkeys(tuple(prompt) for prompt in prompts))}
        self.texts = [list(prompt) for prompt in once]
        if self._cut():
            logits = self._whole()
        else:
            assert self.cache is not None
            length = _up(max(map(len, self.texts)), self._splits())
            self.first = torch.tensor([length - len(text) for text in self.texts], device=self.device)
            logits = self._new(torch.tensor([[0] * (length - len(text)) + text for text in self.texts], device=self.device), length)
        rows = [once[tuple(prompt)] for prompt in prompts]
        if len(rows) != len(once):
            self._take(rows)
            logits = None if logits is None else logits[rows]
        return logits

    def step(self, tokens: Sequence[int], rows: Sequence[int] | None = None) -> torch.Tensor | None:
        """Row i goes on from what was row `rows[i]` (None: from row i), with `tokens[i]`."""
        if rows is not None and list(rows) != list(range(len(self.texts))):
            self._take(rows)
        for text, token in zip(self.texts, tokens, strict=True):
            text.append(token)
        if self._cut():
            return self._whole()
        if self.alone is not None:
            return self._next(self.alone, torch.tensor(tokens, device=self.device))
        filler = self._splits() - 1  # sequence parallelism splits a step evenly too
        last = torch.tensor(tokens, device=self.device)[:, None]
        return self._new(last.expand(-1, 1 + filler), 1)

    def _next(self, alone: TokenStep, tokens: torch.Tensor) -> torch.Tensor:
        assert self.cache is not None
        out, hidden = alone(tokens, self.cache.length - self.first, self.first, self.places.turns, self.cache)
        if self.states is not None:
            self.states = [torch.cat([old, each]) for old, each in zip(self.states, hidden.float().cpu()[:, None], strict=True)]
        return out[:, : self.vocab_size].float().cpu()

    def _splits(self) -> int:
        config = self.modules[0].config
        return int(config.tensor_model_parallel_size) if config.sequence_parallel else 1

    def _cut(self) -> bool:
        """Whether every step reads whole texts: what is kept is of no use, as the first token that is seen moves on."""
        if self.cache is not None and max(map(len, self.texts)) > self.context:
            self.cache = None
        return self.cache is None

    def _take(self, rows: Sequence[int]) -> None:
        self.texts = [list(self.texts[row]) for row in rows]
        if self.states:
            self.states = [self.states[row] for row in rows]
        if self.cache is not None:
            self.cache.take(rows)
            self.first = self.first[torch.tensor(rows, device=self.device)]

    def _new(self, tokens: torch.Tensor, new: int) -> torch.Tensor | None:
        """`tokens` [rows, length], the last `new` of which are new and the others filler, after what is kept."""
        assert self.cache is not None
        start = self.cache.length
        slot = torch.arange(start + new - tokens.shape[1], start + new, device=self.device)
        begin = self.first[:, None]
        visible = torch.stack([torch.minimum(begin, slot.clamp(min=0)), (slot + 1).clamp(min=1).expand(len(tokens), -1)], -1)
        if new == 1:
            visible = torch.stack([begin, torch.full_like(begin, start + 1)], -1).expand(-1, tokens.shape[1], -1)
        else:  # filler before a prompt sees itself
            visible = torch.where((slot < begin)[..., None], torch.stack([slot, slot + 1], -1), visible)
        places = (slot - begin).clamp(min=0)
        with self.cache.filled(self.modules, new), self.places.at(places), self._output(last=True) as hidden:
            out = through(self.modules, tokens.shape, lambda chunk: chunk(tokens, places, visible, runtime_gather_output=True))
        if out is None:
            return None
        if self.states is not None:
            fresh = hidden[0].transpose(0, 1).float().cpu()
            if start:
                self.states = [torch.cat([old, each[-1:]]) for old, each in zip(self.states, fresh, strict=True)]
            else:
                self.states = [each[-len(text) :] for each, text in zip(fresh, self.texts, strict=True)]
        return out[:, -1, : self.vocab_size].float().cpu()

    def _whole(self) -> torch.Tensor | None:
        """Of whole texts, or of as much of their ends as is seen."""
        seen = [text[-self.context :] for text in self.texts]
        length = _up(max(map(len, seen)), self._splits())
        tokens = torch.tensor([text + [0] * (length - len(text)) for text in seen], device=self.device)  # nothing sees it
        place = torch.arange(length, device=self.device)
        visible = torch.stack([torch.zeros_like(place), place + 1], -1).expand(len(seen), -1, -1)
        places = place.clamp(max=self.context - 1).expand(len(seen), -1)  # what fills up has no place of its own
        with self._output(last=False) as hidden, self.places.at(places):
            out = through(self.modules, tokens.shape, lambda chunk: chunk(tokens, places, visible, runtime_gather_output=True))
        if out is None:
            return None
        if self.states is not None:
            self.states = [each[: len(text)] for each, text in zip(hidden[0].transpose(0, 1).float().cpu(), seen, strict=True)]
        rows = torch.arange(len(seen), device=out.device)
        return out[rows, torch.tensor([len(text) - 1 for text in seen], device=out.device), : self.vocab_size].float().cpu()

    @contextmanager
    def _output(self, *, last: bool) -> Iterator[list[torch.Tensor]]:
        """Inside, what the output layer is given, [length, rows, width], is put into the list, if states are kept. `last`: logits are of
        each tensor rank's last position alone, as a prompt's others are many numbers that nobody reads."""
        found: list[torch.Tensor] = []

        def given(_: torch.nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
            hidden, *others = inputs
            if self.states is not None:
                found.append(gather_from_sequence_parallel_region(hidden) if self._splits() > 1 else hidden)
            return (hidden[-1:] if last else hidden, *others)

        with ExitStack() as hooks:
            for module in self.modules:
                if module.post_process:
                    hooks.callback(module.output_layer.register_forward_pre_hook(given).remove)
            yield found


def through(modules: Sequence[Any], shape: Sequence[int], call: Callable[[Any], torch.Tensor]) -> torch.Tensor | None:
    """What `call` gives of the last stage, after all stages before it; None on the ranks of others. `shape`: rows, length."""
    rank, ranks = parallel_state.get_pipeline_model_parallel_rank(), parallel_state.get_pipeline_model_parallel_world_size()
    if ranks == 1:
        return call(modules[0])
    config, group = modules[0].config, parallel_state.get_pipeline_model_parallel_group()
    length = shape[1] // (config.tensor_model_parallel_size if config.sequence_parallel else 1)
    length += getattr(modules[0], "prompt", 0)  # positions that adapter=prompt_tuning has before the text's
    out = None
    for number, module in enumerate(modules):
        if (rank, number) != (0, 0):
            device = next(modules[0].parameters()).device
            received = torch.empty(length, shape[0], config.hidden_size, dtype=config.pipeline_dtype, device=device)
            dist.recv(received, parallel_state.get_pipeline_model_parallel_prev_rank(), group=group)
            module.set_input_tensor(received)
        else:
            module.set_input_tensor(None)
        out = call(module)
        if (rank, number) == (ranks - 1, len(modules) - 1):
            return out
        dist.send(out.contiguous(), parallel_state.get_pipeline_model_parallel_next_rank(), group=group)
    return None


def _up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple
