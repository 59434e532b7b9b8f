"""What classifiers of texts have in common: two classes of examples, or a model that was trained on them before."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from modelwright.errors import ModelwrightError
from modelwright_plugins.filter import Filter

if TYPE_CHECKING:
    from modelwright_plugins.filter._classifier import Model

ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".txt", ".txt.gz")


@dataclass(frozen=True, kw_only=True)
class Classifier(Filter):
    """Decides by a probability: logistic regression on hashed words and word n-grams."""

    model: Path | None = None  # trained before: the .safetensors file that `keep` named then
    keep: Path | None = None  # .safetensors file to write the model to, its ROC beside it; a stage that is reused (run.reuse) writes none
    ngram: int = 2  # words of the longest n-gram that is looked at, from 1 to 5
    buckets: int = 262_144  # for n-grams, by hash: a power of two; the model has 4 bytes for each
    l2: float = 1e-7  # half of it times the squared weights is added to the mean log loss
    threshold: float = 0.5  # of the probability; the classes count alike in training, however many examples they have

    classes: ClassVar[tuple[str, str]]  # parameters that name examples; the probability is that of the first
    component: ClassVar[str]

    def __post_init__(self) -> None:
        if not 1 <= self.ngram <= 5:
            raise ValueError(f"ngram is {self.ngram}; it is from 1 to 5")
        if self.buckets.bit_count() != 1 or not 10 <= self.buckets.bit_length() - 1 <= 26:
            raise ValueError(f"buckets is {self.buckets}; it is a power of two from {1 << 10:,} to {1 << 26:,}")
        if not self.l2 > 0:
            raise ValueError(f"l2 is {self.l2}; it is above 0: without it weights grow for ever where a word is in one class only")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold is {self.threshold}; it is a probability from 0 to 1")
        if self.keep is not None and self.keep.suffix != ".safetensors":
            raise ValueError(f"keep is {str(self.keep)!r}; its name ends in .safetensors")

    def reads(self) -> Mapping[str, Sequence[Path]]:
        return {"model": [self.model] if self.model else [], **{name: getattr(self, name) for name in self.classes}}

    def problems(self) -> list[str]:
        from modelwright_plugins.filter._classifier import read

        first, second = self.classes
        given = [name for name in self.classes if getattr(self, name)]
        if self.model is None and len(given) < 2:
            missing = second if given == [first] else first
            return [f"{missing}: examples of both classes are needed ({first}, {second}), or a trained model (model)"]
        if self.model is not None and (given or self.keep):
            return [f"model: it is trained already; give either it, or {first}, {second} and keep"]
        if found := super().problems():
            return found
        try:
            if self.model is not None:
                read(self.model, self.classes)
            elif self.keep is not None and self.keep.exists():
                read(self.keep, self.classes)
        except ValueError as error:
            return [f"model: {error}" if self.model else f"keep: something else is there, which would be lost: {error}"]
        return [line for name in given if (line := self._unfit(name))]

    def _unfit(self, name: str) -> str:
        """What is wrong with the first examples: enough to find a wrong key, and too few, before anything runs."""
        from modelwright_plugins.filter._classifier import LEAST
        from modelwright_plugins.filter._features import tokens

        for path in getattr(self, name):
            if path.is_dir() or not path.name.endswith(ENDINGS):
                return f"{name}: {path} is no file of texts; its name ends in {', '.join(ENDINGS)}"
        different = set()
        try:
            for text in texts(getattr(self, name)):
                if tokens(text):
                    different.add(text)
                if len(different) == LEAST:
                    return ""
        except ValueError as error:
            return f"{name}: {error}"
        return f"{name}: it has {len(different)} different texts with words; at least {LEAST} are needed"

    def trained(self) -> Model:
        """The model that is read, or made and kept; what it does to texts that were held out is printed."""
        from modelwright_plugins.filter._classifier import read, train

        key = f"filter.{self.component}"
        try:
            if self.model is not None:
                model = read(self.model, self.classes)
            else:
                sides = [texts(getattr(self, name)) for name in self.classes]
                model = train(self.classes, sides, self.ngram, self.buckets.bit_length() - 1, self.l2)
        except (ValueError, OSError) as error:
            raise ModelwrightError(f"{key}.{f'model: {error}' if self.model else error}") from error
        if self.keep is not None:
            from modelwright_plugins.filter._roc import drawn

            try:
                model.keep(self.keep)
                self.keep.with_suffix(".roc.svg").write_text(drawn(model, self.threshold), encoding="utf-8")
            except ValueError as error:
                raise ModelwrightError(f"{key}.keep: {error}") from error
            except OSError as error:
                raise ModelwrightError(f"{key}.keep: it can't be written: {error}") from error
        print(f"  {self.told(model)}", flush=True)
        return model

    def told(self, model: Model) -> str:
        """One line: what it was trained on, and what it does to examples that were held out."""
        counts = " and ".join(f"{count:,} {name}" for count, name in zip(model.trained_on, self.classes, strict=True))
        others = " and ".join(f"{len(side):,}" for side in model.held_out)
        return f"{self.component}: trained on {counts} texts; {others} held out: AUC {model.auc():.3f}, {self.decides(model)}"

    @abstractmethod
    def decides(self, model: Model) -> str:
        """What it does to the examples that were held out."""


def texts(paths: Sequence[Path]) -> Iterator[str]:
    """Of .jsonl files the key text, of .txt files each paragraph. ValueError: a file is damaged, or a record has no text."""
    from modelwright_plugins.filter._evaluation import examples
    from modelwright_plugins.source import BadRecord
    from modelwright_plugins.source.jsonl import Jsonl

    for path in paths:
        if ".jsonl" not in path.name:
            yield from (passage.strip() for example in examples(path, ()) for passage in example)
            continue
        source = Jsonl(paths=[str(path)])
        for file in source.files():
            for number, found in enumerate(source.read(file), 1):
                if isinstance(found, BadRecord):
                    raise ValueError(f"{path} line {found.line or number}: {found.reason}")
                yield found.text
