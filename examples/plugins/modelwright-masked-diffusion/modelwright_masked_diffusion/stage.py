"""The stage that writes text with a masked diffusion model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from modelwright.api import Artifact, Job, ModelwrightError, Parts, Stage
from modelwright_masked_diffusion.denoiser import MASK, Logits
from modelwright_plugins.artifacts import Checkpoint, Tokenizer

if TYPE_CHECKING:
    import torch


class Samples(Artifact):
    """A JSON file: [{"prompt": str, "text": str, "tokens": int}], the text up to the end of its document, without the prompt."""

    name: ClassVar[str] = "samples.json"
    published: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class Denoise(Stage):
    """Write samples with a masked diffusion model: prompts, and masked tokens that the denoiser fills in."""

    uses: ClassVar[tuple[str, ...]] = ("denoiser", "parallel", "precision", "kernel", "attention")
    takes: ClassVar[tuple[type[Artifact], ...]] = (Checkpoint, Tokenizer)
    makes: ClassVar[tuple[type[Artifact], ...]] = (Samples,)

    prompts: list[str] = field(default_factory=lambda: [""])  # beginnings of documents
    samples: int = 4  # texts for each prompt
    length: int | None = None  # tokens of a text with its prompt; None: as long as the training's sequences

    def __post_init__(self) -> None:
        for name in ("samples", "length"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is 1 or more")
        if not self.prompts:
            raise ValueError("prompts is empty; [''] is a text without a prompt")

    def ranks(self, parts: Parts) -> int:
        from modelwright_plugins.parallel.available import available

        ranks: int = parts["parallel"].ranks(available()[0])
        return ranks

    def problems(self, parts: Parts) -> list[str]:
        found: list[str] = parts["kernel"].problems() + parts["attention"].problems()
        layout = parts["parallel"]
        if layout.pipeline > 1:
            found.append(
                f"denoise: parallel.pipeline={layout.pipeline}: it runs on tensor ranks only; denoise in a run with parallel.pipeline=1"
            )
        if self.length is not None and layout.settings().get("sequence_parallel") and self.length % layout.tensor:
            found.append(f"denoise.length={self.length} is not a multiple of parallel.tensor={layout.tensor}, as parallel.sequence wants")
        return found

    def run(self, job: Job) -> Mapping[str, float] | None:
        from tokenizers import Tokenizer as Fast

        from modelwright_masked_diffusion._model import MaskPredictor
        from modelwright_plugins.engine.inference import open_model
        from modelwright_plugins.progress import progress

        tokenizer = Fast.from_file(str(job.take(Tokenizer).path / "tokenizer.json"))
        where = {kind: job.parts[kind] for kind in ("parallel", "precision", "kernel", "attention")}
        with open_model(job.take(Checkpoint), **where, seed=job.seed) as model:
            if not isinstance(model.chunks[0], MaskPredictor):
                raise ModelwrightError(
                    f"{job.take(Checkpoint).path} is no masked diffusion model; denoise wants architecture=bidirectional_decoder"
                )
            length, end = self.length or model.sequence_length, model.end_of_document
            begun = [[end, *tokenizer.encode(prompt, add_special_tokens=False).ids] for prompt in self.prompts for _ in range(self.samples)]
            if (longest := max(map(len, begun))) >= length:
                raise ModelwrightError(f"denoise.length={length}: a prompt has {longest} tokens with the end of the document before it")
            canvas = _canvas(begun, length)
            with progress("denoising", int((canvas == MASK).sum()), "tok") if model.rank == 0 else nullcontext() as bar:
                filled = job.parts["denoiser"].denoise(_asker(model, bar), canvas, seed=job.seed)
            if model.rank != 0:  # all ranks do the work, and one writes
                return None
        samples: list[dict[str, Any]] = []
        for text, first in zip(filled.tolist(), begun, strict=True):
            written = text[len(first) :]
            written = written[: written.index(end)] if end in written else written
            prompt = self.prompts[len(samples) // self.samples]
            samples.append({"prompt": prompt, "text": tokenizer.decode(written), "tokens": len(written)})
        job.make(Samples).path.write_text(json.dumps(samples, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return {"tokens_a_sample": sum(sample["tokens"] for sample in samples) / len(samples)}


def _canvas(begun: list[list[int]], length: int) -> torch.Tensor:
    """Rows of `length` tokens: what has begun, and masks."""
    import torch

    return torch.tensor([row + [MASK] * (length - len(row)) for row in begun])


def _asker(model: Any, bar: Any) -> Logits:
    """The opened model as a denoiser asks it; the bar, if there is one, shows how many tokens are filled in."""
    import torch

    @torch.no_grad()
    def ask(tokens: torch.Tensor) -> torch.Tensor:
        if bar is not None:
            bar.update(max(bar.total - int((tokens == MASK).sum()) - bar.n, 0))
        tokens = tokens.to(model.device)
        position = torch.arange(tokens.shape[1], device=model.device).expand_as(tokens)
        logits: torch.Tensor = model.chunks[0](tokens, position, None, runtime_gather_output=True)
        return logits.float()

    return ask
