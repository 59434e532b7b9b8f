"""How much of an evaluation set a model was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from modelwright_plugins.evaluator import Score
from modelwright_plugins.evaluator._of_files import OfFiles
from modelwright_plugins.filter.decontamination import Decontamination

if TYPE_CHECKING:
    from modelwright_plugins.evaluator.model import Model


@dataclass(frozen=True, kw_only=True)
class Contamination(OfFiles):
    """Which examples of evaluation sets stand in the training shards, by n-grams of words.

    The training documents are decoded and read as the filter `decontamination` reads texts (Brown et al. 2020, arXiv:2005.14165, appendix
    C), so that a set that it cut out has no overlap here. `examples` is the share of examples with an overlap, `words` the mean share of an
    example's words in n-grams that training has (Touvron et al. 2023, arXiv:2307.09288, appendix A.6, take 10-grams, call 80 % dirty).
    `contamination.jsonl` has each offending line, how many training documents have some of it, and what one of them says;
    `contamination.json` the counts of each file.
    """

    reads_shards: ClassVar[bool] = True

    paths: tuple[Path, ...]  # evaluation sets: .jsonl and .txt files, also .gz, and folders of them
    keys: tuple[str, ...] = ()  # of a JSON record, those to read, such as question; empty: every string in it
    ngram: int = 13  # words in a row
    min_words: int = 8  # an example, or string in one, that is shorter than ngram is looked for as a whole if it has this many words
    min_overlap: float = 0.0  # share of an example's words in n-grams of training, from which on it counts; 0: one n-gram is enough

    def __post_init__(self) -> None:
        self.like  # noqa: B018 - the same values are right

    @property
    def of_weights(self) -> bool:
        return False

    @property
    def like(self) -> Decontamination:
        """The filter that would have taken out what is found here."""
        fields: dict[str, Any] = {name: getattr(self, name) for name in ("paths", "keys", "ngram", "min_words", "min_overlap")}
        return Decontamination(**fields)

    @property
    def files(self) -> tuple[Path, ...]:
        """The evaluation sets, in order."""
        from modelwright_plugins.filter.decontamination import evaluation_files

        return tuple(evaluation_files([path.expanduser() for path in self.paths]))

    def read(self) -> list[tuple[Path, int, list[str]]]:
        """Each line of them: its file, its number there, and its strings."""
        from modelwright_plugins.filter._evaluation import numbered

        return [(file, line, texts) for file in self.files for line, texts in numbered(file, self.keys)]

    def problems(self) -> list[str]:
        return self.like.problems()

    def evaluate(self, model: Model, out: Path, *, seed: int) -> list[Score]:
        from modelwright_plugins.evaluator._contamination import judged

        return judged(self, model, out)
