"""A frozen model beside the one that is trained: it sees the same inputs, and the loss is given its logits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from megatron.core import parallel_state
from megatron.core.pipeline_parallel.schedules import get_forward_backward_func
from megatron.core.transformer.module import MegatronModule

from modelwright.errors import ModelwrightError
from modelwright.hooks import discover
from modelwright_plugins.engine import checkpoint, model
from modelwright_plugins.engine.card import ModelCard
from modelwright_plugins.engine.data import Data

Inputs = dict[str, Any]


class Beside(Protocol):
    """What adds to the inputs of a loss, from a model of its own or from the one that is trained."""

    def beside(self, micro_batches: list[Inputs], size: int) -> Iterable[Inputs]:
        """The micro-batches of an update, of `size` sequences each, with more."""


class Reference:
    """This rank's part of it, in the layout of the model that is trained."""

    def __init__(self, chunks: list[MegatronModule], length: int) -> None:
        self.chunks, self.length = [chunk.cuda().eval().requires_grad_(False) for chunk in chunks], length

    @classmethod
    def of(cls, folder: Path, batches: Data, how: Mapping[str, Any]) -> Reference:
        """The newest whole step of a checkpoint's folder. Raises ModelwrightError if it is not for these batches."""
        from modelwright_plugins.engine.adapted import refuse_adapter

        card, ours = ModelCard.read(folder / "model.json", discover().registry), batches.vocabulary
        for what, one, other in (
            ("tokens", card.vocab_size, ours.size),
            ("as the end of a document token", card.end_of_document, ours.end_of_document),
        ):
            if one != other:
                raise ModelwrightError(f"{folder}: the model has {one} {what}, and the one that is trained {other}")
        if card.sequence_length < batches.length:
            raise ModelwrightError(
                f"{folder}: the model was trained on sequences of {card.sequence_length}, and these are of {batches.length}"
            )
        refuse_adapter(folder)
        if (step := checkpoint.latest(folder)) is None:
            raise ModelwrightError(f"{folder} holds no whole checkpoint")
        chunks = model.build(card.architecture, **how, vocab_size=card.vocab_size, sequence_length=card.sequence_length)
        checkpoint.load(folder, step, chunks, None)
        return cls(chunks, batches.length)

    def beside(self, micro_batches: list[Inputs], size: int) -> Iterable[Inputs]:
        """The micro-batches, of `size` sequences, each with the logits [batch, length, vocabulary of this rank] as `loss_reference`.

        They are computed one at a time as they are asked for, or if there is a pipeline all before the first: None except on its last
        rank.
        """
        if parallel_state.get_pipeline_model_parallel_world_size() == 1:
            return self._one_by_one(micro_batches)
        with torch.no_grad():
            found = get_forward_backward_func()(
                forward_step_func=lambda data, chunk: (_asked(chunk, next(data)), lambda logits, **_: logits),
                data_iterator=[iter(micro_batches) for _ in self.chunks],
                model=self.chunks,
                num_microbatches=len(micro_batches),
                seq_length=self.length,
                micro_batch_size=size,
                forward_only=True,
                collect_non_loss_data=True,
            )
        logits = found or [None] * len(micro_batches)
        return [{**inputs, "loss_reference": each} for inputs, each in zip(micro_batches, logits, strict=True)]

    def _one_by_one(self, micro_batches: list[Inputs]) -> Iterator[Inputs]:
        for inputs in micro_batches:
            with torch.no_grad():
                logits = _asked(self.chunks[0], inputs)
            yield {**inputs, "loss_reference": logits}


def _asked(chunk: MegatronModule, inputs: Inputs) -> torch.Tensor:
    out: torch.Tensor = chunk(**{name: value for name, value in inputs.items() if not name.startswith("loss_") and name != "labels"})
    return out
