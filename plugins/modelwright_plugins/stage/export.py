"""The stage that gives a model to others: as Hugging Face has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from modelwright.component import Artifact, Job, Parts, Stage
from modelwright.errors import ModelwrightError
from modelwright_plugins.artifacts import Checkpoint, HuggingFaceModel, Tokenizer
from modelwright_plugins.progress import progress
from modelwright_plugins.stage.known_model import LENGTH, TOKENS, Model, OfModel


@dataclass(frozen=True, kw_only=True)
class Export(OfModel, Stage):
    """Write a checkpoint's model as Hugging Face has it: safetensors, config, tokenizer with chat template, model card.

    Numbers stay as they were saved; quantized matrices go out in the format (GPTQ, AWQ, compressed-tensors, bitsandbytes) that
    holds what their quantizer stores. Each tensor is read from the checkpoint by itself, whatever layout saved it, and written: no model is
    built, and what is in memory is one tensor. When the run ends it says three lines of Python with which transformers asks the model.
    """

    takes: ClassVar[tuple[type[Artifact], ...]] = (Checkpoint, Tokenizer)
    makes: ClassVar[tuple[type[Artifact], ...]] = (HuggingFaceModel,)

    shard_gb: float = 5.0  # 10^9 bytes; the largest file of weights, of one tensor at least

    def __post_init__(self) -> None:
        if not self.shard_gb > 0:
            raise ValueError(f"shard_gb is {self.shard_gb}; it is above 0")

    def model_misfits(self, parts: Parts, model: Model) -> list[str]:
        """Why Hugging Face's files can't hold it."""
        from modelwright_plugins.architecture.hugging_face import config_of

        if model.adapter:
            return [f"{model.whose} has an adapter: stages=[merge,export] makes a model of it, [export_adapter] PEFT's files"]
        family = None
        try:
            if model.architecture is not None:
                family = config_of(model.architecture, vocab_size=TOKENS, sequence_length=LENGTH)[0].model_type
            if model.quantizer is not None and model.quantizer.quantizes:
                from modelwright_plugins.engine.quantized_formats import MODELS, format_of

                format_of(model.quantizer)
                if family not in (None, *MODELS):
                    return [f"{model.whose}: quantized models are written for {', '.join(MODELS)}, and not for {family}"]
        except ModelwrightError as e:
            return [f"{model.whose}: {e}"]
        return []

    def run(self, job: Job) -> dict[str, Any]:
        from modelwright_plugins.architecture.hugging_face import config_of, sizes
        from modelwright_plugins.engine import adapted, checkpoint, quantized_out
        from modelwright_plugins.engine.card import ModelCard
        from modelwright_plugins.engine.hugging_face_out import Outgoing
        from modelwright_plugins.engine.safetensors_folder import write
        from modelwright_plugins.stage import _exported

        source, tokenizer, registry = job.take(Checkpoint).path, job.take(Tokenizer).path, job.hooks.registry
        if (source / adapted.FILE).is_file():
            raise ModelwrightError(f"{source} holds an adapter: stages=[merge,export] makes a model of it, [export_adapter] PEFT's files")
        card = ModelCard.read(source / "model.json", registry)
        if card.head == "value":
            raise ModelwrightError(f"{source} is a reward model, for which Hugging Face's architectures here have no place")
        try:
            family, config = config_of(card.architecture, vocab_size=card.vocab_size, sequence_length=card.sequence_length)
        except ModelwrightError as e:
            raise ModelwrightError(f"{source}: {e}") from e
        if (step := checkpoint.latest(source)) is None:
            raise ModelwrightError(f"{source} holds no whole checkpoint")
        size = sizes(card.architecture)
        found = Outgoing(checkpoint.step_folder(source, step), family.names, size, vocab_size=card.vocab_size)
        types = {str(tensor.dtype).removeprefix("torch.") for tensor in found.tensors}
        try:
            quantized = quantized_out.opened(found, source, family, size, registry)
        except ModelwrightError as e:
            raise ModelwrightError(f"{source}: {e}") from e
        tensors, read = (found.tensors, found.read) if quantized is None else (quantized.tensors, quantized.read)
        out = job.make(HuggingFaceModel).path
        out.mkdir(parents=True)
        with progress("write", sum(tensor.bytes for tensor in tensors), "B") as bar:
            files = write(out, tensors, read, limit=int(self.shard_gb * 1e9), bar=bar)
        chat = _exported.tokenizer_files(tokenizer, source, card, family, out)
        config["torch_dtype"] = (
            types.pop() if len(types) == 1 else "float32"
        )  # transformers 5 reads it as dtype, and those before read this
        if quantized is not None:
            config["quantization_config"] = quantized.config()
        _exported.configs(config, card, family, chat, out, trained=step > 0)
        parameters = found.numbers if quantized is None else quantized.numbers
        needs = [] if quantized is None else [f"# pip install {quantized.format.needs}"]
        _exported.model_card(job, family, card, parameters, needs + _exported.three_lines(".", family, chat), out, trained=step > 0)
        lines = needs + _exported.three_lines(str((job.run / HuggingFaceModel.name).absolute()), family, chat)
        if quantized is not None:
            print(_exported.said(quantized))
        return {"parameters": parameters, "files": files, "python": lines}
