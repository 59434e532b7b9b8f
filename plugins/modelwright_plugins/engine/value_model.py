"""A reward model to ask: values of tokens, under any layout."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from megatron.core import parallel_state
from megatron.core.pipeline_parallel.schedules import get_forward_backward_func
from numpy.typing import NDArray

from modelwright.errors import ModelwrightError
from modelwright.hooks import discover
from modelwright_plugins.engine import context
from modelwright_plugins.engine.adapted import load
from modelwright_plugins.engine.card import ModelCard
from modelwright_plugins.engine.loop import placed
from modelwright_plugins.engine.model import build
from modelwright_plugins.engine.start import find_device, started
from modelwright_plugins.engine.trainer import how as of_model
from modelwright_plugins.objective.visible import seen

AT_ONCE = 16  # rows of a pass


@contextmanager
def open_values(folder: Path, how: Mapping[str, Any]) -> Iterator[ValueModel]:
    """The reward model of a checkpoint's newest whole step, on all ranks together; `how`: "parallel", "precision", "kernel", "attention"
    and "seed". Where ranks have joined already, in that layout, it is a second model of theirs. ModelwrightError: it is no reward model."""
    registry = discover().registry
    card = ModelCard.read(folder / "model.json", registry)
    if card.head != "value":
        raise ModelwrightError(
            f"{folder} is no reward model, but one of tokens; align makes one with aligner=reward_model or process_reward"
        )
    with nullcontext(find_device()) if dist.is_initialized() else started(how["parallel"], seed=how["seed"]) as device:
        chunks = build(card.architecture, **of_model(how), vocab_size=card.vocab_size, sequence_length=card.sequence_length)
        load(folder, chunks, registry, "value")
        yield ValueModel([chunk.to(device).eval().requires_grad_(False) for chunk in chunks], card, device)


class ValueModel:
    """This rank's part of a reward model."""

    def __init__(self, chunks: list[Any], card: ModelCard, device: torch.device) -> None:
        self.chunks, self.card, self.device = chunks, card, device

    def values(self, rows: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
        """Of each row's tokens (at least one), each with those before it: [its tokens]. Every rank of a model-parallel group calls it with
        the same rows, and gets the same. ModelwrightError: a row is longer than what the model was trained on, or has unknown tokens."""
        if rows and (longest := max(map(len, rows))) > self.card.sequence_length:
            raise ModelwrightError(f"it reads {self.card.sequence_length} tokens, and a prompt and its reply have {longest}")
        if rows and (last := max(map(max, rows))) >= self.card.vocab_size:
            raise ModelwrightError(f"it knows {self.card.vocab_size} tokens, and a text has token {last}: is it another tokenizer's?")
        found: list[Any] = [None] * len(rows)
        order = sorted(range(len(rows)), key=lambda place: len(rows[place]))  # filler costs as much as text
        for first in range(0, len(order), AT_ONCE):
            some = order[first : first + AT_ONCE]
            for place, values in zip(some, self._asked([rows[place] for place in some]), strict=True):
                found[place] = values[: len(rows[place])]
        return found

    @torch.no_grad()
    def _asked(self, rows: list[Sequence[int]]) -> NDArray[np.float32]:
        """[rows, positions]"""
        config, parts = self.chunks[0].config, context.ranks()
        multiple = math.lcm(2 * parts if parts > 1 else 1, parts * config.tensor_model_parallel_size)
        length = -(-max(map(len, rows)) // multiple) * multiple
        text = np.full((len(rows), length), self.card.end_of_document, np.int64)
        for place, row in enumerate(rows):
            text[place, : len(row)] = row
        visible = np.stack([seen(np.zeros(length, np.int64), causal=True)] * len(rows))
        position = np.broadcast_to(np.minimum(np.arange(length), self.card.sequence_length - 1), text.shape)  # filler may go beyond
        whole = {"input_ids": text, "position_ids": position.copy(), "attention_mask": visible}
        tensors = {name: torch.from_numpy(value) for name, value in whole.items()}
        inputs = context.split(placed(tensors, self.device, causal=self.card.architecture.causal))

        def forward(_: Any, model: torch.nn.Module) -> tuple[torch.Tensor, Any]:
            return model(**inputs), lambda values, **_: values.float()

        # an interleaved schedule wants as many micro-batches as pipeline ranks
        copies = config.pipeline_model_parallel_size if len(self.chunks) > 1 else 1
        answers = get_forward_backward_func()(
            forward_step_func=forward,
            data_iterator=[None] * len(self.chunks),
            model=self.chunks,
            num_microbatches=copies,
            seq_length=length,
            micro_batch_size=len(rows),
            forward_only=True,
            collect_non_loss_data=True,
        )
        found = torch.zeros(text.shape, dtype=torch.float32, device=self.device)
        if answers:
            found[:, context.places(length // parts, self.device)] = answers[0]
        if parts > 1:
            dist.all_reduce(found, group=parallel_state.get_context_parallel_group())
        dist.broadcast(found, parallel_state.get_pipeline_model_parallel_last_rank(), parallel_state.get_pipeline_model_parallel_group())
        answer: NDArray[np.float32] = found.cpu().numpy()
        return answer
