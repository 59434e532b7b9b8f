"""A training on examples: their batches, the first weights, and what those say of the examples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelwright.component import Job
from modelwright.errors import ModelwrightError
from modelwright_plugins.adapter import Adapter
from modelwright_plugins.aligner import Aligner
from modelwright_plugins.artifacts import Checkpoint, Examples, Tokenizer
from modelwright_plugins.artifacts.examples import StoredExamples
from modelwright_plugins.engine import checkpoint, heads
from modelwright_plugins.engine.adapted import AdapterCard, load_base, refuse_adapter
from modelwright_plugins.engine.card import ModelCard
from modelwright_plugins.engine.example_batches import ExampleBatches, Tokens, longest_held_out
from modelwright_plugins.engine.log_probabilities import Divergence, of_all
from modelwright_plugins.engine.loop import Trainer
from modelwright_plugins.engine.mixed_examples import mixed
from modelwright_plugins.engine.one_rank import on_one_rank
from modelwright_plugins.engine.position import Position
from modelwright_plugins.engine.pretrained import carry_on
from modelwright_plugins.engine.trainer import assembled
from modelwright_plugins.engine.wanted_values import read_so
from modelwright_plugins.objective.loss import Loss
from modelwright_plugins.stage._training import Training
from modelwright_plugins.tokenizer.vocabulary import Vocabulary

if TYPE_CHECKING:
    from modelwright_plugins.architecture import Architecture
    from modelwright_plugins.stage.align import Align

REFERENCE = "reference.npy"


class Alignment(Training):
    """What `Align.run` does, once ranks have joined."""

    stage: Align

    def __init__(self, stage: Align, job: Job, base: ModelCard) -> None:
        self.base, self.first_weights = base, job.take(Checkpoint)
        super().__init__(stage, job)

    def _trainer(self, done: int) -> Trainer:
        stage, job, base = self.stage, self.job, self.base
        aligner: Aligner = job.parts["aligner"]
        adapter: Adapter = job.parts["adapter"]
        tokenizer, examples = job.take(Tokenizer).path, StoredExamples(job.take(Examples).path)
        vocabulary = Vocabulary(base.vocab_size, base.end_of_document, base.special_tokens, tokenizer)
        if examples.vocab_size > base.vocab_size or examples.end_of_document != base.end_of_document:
            raise ModelwrightError(
                f"{examples.folder}: its tokens are others than the model's: {examples.vocab_size} with the end of a document "
                f"{examples.end_of_document}, and the model has {base.vocab_size} and {base.end_of_document}"
            )
        examples.check_tokenizer(tokenizer)
        read = read_so(examples, tokenizer) if aligner.head == "value" else {}
        self.card = replace(base, sequence_length=max(base.sequence_length, stage.sequence_length), head=aligner.head, **read)
        self._refuse_longer(examples)
        batches = self._batches(examples, vocabulary, tokenizer)
        known = self._known() if aligner.needs_reference else None
        refuse_adapter(self.first_weights.path)
        if (step := checkpoint.latest(self.first_weights.path)) is None:
            raise ModelwrightError(f"{self.first_weights.path} holds no whole checkpoint")
        for line in stage.notes(job.parts) if self.first and not done else ():
            print(f"  {line}", flush=True)
        if self.first and not done:
            self.card.write(self.folder / "model.json", job.hooks.registry)
            carry_on(self.first_weights.path, base, self.folder, template=examples.about["template"])
            if adapter.adapts:
                AdapterCard.of(adapter, self.first_weights.path, step).write(self.folder, job.hooks.registry)

        def given(chunks: list[Any]) -> None:
            if not done or adapter.adapts or (aligner.needs_reference and known is None):
                load_base(self.first_weights.path, step, chunks, job.hooks.registry, aligner.head)
            heads.attach(chunks, aligner.head)
            _freeze_predictors(chunks)
            (_still(adapter) if self._compares else adapter).apply(chunks, seed=job.seed)
            heads.train(chunks)

        trainer = assembled(
            {**job.parts, "objective": self._objective(), "architecture": self._architecture()},
            batches,
            global_batch=stage.ramp(),
            micro_batch=stage.micro_batch,
            steps=stage.steps,
            clip=stage.clip,
            weights=given,
        )
        if not aligner.needs_reference:
            return trainer
        found = self._computed(trainer, batches, aligner) if known is None else known
        rows = len(examples.scores)
        batches = replace(batches, reference=found[:rows], mismatched_reference=found[rows:] if aligner.mismatched else None)
        beside = Divergence(trainer.chunks) if aligner.mismatched else None
        return replace(trainer, batches=batches, reference=beside)

    def _batches(self, examples: StoredExamples, vocabulary: Vocabulary, tokenizer: Path) -> Any:
        """What takes the place of batches of a training text."""
        stage, job = self.stage, self.job
        aligner: Aligner = job.parts["aligner"]
        batches = ExampleBatches.of(
            examples,
            aligner,
            vocabulary,
            length=stage.sequence_length,
            global_batch=stage.global_batch,
            seed=job.seed,
            pack=stage.pack,
            multiple=multiple(job.parts),
            before=_conditions(aligner, examples, tokenizer),
        )
        draws = Position.after(stage.steps, stage.ramp()).trained
        batches = mixed(batches, job.parts["mixture"], draws=draws, tokenizer=tokenizer, work=job.out)
        if self.first:
            told = (
                [f"  {_epochs(draws, batches)}"]
                if batches.draws is None
                else batches.draws.table(draws, "examples" if batches.sequences is None else "sequences")
            )
            print("\n".join(told), flush=True)
        return batches

    def _refuse_longer(self, examples: StoredExamples) -> None:
        """ModelwrightError: a held-out row would not fit into the model, which `evaluate` would find only after training."""
        most, values = self.card.sequence_length, self.job.parts["aligner"].head == "value"
        if examples.kind == "prompt" or (longest := longest_held_out(examples, values)) <= most:
            return
        held_out = StoredExamples(examples.folder, "held_out")
        lengths = held_out.lengths - (not values)
        raise ModelwrightError(
            f"{examples.folder} (held_out): {int((lengths > most).sum()):,} of {len(lengths):,} rows are longer than the {most} positions "
            f"that align.sequence_length={self.stage.sequence_length} gives the model, that of {held_out.id_of(int(lengths.argmax()))} by "
            f"{longest - most}; evaluators could not read them: take align.sequence_length={longest}, or have prepare leave out or shorten "
            f"what is too long (prepare.max_length={most + (not values)})"
        )

    @property
    def _compares(self) -> bool:
        """Whether the loss compares log-probabilities with others', which are computed without dropout."""
        aligner: Aligner = self.job.parts["aligner"]
        return aligner.needs_reference or bool(aligner.samples)

    def _architecture(self) -> Architecture:
        found = _without_router_losses(self.base.architecture)
        return _still(found) if self._compares else found

    def _objective(self) -> Loss:
        aligner: Aligner = self.job.parts["aligner"]
        return aligner

    def _known(self) -> NDArray[np.float32] | None:
        """What an earlier attempt of this stage has computed, on every rank: one rank's file may not be on another's machine. It is of the
        same settings and inputs: with others the stage's folder is emptied first."""

        def find() -> NDArray[np.float32] | None:
            try:
                return np.load(self.job.out / REFERENCE, allow_pickle=False)
            except (OSError, ValueError):
                return None

        return on_one_rank(find)

    def _computed(self, trainer: Trainer, batches: ExampleBatches, aligner: Aligner) -> NDArray[np.float32]:
        """Log-probabilities under the first weights, which `trainer` has: of each row, and then of each mismatched reply."""
        size = self.stage.micro_batch * batches.rows
        how = {"causal": trainer.causal, "bar": self.first}
        parts = [
            of_all(trainer.chunks, batches, size, mismatched=which, **how) for which in ([False, True] if aligner.mismatched else [False])
        ]
        found = np.concatenate(parts)
        if self.first:
            with (unfinished := self.job.out / f"{REFERENCE}.part").open("wb") as out:
                np.save(out, found)
            unfinished.replace(self.job.out / REFERENCE)
        return found


