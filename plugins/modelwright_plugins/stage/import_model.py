"""The stage that takes a model of Hugging Face's in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from modelwright.component import Artifact, Job, Parts, Stage
from modelwright.errors import ModelwrightError
from modelwright_plugins.artifacts import Checkpoint, Tokenizer
from modelwright_plugins.parallel.available import available
from modelwright_plugins.stage.known_model import Model, OfModel


@dataclass(frozen=True, kw_only=True)
class ImportModel(OfModel, Stage):
    """Take a folder of Hugging Face's in, in any parallel layout: its weights as a checkpoint, and its tokenizer.

    What is read is safetensors, a tensor at a time, and never a pickle. The architecture is what its config.json says.
    """

    uses: ClassVar[tuple[str, ...]] = ("parallel", "precision", "kernel", "attention")
    makes: ClassVar[tuple[type[Artifact], ...]] = (Checkpoint, Tokenizer)

    path: Path | None = None  # the folder, with config.json, safetensors and tokenizer.json
    sequence_length: int | None = None  # tokens of the longest text that it is asked for from here on; null: what config.json says

    def __post_init__(self) -> None:
        if self.sequence_length is not None and self.sequence_length < 1:
            raise ValueError(f"sequence_length is {self.sequence_length}; it is 1 or more")

    def fingerprint(self) -> str:
        """Names, sizes and times of its files."""
        from modelwright_plugins.architecture.hugging_face import stamp

        return stamp(self.path) if self.path is not None else ""

    def ranks(self, parts: Parts) -> int:
        ranks: int = parts["parallel"].ranks(available()[0])
        return ranks

    def problems(self, parts: Parts) -> list[str]:
        from modelwright_plugins.architecture.hugging_face import read_folder

        found: list[str] = parts["kernel"].problems() + parts["attention"].problems()
        if self.path is None:
            return [*found, "import_model.path is null; it is a folder of Hugging Face's"]
        if not (self.path / "tokenizer.json").is_file():
            found.append(
                f"import_model.path={self.path} has no tokenizer.json (transformers writes one with AutoTokenizer.save_pretrained)"
            )
        try:
            read_folder(self.path)
        except ModelwrightError as e:
            found.append(f"import_model.path: {e}")
        return found

    def model_after(self, parts: Parts, before: Model, whose: str) -> Model:
        from modelwright_plugins.architecture.hugging_face import read_folder

        try:
            return Model(whose, read_folder(self.path)[2] if self.path is not None else None)
        except ModelwrightError:  # which `problems` says
            return Model(whose)

    def run(self, job: Job) -> dict[str, Any]:
        from modelwright_plugins.engine import checkpoint, model
        from modelwright_plugins.engine.card import ModelCard
        from modelwright_plugins.engine.hugging_face_in import Incoming
        from modelwright_plugins.engine.start import started
        from modelwright_plugins.engine.trainer import how
        from modelwright_plugins.stage._imported import special_tokens, tokenizer_files
        from modelwright_plugins.tokenizer.encoder import Encoder

        assert self.path is not None
        theirs = Incoming.of(self.path)
        length = self.sequence_length or theirs.length
        positions = getattr(theirs.architecture, "positions", None)
        if positions is not None and length > positions:
            raise ModelwrightError(f"import_model.sequence_length={length} is more than its {positions} positions")
        architecture = theirs.architecture
        out = job.make(Checkpoint).path
        with started(job.parts["parallel"], seed=job.seed):
            import torch.distributed as dist

            if why := architecture.problems(job.parts["parallel"]):
                raise ModelwrightError("; ".join(why))
            if dist.get_rank() == 0:
                tokenizer_files(theirs, job.make(Tokenizer).path)
            dist.barrier()
            end = Encoder(job.make(Tokenizer).path).end_of_document
            special = special_tokens(job.make(Tokenizer).path) if architecture.family == "encoder" else {}
            card = ModelCard(architecture, theirs.vocab_size, length, end, job.seed, special)
            chunks = model.build(architecture, **how(job.parts), vocab_size=card.vocab_size, sequence_length=length)
            theirs.load(chunks, vocab_size=card.vocab_size)
            if dist.get_rank() == 0:
                card.write(out / "model.json", job.hooks.registry)
            checkpoint.save(out, 0, chunks, None, keep_last=1, progress={"updates": 0, "trained": 0})
        return {"tokens": card.vocab_size}
