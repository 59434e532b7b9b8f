"""The stage that makes a plain model of an adapter and the model that it was trained on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from modelwright.component import Artifact, Job, Parts, Stage
from modelwright_plugins.artifacts import Checkpoint
from modelwright_plugins.parallel.available import available
from modelwright_plugins.stage.known_model import Model, OfModel


@dataclass(frozen=True, kw_only=True)
class Merge(OfModel, Stage):
    """Put an adapter's checkpoint into the plain weights of the model that it was trained on: a checkpoint as any other."""

    uses: ClassVar[tuple[str, ...]] = ("parallel", "precision", "kernel", "attention")
    takes: ClassVar[tuple[type[Artifact], ...]] = (Checkpoint,)
    makes: ClassVar[tuple[type[Artifact], ...]] = (Checkpoint,)

    def ranks(self, parts: Parts) -> int:
        ranks: int = parts["parallel"].ranks(available()[0])
        return ranks

    def problems(self, parts: Parts) -> list[str]:
        found: list[str] = parts["kernel"].problems() + parts["attention"].problems()
        return found

    def model_after(self, parts: Parts, before: Model, whose: str) -> Model:
        return replace(before, whose=whose, quantizer=None, adapter=False)

    def run(self, job: Job) -> dict[str, Any]:
        from modelwright.errors import ModelwrightError
        from modelwright_plugins.engine import checkpoint, model
        from modelwright_plugins.engine.adapted import load
        from modelwright_plugins.engine.card import ModelCard
        from modelwright_plugins.engine.pretrained import carry_on
        from modelwright_plugins.engine.start import started
        from modelwright_plugins.engine.trainer import how

        source, out, registry = job.take(Checkpoint).path, job.make(Checkpoint).path, job.hooks.registry
        card = ModelCard.read(source / "model.json", registry)
        with started(job.parts["parallel"], seed=job.seed):
            import torch.distributed as dist

            chunks = model.build(card.architecture, **how(job.parts), vocab_size=card.vocab_size, sequence_length=card.sequence_length)
            progress, adapter = load(source, chunks, registry, card.head)
            if adapter is None:
                raise ModelwrightError(f"{source} holds no adapter to be merged; it is a whole model already")
            adapter.merge(chunks)
            if dist.get_rank() == 0:
                card.write(out / "model.json", registry)
                carry_on(source, card, out)
            checkpoint.save(out, progress["updates"], chunks, None, keep_last=1, progress=progress)
        return {}
