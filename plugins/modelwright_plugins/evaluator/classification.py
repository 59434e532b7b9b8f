"""Classes of texts, told by a model's states."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from modelwright.errors import ModelwrightError, nearest
from modelwright_plugins.evaluator import Score
from modelwright_plugins.evaluator._of_files import OfFiles

if TYPE_CHECKING:
    from modelwright.component import Parts
    from modelwright_plugins.evaluator.model import Model


RAGGED = 0.01  # share of lines of too many or too few columns, above which a file is not what it is taken for


@dataclass(frozen=True)
class Row:
    """A text, or a pair, and what it is."""

    texts: tuple[str, ...]
    label: str


@dataclass(frozen=True, kw_only=True)
class Classification(OfFiles):
    """A classifier of a model's states, learned from one TSV of GLUE's kind and judged on another.

    GLUE is Wang et al. 2019 (arXiv:1804.07461). A text stands after an end-of-document token, and before another one of a pair's second
    text; of a model that knows them, [CLS] comes first and [SEP] after each. Its last layer's states are pooled to a vector. Frozen,
    classes are told from vectors by logistic regression with L2 (scikit-learn's LogisticRegression of C = 1, on standardised vectors);
    with `tune` the model is trained too, as Devlin et al. 2019 (arXiv:1810.04805, appendix A.3) and Radford et al. 2018 do, on a second
    copy: what is judged after it is as it was.

    `accuracy`; `f1` of the last of two classes in the order of their names ("1"), or of more classes their mean, `macro_f1`; `matthews`,
    the correlation of Gorodkin 2004. `predictions.jsonl` has each text with its label and what was told.
    """

    train: Path  # TSV to learn from
    test: Path  # TSV to be judged on, with labels
    columns: list[str] = field(default_factory=lambda: ["sentence"])  # of the text, or of both texts of a pair (sentence1, sentence2)
    label: str = "label"  # column of the class
    header: bool = True  # the first line has the columns' names; false: they are numbers from 1 (CoLA: columns=["4"], label="2")
    examples: int | None = None  # the first so many lines of the one and of the other; null: all
    pool: Literal["first", "last", "mean"] | None = None  # whose states; null: the first token's of an encoder, the last one's of a decoder
    tune: bool = False  # the model learns too; false: the classifier alone
    lr: float = 2e-5  # with tune: peak learning rate, a step (Devlin et al.: 2e-5 to 5e-5); small models want more
    epochs: int = 3  # with tune: how often each text is learned from
    batch: int = 32  # with tune: texts an update

    def __post_init__(self) -> None:
        if not 1 <= len(self.columns) <= 2:
            raise ValueError(f"columns is {self.columns}; it is one column, or two of a pair")
        if not self.header and (odd := [name for name in (*self.columns, self.label) if not name.isdigit() or name == "0"]):
            raise ValueError(f"columns and label have {odd[0]!r}; without a header they are numbers from 1")
        for name in ("examples", "epochs", "batch"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is 1 or more")
        if not self.lr > 0:
            raise ValueError(f"lr is {self.lr}; it is above 0")

    @property
    def files(self) -> tuple[Path, ...]:
        return self.train, self.test

    def misfits(self, parts: Parts) -> list[str]:
        from modelwright_plugins.evaluator._key import key
        from modelwright_plugins.parallel.available import available

        layout = parts["parallel"]
        data = layout.ranks(available()[0]) // (layout.tensor * layout.pipeline)  # context ranks share texts out, as data ranks do
        if not self.tune or not self.batch % data:
            return []
        best = max(1, round(self.batch / data)) * data
        return [f"{key(parts, self)}.batch={self.batch} texts can't be shared out to {data} data ranks; nearest that can: {best}"]

    def read(self, told: Callable[[str], None] = lambda line: None) -> tuple[list[Row], list[Row], list[str]]:
        """What to learn from, what to be judged on, and the classes' names, in order. ModelwrightError, with the line: what is wrong.
        `told`: called with a line about lines of other columns than the first, of which a few are left out (GLUE's QQP has some)."""
        train, test = self._rows(self.train, told), self._rows(self.test, told)
        classes = sorted({row.label for row in train})
        if len(classes) < 2:
            raise ModelwrightError(f"{self.train}: every label is {classes[0]!r}; there is nothing to tell apart")
        if unknown := sorted({row.label for row in test} - {*classes}):
            raise ModelwrightError(f"{self.test}: nothing in {self.train} has the label {unknown[0]!r}")
        return train, test, classes

    def _rows(self, file: Path, told: Callable[[str], None]) -> list[Row]:
        found, ragged = list[Row](), list[str]()
        try:
            with file.expanduser().open(encoding="utf-8-sig", newline="") as lines:
                every = enumerate(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE), 1)
                names = next(every, (1, []))[1] if self.header else None
                places = [self._place(file, names, name) for name in (*self.columns, self.label)]
                for number, line in every:
                    if not line or (self.examples is not None and len(found) == self.examples):
                        continue
                    if len(line) <= max(places) or (names is not None and len(line) != len(names)):
                        wanted = f"{len(names)}" if names is not None else f"{max(places) + 1} or more"
                        ragged.append(f"{file}:{number}: it has {len(line)} columns; expected {wanted}")
                        continue
                    *texts, label = (line[place].strip() for place in places)
                    if not label:
                        raise ModelwrightError(f"{file}:{number}: it has no label")
                    found.append(Row(tuple(texts), label))
        except (OSError, UnicodeError, csv.Error) as e:
            raise ModelwrightError(f"{file}: cannot read it ({e})") from e
        if len(ragged) > RAGGED * (len(found) + len(ragged)):
            raise ModelwrightError(f"{ragged[0]}{f' ({len(ragged):,} such lines)' if len(ragged) > 1 else ''}")
        if ragged:
            told(f"{ragged[0]}; {len(ragged):,} such line{'s' if len(ragged) > 1 else ''} left out, {len(found):,} read")
        if not found:
            raise ModelwrightError(f"{file}: there is no example in it")
        return found

    def _place(self, file: Path, names: list[str] | None, name: str) -> int:
        if names is None:
            return int(name) - 1
        if name not in names:
            raise ModelwrightError(f"{file}: it has no column {name}, which evaluator.classification asks for{nearest(name, names)}")
        return names.index(name)

    def evaluate(self, model: Model, out: Path, *, seed: int) -> list[Score]:
        from modelwright_plugins.evaluator._classification import judged

        return judged(self, model, out, seed=seed)
