"""A model's states as features of whole texts, and a model that is trained further to tell classes of texts, in any layout."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from megatron.core import parallel_state
from megatron.core.pipeline_parallel.schedules import get_forward_backward_func
from megatron.core.tensor_parallel import gather_from_sequence_parallel_region
from numpy.typing import NDArray

from modelwright.errors import ModelwrightError
from modelwright_plugins.engine.data import Counted
from modelwright_plugins.engine.evaluating import evaluating
from modelwright_plugins.engine.loop import placed
from modelwright_plugins.objective.loss import Loss
from modelwright_plugins.objective.visible import positions, seen

if TYPE_CHECKING:
    from modelwright_plugins.engine.inference import TrainedModel

FAMILIES = ("decoder", "prefix_decoder", "encoder")
AT_ONCE = 16  # rows of a pass, where nothing is learned
Pool = Literal["first", "last", "mean"]


@dataclass(frozen=True)
class Text:
    """A text, or a pair of texts, as tokens."""

    tokens: tuple[int, ...]
    second: int  # where the second text of a pair begins; as many as there are tokens: nowhere
    label: int = -1  # its class, where that is known


class Pooled:
    """Goes before a chunk's own class: the last pipeline stage gives one vector a row, or what a head makes of it."""

    class_head: torch.nn.Linear  # if it has one

    def forward(self, input_ids: torch.Tensor, position_ids: torch.Tensor, attention_mask: Any, pool: torch.Tensor, **named: Any) -> Any:
        """`pool` FP32 [rows, length]: the weight of each position -> [rows, width], or logits [rows, classes], FP32."""
        me = cast(Any, self)
        ends, me.post_process = me.post_process, False  # so that the last layer's states come out, after the last norm
        try:
            hidden = super().forward(input_ids, position_ids, attention_mask, **named)  # type: ignore[misc]
        finally:
            me.post_process = ends
        if not ends:
            return hidden
        if me.config.mtp_num_layers:  # states of later tokens' layers come behind
            hidden = hidden.chunk(1 + me.config.mtp_num_layers)[0]
        if me.config.sequence_parallel:  # each rank computes the same from there on
            hidden = gather_from_sequence_parallel_region(hidden, tensor_parallel_output_grad=False)
        vectors = torch.einsum("lrw,rl->rw", hidden.float(), pool)
        head = getattr(self, "class_head", None)
        return vectors if head is None else F.linear(vectors, head.weight.float(), head.bias.float())


@contextmanager
def pooling(chunks: Sequence[Any]) -> Iterator[None]:
    """Inside, the chunks give vectors."""
    before = [type(chunk) for chunk in chunks]
    pooled(chunks)
    try:
        yield
    finally:
        for chunk, own in zip(chunks, before, strict=True):
            chunk.__class__ = own


def pooled(chunks: Sequence[Any]) -> None:
    """From here on they do."""
    for chunk in chunks:
        own = type(chunk)
        chunk.__class__ = type(f"Pooled{own.__name__}", (Pooled, own), {})


