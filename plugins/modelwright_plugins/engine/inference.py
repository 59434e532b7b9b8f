"""A trained model to ask: losses of tokens, logits of the next one, and what texts go on with, under any layout."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from numpy.typing import NDArray

from modelwright.errors import ModelwrightError
from modelwright.hooks import discover
from modelwright.registry import Registry
from modelwright_plugins.artifacts import Checkpoint
from modelwright_plugins.attention import Attention
from modelwright_plugins.engine.card import Head, ModelCard
from modelwright_plugins.engine.pretrained import seen_of
from modelwright_plugins.engine.start import started
from modelwright_plugins.evaluator.likelihood import without_likelihood
from modelwright_plugins.generator import Generated, Generator, Stop
from modelwright_plugins.generator.seeds import seed_of
from modelwright_plugins.kernel import Kernel
from modelwright_plugins.objective.visible import documents, seen
from modelwright_plugins.parallel import Parallel
from modelwright_plugins.precision import Precision

if TYPE_CHECKING:
    from modelwright_plugins.engine.classifying import Pool, Text


@contextmanager
def open_model(
    checkpoint: Checkpoint, *, parallel: Parallel, precision: Precision, kernel: Kernel, attention: Attention, seed: int
) -> Iterator[TrainedModel]:
    """The model of the checkpoint's newest whole step, on all ranks of `parallel` together. An adapter's is that of the weights that it
    was trained on, with it."""
    parallel = without_context(parallel)
    how = {"parallel": parallel, "precision": precision, "kernel": kernel, "attention": attention}
    with started(parallel, seed=seed) as device:
        yield read_model(checkpoint.path, how, device, registry=discover().registry)


def without_context(parallel: Parallel) -> Parallel:
    """The layout to ask a model in: an answer needs no sequence split, and ranks that share one answer as data ranks do."""
    return replace(parallel, context=1) if parallel.context > 1 else parallel  # type: ignore[call-arg]


def read_model(folder: Path, how: Mapping[str, Any], device: torch.device, *, registry: Registry, plain: bool = False) -> TrainedModel:
    """The model of a checkpoint's newest whole step, on ranks that are `started`. All together.

    `how`: parallel, precision, kernel and attention that it is computed with; `plain`: to be written again, with all of its heads, and its
    adapter merged."""
    from modelwright_plugins.engine.adapted import load
    from modelwright_plugins.engine.model import build

    card = ModelCard.read(folder / "model.json", registry)
    chunks = build(card.architecture, **how, vocab_size=card.vocab_size, sequence_length=card.sequence_length)
    progress, adapter = load(folder, chunks, registry, card.head if plain or card.head == "value" else "tokens")
    if plain and adapter is not None:
        adapter.merge(chunks)
    chunks = [chunk.to(device).eval() for chunk in chunks]
    return TrainedModel(chunks, card, device, progress, {"checkpoint": folder, **how})


class TrainedModel:
    """Each rank calls each method, with the same tokens, and gets the same answer. They raise ModelwrightError if the model doesn't
    predict the next token."""

    head: Head = "tokens"

    def __init__(
        self,
        chunks: list[Any],
        card: ModelCard,
        device: torch.device,
        progress: Mapping[str, Any] = MappingProxyType({}),
        opened: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """`progress`: what the checkpoint tells of it. `opened`: the checkpoint's folder, and the layout and what else it is computed with;
        without these no second one can be trained."""
        self.chunks, self.device = chunks, device
        self.sequence_length, self.vocab_size, self.end_of_document = card.sequence_length, card.vocab_size, card.end_of_document
        self.rank = dist.get_rank()
        self._architecture, self.head, self.card = card.architecture, card.head, card
        self.seen, self.progress, self.opened = seen_of(card, progress), progress, opened
        self.causal, self.special_tokens = card.architecture.causal, card.special_tokens

    def token_losses(self, tokens: torch.Tensor, *, apart: bool = True) -> torch.Tensor:
        """Loss of predicting each token but the first from those before it: int64 [batch, length + 1] -> FP32 nats [batch, length].

        `apart`: an end-of-document token begins another document, which sees nothing before it, as in pretraining; False: a row is one
        text, as a conversation is."""
        tokens = tokens.to(self.device)
        return self._ask(tokens[:, :-1], lambda losses: losses.float(), tuple(tokens[:, 1:].shape), apart, labels=tokens[:, 1:])

    def token_scores(self, tokens: torch.Tensor, *, apart: bool = True) -> torch.Tensor:
        """Of each token but the first, FP32 [2, batch, length]: its loss, as `token_losses`; and 1 where it is the likeliest token there, 0
        where another is. The whole logits come to each tensor rank for it."""
        tokens = tokens.to(self.device)
        wanted = tokens[:, 1:]

        def read(logits: torch.Tensor) -> torch.Tensor:
            logits = logits.float()
            nats = logits.logsumexp(-1) - logits.gather(-1, wanted[..., None])[..., 0]
            return torch.stack([nats, (logits.argmax(-1) == wanted).float()])

        return self._ask(tokens[:, :-1], read, (2, *wanted.shape), apart)

    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """Of each token but the first, from those before it: int64 [batch, length + 1] -> FP32 [batch, length, vocab_size]. Rows are as in
        pretraining: an end-of-document token begins another document."""
        tokens = tokens.to(self.device)
        wanted = (*tokens[:, 1:].shape, self.vocab_size)
        return self._ask(tokens[:, :-1], lambda logits: logits[..., : self.vocab_size].float(), wanted, apart=True)

    def next_logits(self, tokens: torch.Tensor, at: torch.Tensor | None = None) -> torch.Tensor:
        """Logits of the token after position `at` of each row (int64 [batch]; None: the last): int64 [batch, length] -> FP32
        [batch, vocab_size]. What stands after `at` has no influence. A row is one text, whatever tokens it has."""
        tokens = tokens.to(self.device)
        rows = torch.arange(len(tokens), device=self.device)
        place = torch.full_like(rows, tokens.shape[1] - 1) if at is None else at.to(self.device)
        return self._ask(tokens, lambda logits: logits[rows, place].float(), (len(tokens), self.vocab_size), apart=False)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        generator: Generator,
        *,
        seed: int,
        max_new_tokens: int | None = None,
        end: int | Collection[int] | None = None,
        stop: Stop | None = None,
        bar: Any = None,
    ) -> list[Generated]:
        """What each prompt (token ids, at least one) goes on with, drawn for with its own `seed_of(seed, i)`. Data ranks share them out.

        A prompt is one text: end tokens inside of it begin nothing new. `max_new_tokens`: if not the generator's; `end`: tokens that end a
        reply, if not the end of a document; `stop`: whether a reply ends after these tokens of it; `bar`: is updated by prompts."""
        from megatron.core import parallel_state

        from modelwright_plugins.engine.generation import generate
        from modelwright_plugins.engine.second_model import Asked

        if why := without_likelihood(self._architecture, self.head):
            raise ModelwrightError(why)
        if max_new_tokens is not None:
            generator = replace(generator, max_new_tokens=max_new_tokens)  # type: ignore[call-arg]
        group = parallel_state.get_data_parallel_group()
        mine = range(group.rank(), len(prompts), group.size())
        found = generate(
            self.chunks,
            [prompts[number] for number in mine],
            generator,
            end=self.end_of_document if end is None else end,
            context=self.sequence_length,
            seeds=[seed_of(seed, number) for number in mine],
            vocab_size=self.vocab_size,
            stop=stop,
            bar=bar,
            own=Asked(self.card, self.opened),
        )
        every: list[Any] = [None] * group.size()
        dist.all_gather_object(every, found, group=group)
        return [every[number % group.size()][number // group.size()] for number in range(len(prompts))]

    def values(self, rows: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
        """What a reward model says at each token of each row, with those before it: [its tokens]. ModelwrightError: it is none."""
        from modelwright_plugins.engine.value_model import ValueModel

        if self.head != "value":
            raise ModelwrightError("it is a model of tokens, and no reward model: it gives no values")
        return ValueModel(self.chunks, self.card, self.device).values(rows)

    def vectors(self, texts: Sequence[Text], pool: Pool) -> NDArray[np.float32]:
        """The last layer's states of each text, pooled: [texts, width]. An encoder has them too."""
        from modelwright_plugins.engine.classifying import vectors

        return vectors(self, texts, pool)

    def tuned(self, texts: Sequence[Text], pool: Pool, **how: Any) -> Callable[[Sequence[Text]], NDArray[np.float32]]:
        """A second model of the checkpoint, trained to tell these texts' classes: `engine/classifying.py` says how. This one stays."""
        from modelwright_plugins.engine.classifying import tuned

        return tuned(self, texts, pool, **how)

    @torch.no_grad()
    def _ask(
        self, tokens: torch.Tensor, read: Any, shape: tuple[int, ...], apart: bool, labels: torch.Tensor | None = None
    ) -> torch.Tensor:
        """`read` of the logits [batch, length, vocab_size], or of the losses [batch, length] if there are labels, on every rank:
        only those of a last pipeline stage have them."""
        from megatron.core import parallel_state
        from megatron.core.pipeline_parallel.schedules import get_forward_backward_func

        if why := without_likelihood(self._architecture, self.head):
            raise ModelwrightError(why)
        ranks = self.chunks[0].config.tensor_model_parallel_size if self.chunks[0].config.sequence_parallel else 1
        length = -(-tokens.shape[1] // ranks) * ranks  # sequence parallelism splits it evenly; what comes later is never seen
        text = F.pad(tokens, (0, length - tokens.shape[1]))
        wanted = {"runtime_gather_output": True} if labels is None else {"labels": F.pad(labels, (0, length - tokens.shape[1]))}
        whole = np.zeros(length, dtype=np.int64)
        parts = [documents(row, self.end_of_document) if apart else whole for row in text.cpu().numpy()]
        visible = torch.from_numpy(np.stack([seen(part, causal=True) for part in parts]))
        visible, position = visible.to(self.device), torch.arange(length, device=self.device) - visible[:, :, 0].to(self.device)
        # an interleaved schedule wants as many micro-batches as pipeline ranks
        copies = self.chunks[0].config.pipeline_model_parallel_size if len(self.chunks) > 1 else 1

        def forward(_: Any, model: torch.nn.Module) -> tuple[torch.Tensor, Any]:
            return model(text, position, visible, **wanted), lambda out, **_: read(out[:, : tokens.shape[1]])

        answers = get_forward_backward_func()(
            forward_step_func=forward,
            data_iterator=[None] * len(self.chunks),
            model=self.chunks,
            num_microbatches=copies,
            seq_length=length,
            micro_batch_size=len(text),
            forward_only=True,
            collect_non_loss_data=True,
        )
        answer = answers[0].contiguous() if answers else torch.empty(shape, dtype=torch.float32, device=self.device)
        source = parallel_state.get_pipeline_model_parallel_last_rank()
        dist.broadcast(answer, source, parallel_state.get_pipeline_model_parallel_group())
        return answer
