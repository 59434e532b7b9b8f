"""A training on a model's own replies."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelwright.errors import ModelwrightError
from modelwright_plugins.aligner.on_policy import OnPolicy
from modelwright_plugins.artifacts import Tokenizer
from modelwright_plugins.artifacts.examples import StoredExamples
from modelwright_plugins.engine import checkpoint, model
from modelwright_plugins.engine.adapted import load_base
from modelwright_plugins.engine.drawing import Drawing
from modelwright_plugins.engine.loop import Trainer
from modelwright_plugins.engine.one_rank import on_one_rank
from modelwright_plugins.engine.rollout_scores import Scores
from modelwright_plugins.engine.rollouts import OnRollouts, Rollouts
from modelwright_plugins.engine.trainer import how
from modelwright_plugins.objective.loss import Loss
from modelwright_plugins.reward.lacking import lacking
from modelwright_plugins.stage._align import Alignment, multiple
from modelwright_plugins.tokenizer.vocabulary import Vocabulary

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "rollouts"  # in the stage's own


class OnPolicyAlignment(Alignment):
    """What `Align.run` does with an aligner that learns from replies of the model itself, once ranks have joined."""

    scores: Scores

    @property
    def aligner(self) -> OnPolicy:
        found: OnPolicy = self.job.parts["aligner"]
        return found

    def _batches(self, examples: StoredExamples, vocabulary: Vocabulary, tokenizer: Path) -> Rollouts:
        stage, generator = self.stage, self.job.parts["generator"]
        if why := on_one_rank(lambda: lacking(examples, self.job.parts["reward"])):
            raise ModelwrightError(why)
        found = Rollouts.of(
            examples,
            self.aligner,
            vocabulary,
            length=stage.sequence_length,
            global_batch=stage.global_batch,
            seed=self.job.seed,
            multiple=multiple(self.job.parts),
            most=generator.max_new_tokens,
        )
        if self.first:
            rounds = -(-stage.steps // self.aligner.updates)
            drawn = rounds * found.prompts
            print(f"  {rounds:,} rounds of {found.prompts:,} prompts: {drawn / found.count:,.2f} epochs of {found.count:,}", flush=True)
        return found

    def _objective(self) -> Loss:
        return OnRollouts(aligner=self.aligner, rewards=tuple(self.job.parts["reward"]))

    def _trainer(self, done: int) -> Trainer:
        trainer = super()._trainer(done)
        job, stage, rollouts = self.job, self.stage, trainer.batches
        assert isinstance(rollouts, Rollouts)
        self.scores = Scores(job.parts["reward"], {**how(job.parts), "seed": job.seed, "tokenizer": job.take(Tokenizer).path})
        drawing = Drawing(
            rollouts,
            trainer.chunks,
            self._first_weights() if self.aligner.compares else None,
            job.parts["generator"],
            self.scores,
            job.take(Tokenizer).path,
            job.out / FOLDER,
            trainer.causal,
            at_once=stage.rollout_batch,
            micro_batch=stage.micro_batch * rollouts.rows,
            needed=lambda: min(checkpoint.steps(self.folder), default=0),
        )
        return replace(trainer, reference=drawing)

    def run(self) -> dict[str, Any]:
        try:
            return super().run()
        finally:
            self.scores.close()

    def _first_weights(self) -> list[Any]:
        """A second model, which stays as it is; with the adapter as it begins, as other aligners' first weights are."""
        card = self.card
        settings = {**how(self.job.parts), "vocab_size": card.vocab_size, "sequence_length": self.stage.sequence_length}
        chunks = model.build(card.architecture, **settings)
        step = checkpoint.latest(self.first_weights.path)
        assert step is not None
        load_base(self.first_weights.path, step, chunks, self.job.hooks.registry, self.base.head)
        self.job.parts["adapter"].apply(chunks, seed=self.job.seed)
        return [chunk.cuda().eval().requires_grad_(False) for chunk in chunks]
