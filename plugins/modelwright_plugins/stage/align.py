"""The stage that trains a model further, on examples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from modelwright.component import Artifact, Job, Parts
from modelwright.errors import ModelwrightError
from modelwright_plugins.artifacts import Checkpoint, Examples, Tokenizer
from modelwright_plugins.optimizer.adam import AdamW
from modelwright_plugins.parts import called
from modelwright_plugins.stage._training_stage import TrainingStage
from modelwright_plugins.stage.known_model import Model, OfModel

if TYPE_CHECKING:
    from modelwright_plugins.architecture import Architecture

HIGH = 1e-4  # of AdamW, a rate above which nobody aligns with preferences


@dataclass(frozen=True, kw_only=True)
class Align(OfModel, TrainingStage):
    """Train a checkpoint's model further on examples: conversations, preferences, rankings, in any parallel layout.

    A mixture of experts is aligned without its routers' balancing and z losses (`aux_loss`, `z_loss`), which are weighted for
    pretraining; the checkpoint's architecture keeps them. Where an aligner compares log-probabilities with those of the first weights,
    or of the weights that drew a reply, nothing is dropped out (`dropout`, of the architecture and the adapter): these are whole models'.
    Each data rank draws its own replies, `rollout_batch` at a time; with experts or weights shared out over data ranks (`expert`,
    `fully_sharded`) all of them draw all replies together, so many at a time: more data ranks are no faster there.
    """

    key: ClassVar[str] = "align"
    uses: ClassVar[tuple[str, ...]] = (
        "aligner", "adapter", "mixture", "reward", "generator", "optimizer", "schedule", "parallel", "precision", "kernel", "attention",
        "stability", "tracker",
    )  # fmt: skip
    takes: ClassVar[tuple[type[Artifact], ...]] = (Examples, Checkpoint, Tokenizer)

    steps: int = 500  # updates
    sequence_length: int = 1024  # tokens a row; rows that are longer are an error, and what is shorter is filled up
    global_batch: int = 32  # examples an update, over all ranks; sequences of examples where they are packed
    micro_batch: int = 4  # examples a forward pass, on one rank: memory and speed, not what is learned
    rollout_batch: int = 64  # replies drawn at a time on a data rank, where an aligner learns from such: memory and speed
    pack: bool = True  # put several examples into one sequence where the aligner's loss allows it (SFT); they don't see each other

    def problems(self, parts: Parts) -> list[str]:
        """What can be told without the model, which is the checkpoint's; the rest is told before training."""
        share = self.micro_batch * self._data_ranks(parts)
        found = self.parts_problems(parts) + parts["adapter"].problems(parts) + self._rollout_problems(parts) + parts["mixture"].problems()
        if parts["mixture"].trains:
            found.append(
                f"mixture {called('mixture', parts['mixture'])} weighs texts, by training on them; align takes fixed, temperature …"
            )
        if self.global_batch % share:
            best = max(share, round(self.global_batch / share) * share)
            said = f"align.global_batch={self.global_batch} is not a multiple of align.micro_batch={self.micro_batch}"
            found.append(f"{said} x {share // self.micro_batch} data ranks; nearest that works: align.global_batch={best}")
        return found

    def notes(self, parts: Parts) -> list[str]:
        """What would not stop it, and is likely no intention, one line each: `plan` prints it, and the stage where it begins."""
        aligner, optimizer = parts["aligner"], parts["optimizer"]
        compares = {"preference", "unpaired", "ranking"} & {*aligner.examples} and aligner.head == "tokens"
        if not (compares and isinstance(optimizer, AdamW) and optimizer.lr > HIGH):
            return []
        name = f"aligner {called('aligner', aligner)}"
        return [f"optimizer.lr={optimizer.lr:g} is a rate to pretrain with: papers have 5e-7 to 1e-5 for {name}, small models 2e-5"]

    def _rollout_problems(self, parts: Parts) -> list[str]:
        aligner = parts["aligner"]
        name = f"aligner {called('aligner', aligner)}"
        if not aligner.samples:
            return []
        from modelwright_plugins.aligner.on_policy import OnPolicy
        from modelwright_plugins.generator import Remote
        from modelwright_plugins.generator.sampling import Sampling
        from modelwright_plugins.mixture.weights import Proportional

        if not isinstance(aligner, OnPolicy):  # of a plugin
            return [
                f"{name} has samples={aligner.samples} replies to each prompt, and is no {OnPolicy.__module__}.OnPolicy, which learns so"
            ]
        generator = parts["generator"]
        found: list[str] = generator.problems()
        if not parts["reward"]:
            found.append(f"{name} learns from rewards of its replies, and there is none; such as reward=exact_answer")
        own = Sampling(temperature=1.0, top_p=1.0)
        plain = isinstance(generator, Sampling) and replace(generator, max_new_tokens=own.max_new_tokens, stop=own.stop) == own
        if aligner.untempered and isinstance(generator, Remote):
            other = f"generator {called('generator', generator)} asks a model elsewhere"
            found.append(f"{name} learns from replies of the weights that are trained, and {other}; generator=policy, or aligner=raft")
        elif aligner.untempered and not plain:
            found.append(f"{name} learns from replies drawn from the model's own distribution; generator=policy draws from it")
        elif aligner.samples > 1 and not (isinstance(generator, Sampling | Remote) and getattr(generator, "temperature", True)):
            found.append(f"{name} compares several replies to a prompt, and this generator gives the same each time; generator=sampling")
        if type(parts["mixture"]) is not Proportional:
            found.append(f"mixture {called('mixture', parts['mixture'])}: {name} reads every prompt equally often; mixture=proportional")
        if self.batch_ramp is not None:
            found.append(f"{self.key}.batch_ramp={self.batch_ramp}: {name} has rounds of the same size; {self.key}.batch_ramp=null")
        if parts["stability"].rollbacks:
            said = f"stability.rollbacks={parts['stability'].rollbacks}: {name} can't skip prompts whose replies are not drawn yet"
            found.append(f"{said}; stability=finite")
        return found

    def _data_ranks(self, parts: Parts) -> int:
        layout = parts["parallel"]
        return max(1, self.ranks(parts) // (layout.tensor * layout.pipeline * layout.context))

    def misfits(self, parts: Parts, architecture: Architecture) -> list[str]:
        """What is wrong with training this model so, one line each."""
        return self.fit(parts, architecture) + parts["aligner"].problems(architecture)

    def forecast(self, parts: Parts) -> dict[str, Any]:
        from modelwright_plugins.engine.position import Position

        layout, ranks, data = parts["parallel"], self.ranks(parts), self._data_ranks(parts)
        split = {"data": data, "context": layout.context, "tensor": layout.tensor, "pipeline": layout.pipeline}
        aligner, examples = parts["aligner"], Position.after(self.steps, self.ramp()).trained
        packed = self.pack and aligner.packs
        if aligner.samples:
            rounds = -(-self.steps // aligner.updates)
            drawn = {
                "learns from": f"replies of its own, {aligner.samples} to each prompt, up to {parts['generator'].max_new_tokens} tokens",
                "rounds": f"{rounds:,} of {self.global_batch * aligner.minibatches:,} prompts, {aligner.updates} updates each",
                "replies": f"{rounds * self.global_batch * aligner.minibatches * aligner.samples:,}",
                "first weights": "a second model in memory" if aligner.compares else "not compared with",
            }
        else:
            drawn = {
                "learns from": " or ".join(aligner.examples),
                "sequences of examples" if packed else "examples": f"{examples:,} in {self.steps:,} steps",
                **({"first weights": "one pass over all examples before training, then kept"} if aligner.needs_reference else {}),
            }
        return {
            "ranks": f"{ranks} = " + " x ".join(f"{name} {n}" for name, n in split.items() if name != "context" or n > 1),
            **drawn,
            "micro-batches a step": f"{self.global_batch // (self.micro_batch * data)}",
            **({"note": "; ".join(notes)} if (notes := self.notes(parts)) else {}),
        }

    def model_after(self, parts: Parts, before: Model, whose: str) -> Model:
        length = before.length and max(before.length, self.sequence_length)
        adapter = "adapter" in parts and parts["adapter"].adapts
        return replace(before, whose=whose, quantizer=None, adapter=adapter, length=length)

    def model_misfits(self, parts: Parts, model: Model) -> list[str]:
        return [f"{model.few}, which can't be trained further; train the one that it was made of"] if model.few else []

    def run(self, job: Job) -> dict[str, Any]:
        from modelwright_plugins.engine.card import ModelCard
        from modelwright_plugins.engine.start import started

        base = ModelCard.read(job.take(Checkpoint).path / "model.json", job.hooks.registry)
        if found := self.misfits(job.parts, base.architecture) + job.parts["aligner"].misfits(base.head):
            raise ModelwrightError("; ".join(found))
        with started(job.parts["parallel"], seed=job.seed):
            from modelwright_plugins.stage._align import Alignment
            from modelwright_plugins.stage._on_policy import OnPolicyAlignment

            kind = OnPolicyAlignment if job.parts["aligner"].samples else Alignment
            return kind(self, job, base).run()
