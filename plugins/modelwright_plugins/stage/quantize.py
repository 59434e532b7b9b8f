"""The stage that keeps a trained model's matrices in few bits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from modelwright.component import Artifact, Job, Parts, Stage
from modelwright_plugins.artifacts import Checkpoint, Examples, Quantization, QuantizationReport, TokenShards
from modelwright_plugins.parallel.available import available
from modelwright_plugins.stage.known_model import Model, OfModel


@dataclass(frozen=True, kw_only=True)
class Quantize(OfModel, Stage):
    """Keep the matrices of a model's linear layers in few bits: a checkpoint that every later stage takes as any other.

    Embeddings, the output matrix, norms and biases stay as they are. A quantizer that calibrates sees rows of training data. What was
    written is read again and compared with the model that it was made of: `quantization.html`.
    """

    uses: ClassVar[tuple[str, ...]] = ("parallel", "precision", "kernel", "attention", "quantizer")
    takes: ClassVar[tuple[type[Artifact], ...]] = (Checkpoint, TokenShards)
    makes: ClassVar[tuple[type[Artifact], ...]] = (Checkpoint, Quantization, QuantizationReport)
    resumable: ClassVar[bool] = True  # where only the comparison is left, nothing is quantized again

    data: Literal["text", "examples"] = "text"  # what it is calibrated and measured on: token shards, or what stage prepare made
    rows: int = 128  # of training data that a quantizer is calibrated with (GPTQ and AWQ use 128)
    compared: int = 64  # rows of held-out data, at most, that the model and the quantized one are compared on
    length: int = 2048  # tokens of a row, at most as many as the model was trained with (GPTQ and SmoothQuant use 2,048)
    batch: int = 8  # rows a forward pass: memory and speed, not what is found

    def __post_init__(self) -> None:
        for name in ("rows", "compared", "length", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is 1 or more")
        object.__setattr__(self, "takes", (Checkpoint, TokenShards if self.data == "text" else Examples))

    def ranks(self, parts: Parts) -> int:
        ranks: int = parts["parallel"].ranks(available()[0])
        return ranks

    def problems(self, parts: Parts) -> list[str]:
        from modelwright_plugins.kernel.transformer_engine import TransformerEngine

        found: list[str] = parts["kernel"].problems() + parts["attention"].problems()
        if not parts["quantizer"].quantizes:
            found.append("quantizer=none leaves the model as it is; quantizer=absmax, or another (modelwright list quantizer)")
        if isinstance(parts["kernel"], TransformerEngine):
            found.append("stage quantize rounds Megatron's own linear layers, and kernel=transformer_engine has others; kernel=torch")
        return found + list(parts["quantizer"].problems(parts))

    def model_after(self, parts: Parts, before: Model, whose: str) -> Model:
        return replace(before, whose=whose, quantizer=parts["quantizer"], adapter=False)

    def model_misfits(self, parts: Parts, model: Model) -> list[str]:
        return [f"{model.few} already; quantize the one that it was made of"] if model.few else []

    def run(self, job: Job) -> dict[str, Any]:
        from modelwright_plugins.stage._quantize import quantized

        return quantized(self, job)