@dataclass(frozen=True)
class Laid(Counted):
    """How texts stand in a batch: what the engine's trainer asks of batches."""

    texts: Sequence[Text]
    card: Any  # the model's
    multiple: int  # a batch's positions are a multiple of it
    pool: Pool
    seed: int = 0
    rows: int = 1  # of each text

    @property
    def vocabulary(self) -> Any:
        from modelwright_plugins.tokenizer.vocabulary import Vocabulary

        return Vocabulary(self.card.vocab_size, self.card.end_of_document)

    @property
    def length(self) -> int:
        return int(self.card.sequence_length)

    def batch(self, first: int, size: int, part: int = 0, parts: int = 1) -> dict[str, torch.Tensor]:
        """Part `part` of `parts` of the texts `first` to `first + size` - 1, in a random order each epoch."""
        share = size // parts
        return self.laid([self.texts[self.number(first + part * share + place)] for place in range(share)])

    def number(self, drawn: int) -> int:
        epoch, place = divmod(drawn, len(self.texts))
        return int(_order(self.seed, epoch, len(self.texts))[place])

    def positions(self, batch: Mapping[str, torch.Tensor]) -> int:
        return int(batch["input_ids"].shape[1])

    def tokens(self, drawn: int) -> int:
        return sum(len(self.texts[self.number(place)].tokens) for place in range(drawn))

    def laid(self, texts: Sequence[Text]) -> dict[str, torch.Tensor]:
        """Tensors [texts, positions, …]; what fills rows up is seen by no text."""
        shape = (len(texts), -(-max(len(text.tokens) for text in texts) // self.multiple) * self.multiple)
        tokens, types = np.full(shape, self.card.end_of_document, np.int64), np.zeros(shape, np.int64)
        groups, pool = np.ones(shape, np.int64), np.zeros(shape, np.float32)
        for row, text in enumerate(texts):
            size = len(text.tokens)
            tokens[row, :size], groups[row, :size] = text.tokens, 0
            types[row, text.second : size] = 1
            pool[row, {"first": slice(0, 1), "last": slice(size - 1, size), "mean": slice(0, size)}[self.pool]] = 1
        if self.card.architecture.causal:
            groups[:] = 0  # nothing sees what comes after it, which is fast
        visible = np.stack([seen(each, causal=self.card.architecture.causal) for each in groups])
        place = np.minimum(np.stack([positions(each) for each in visible]), self.length - 1)  # filler may go beyond
        found = {"input_ids": tokens, "position_ids": place, "attention_mask": visible, "pool": pool / pool.sum(1, keepdims=True)}
        if getattr(self.card.architecture, "token_types", 0) > 1:
            found["tokentype_ids"] = types
        found["loss_labels"] = np.array([text.label for text in texts])
        return {name: torch.from_numpy(value) for name, value in found.items()}


@lru_cache(2)
def _order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(count)


def vectors(trained: TrainedModel, texts: Sequence[Text], pool: Pool) -> NDArray[np.float32]:
    """Of each text the last layer's states, pooled: [texts, width], the same on every rank."""
    refuse(trained)
    with pooling(trained.chunks):
        return _asked(trained, trained.chunks, texts, pool, trained.chunks[0].config.hidden_size)


def refuse(trained: TrainedModel) -> None:
    """ModelwrightError: it is no model whose states say something of whole texts."""
    family = trained._architecture.family
    if family not in FAMILIES:
        raise ModelwrightError(f"classification is of models of the families {', '.join(FAMILIES)}; this one is of the family {family}")


def _multiple(chunks: Sequence[Any]) -> int:
    """What layout and number format share positions out by."""
    config = chunks[0].config
    return math.lcm(1 if config.params_dtype == torch.float32 else 8, 2 * config.tensor_model_parallel_size)


@torch.no_grad()
def _asked(trained: TrainedModel, chunks: Sequence[Any], texts: Sequence[Text], pool: Pool, width: int) -> NDArray[np.float32]:
    found = np.empty((len(texts), width), np.float32)
    order = sorted(range(len(texts)), key=lambda place: len(texts[place].tokens))  # filler costs as much as text
    laid = Laid(texts, trained.card, _multiple(chunks), pool)
    with evaluating(chunks):
        for at in range(0, len(order), AT_ONCE):
            some = order[at : at + AT_ONCE]
            found[some] = _passed(trained, chunks, laid.laid([texts[place] for place in some]), width)
    return found


def _passed(trained: TrainedModel, chunks: Sequence[Any], batch: dict[str, torch.Tensor], width: int) -> NDArray[np.float32]:
    rows = len(batch.pop("loss_labels"))
    inputs = placed(batch, trained.device, causal=trained._architecture.causal)

    def forward(_: Any, model: torch.nn.Module) -> tuple[torch.Tensor, Any]:
        return model(**inputs), lambda out, **_: out.float()

    # an interleaved schedule wants as many micro-batches as pipeline ranks
    copies = chunks[0].config.pipeline_model_parallel_size if len(chunks) > 1 else 1
    answers = get_forward_backward_func()(
        forward_step_func=forward,
        data_iterator=[None] * len(chunks),
        model=list(chunks),
        num_microbatches=copies,
        seq_length=batch["input_ids"].shape[1],
        micro_batch_size=rows,
        forward_only=True,
        collect_non_loss_data=True,
    )
    answer = answers[0].contiguous() if answers else torch.empty(rows, width, dtype=torch.float32, device=trained.device)
    dist.broadcast(answer, parallel_state.get_pipeline_model_parallel_last_rank(), parallel_state.get_pipeline_model_parallel_group())
    told: NDArray[np.float32] = answer.cpu().numpy()
    return told


@dataclass(frozen=True, kw_only=True)
class ClassLoss(Loss):
    """The mean cross-entropy of texts' classes."""

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        labels = inputs["loss_labels"]
        return F.cross_entropy(output, labels, reduction="sum"), torch.tensor(len(labels), dtype=torch.int, device=labels.device)


def tuned(
    trained: TrainedModel, texts: Sequence[Text], pool: Pool, *, classes: int, lr: float, epochs: int, batch: int, seed: int,
    told: Callable[[int, int, float], None],
) -> Callable[[Sequence[Text]], NDArray[np.float32]]:  # fmt: skip
    """A second model of the same checkpoint, trained with a linear head on these texts; what it is asked gives logits [texts, classes].

    AdamW with weight decay 0.01, 10 % warm-up and a linear way down (Devlin et al. 2019, arXiv:1810.04805, appendix A.3 and code), on the
    engine that pretrains. `told` is called with (step, steps, loss)."""
    from modelwright.hooks import discover
    from modelwright_plugins.engine import checkpoint
    from modelwright_plugins.engine.adapted import load, refuse_adapter
    from modelwright_plugins.engine.trainer import assembled
    from modelwright_plugins.optimizer.adam import AdamW
    from modelwright_plugins.schedule.warmup import Linear

    refuse(trained)
    try:
        refuse_adapter(trained.opened["checkpoint"])  # of which a part alone would learn
    except ModelwrightError as error:
        raise ModelwrightError(f"{error}; classification.tune=false asks the model as it is") from error
    data = parallel_state.get_data_parallel_world_size()
    if batch % data:
        raise ModelwrightError(f"a batch of {batch} texts can't be shared out to {data} data ranks")
    laid = Laid(texts, trained.card, _multiple(trained.chunks), pool, seed)

    def given(chunks: list[Any]) -> None:
        load(trained.opened["checkpoint"], chunks, discover().registry, "value" if trained.head == "value" else "tokens")
        if "step" in trained.opened:  # an earlier checkpoint of it is asked
            checkpoint.load(trained.opened["checkpoint"], trained.opened["step"], chunks, None)
        pooled(chunks)
        for chunk in chunks:
            if chunk.post_process:
                chunk.class_head = _head(chunk, classes, seed)

    steps = max(1, -(-epochs * len(texts) // batch))
    optimizer = AdamW(lr=lr, betas=(0.9, 0.999), weight_decay=0.01)
    parts = {"architecture": trained._architecture, "objective": ClassLoss(), "optimizer": optimizer, "schedule": Linear(warmup=0.1)}
    how: Any = {"global_batch": batch, "micro_batch": math.gcd(batch // data, 8), "steps": steps, "weights": given}
    trainer = assembled({**trained.opened, **parts}, cast(Any, laid), **how)
    for row in trainer.updates():
        told(int(row["step"]), steps, row["loss"])
    chunks = [chunk.module for chunk in trainer.chunks]
    return lambda asked: _asked(trained, chunks, asked, pool, classes)


def _head(chunk: Any, classes: int, seed: int) -> torch.nn.Linear:
    """Each tensor rank has all of it."""
    like = next(chunk.parameters())
    head = torch.nn.Linear(chunk.config.hidden_size, classes)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        head.weight.copy_(torch.randn(head.weight.shape, generator=generator) * 0.02)
        head.bias.zero_()
    head.weight.is_embedding_or_output_parameter = True  # type: ignore[attr-defined]  # no matrix to optimizers of matrices
    return head.to(like)