def multiple(parts: Mapping[str, Any]) -> int:
    """Of which a batch's positions are one: what a layout can share out over its ranks, and a number format computes well with."""
    from modelwright_plugins.precision.floats import FP32
    from modelwright_plugins.precision.fp8 import FP8

    layout, precision = parts["parallel"], parts["precision"]
    blocks = 32 if isinstance(precision, FP8) else 1 if isinstance(precision, FP32) else 8  # FP8's; of NVIDIA's matrix units
    return math.lcm(blocks, layout.tensor * 2 * layout.context)


def _epochs(drawn: int, batches: ExampleBatches) -> str:
    """How often a training sees its examples."""
    what = "examples" if batches.sequences is None else f"sequences that {len(batches.examples):,} examples are packed into"
    return f"{drawn / batches.count:,.2f} epochs: {drawn:,} draws from {batches.count:,} {what}"


def _without_router_losses(architecture: Architecture) -> Architecture:
    """The same model without losses of its routers. These are means over all tokens, which the engine weights by their number, as a loss
    of pretraining counts tokens; an aligner's counts examples or targets, beside which they would be sequence_length times too strong."""
    names = {field.name for field in fields(architecture)} & {"aux_loss", "z_loss"}
    return replace(architecture, **dict.fromkeys(names, 0.0))


def _freeze_predictors(chunks: list[Any]) -> None:
    """Modules that predict further tokens (multi-token prediction) have no part in an aligner's loss: only weight decay would move them."""
    for chunk in chunks:
        if (predictors := getattr(chunk, "mtp", None)) is not None:
            predictors.requires_grad_(False)


def _still(component: Any) -> Any:
    """The same without dropout, where it has any."""
    return replace(component, dropout=0.0) if getattr(component, "dropout", 0.0) else component


def _conditions(aligner: Aligner, examples: StoredExamples, tokenizer: Path) -> tuple[Tokens, ...]:
    """The tokens that are put before each row, if the aligner puts any."""
    scores = np.unique(examples.scores)  # NaN once
    texts = [aligner.condition(float(score)) for score in scores]
    if not any(texts):
        return ()
    from tokenizers import Tokenizer as Encoder

    encoder = Encoder.from_file(str(tokenizer / "tokenizer.json"))
    tokens = [np.array(encoder.encode(text, add_special_tokens=False).ids, np.int64) for text in texts]
    return tuple(tokens[place] for place in np.searchsorted(scores, examples.scores))
