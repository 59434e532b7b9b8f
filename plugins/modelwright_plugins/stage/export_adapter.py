"""The stage that gives an adapter to others: in the files of Hugging Face's PEFT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from modelwright.component import Artifact, Job, Stage
from modelwright.errors import ModelwrightError
from modelwright_plugins.artifacts import Checkpoint, PeftAdapter
from modelwright_plugins.parts import called

MERGED = " (after stage merge it is): let export_adapter come before merge in stages, or go on from=RUN, the run that trained the adapter"


@dataclass(frozen=True, kw_only=True)
class ExportAdapter(Stage):
    """Write an adapter's checkpoint (lora, dora, qlora) as Hugging Face's PEFT has it, for a model under Hugging Face's names.

    Where they have a layer for each of queries, keys and values, of which ours is one, each has the same A. The files name the folder of
    the base's checkpoint as `base_model_name_or_path`.
    """

    takes: ClassVar[tuple[type[Artifact], ...]] = (Checkpoint,)
    makes: ClassVar[tuple[type[Artifact], ...]] = (PeftAdapter,)

    def run(self, job: Job) -> dict[str, Any]:
        from modelwright_plugins.adapter._peft import write
        from modelwright_plugins.adapter.dora import DoRA
        from modelwright_plugins.adapter.lora import LoRA
        from modelwright_plugins.architecture.hugging_face import family, sizes
        from modelwright_plugins.engine.adapted import AdapterCard, matrices
        from modelwright_plugins.engine.card import ModelCard

        source, registry = job.take(Checkpoint).path, job.hooks.registry
        if (card := AdapterCard.read(source, registry)) is None:
            raise ModelwrightError(f"{source} holds no adapter to be exported; it is a whole model{MERGED}")
        if not isinstance(card.adapter, LoRA):
            raise ModelwrightError(f"{source} holds adapter {called('adapter', card.adapter)}; what is exported is lora, dora and qlora")
        architecture = ModelCard.read(source / "model.json", registry).architecture
        if (name := family(architecture)) is None:
            raise ModelwrightError(f"{source}: Hugging Face's names for this architecture are not known (Llama's and GPT-2's are)")
        found = matrices(source)
        out = job.make(PeftAdapter).path
        write(out, found, name, sizes(architecture), adapter=card.adapter, dora=isinstance(card.adapter, DoRA), base=str(card.base))
        return {"layers": len(found)}
