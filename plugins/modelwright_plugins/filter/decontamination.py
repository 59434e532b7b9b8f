"""Texts that hold what a model will be evaluated on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from modelwright_plugins.filter import Filter

if TYPE_CHECKING:
    from datatrove.pipeline.filters.base_filter import BaseFilter

ENDINGS = (".jsonl", ".jsonl.gz", ".txt", ".txt.gz")


@dataclass(frozen=True, kw_only=True)
class Decontamination(Filter):
    """Drops texts that share n-grams with evaluation sets, or cuts those out; the reason names the set.

    Words are GPT-3's (Brown et al. 2020, arXiv:2005.14165, appendix C): lower case, between blanks, without punctuation; a character of
    a script without spaces is a word. An overlap is one of equal words, not of hashes. A set is a file, called by its folder and name: each
    record of a JSON Lines file, each paragraph of a text file is an example, and each string in a record is read on its own.
    """

    paths: tuple[Path, ...]  # evaluation sets: .jsonl and .txt files, also .gz, and folders of them
    keys: tuple[
        str, ...
    ] = ()  # of a JSON record, those to read, such as question; empty: every string in it, those in lists and objects too
    ngram: int = 13  # words in a row
    min_words: int = 8  # an example, or string in one, that is shorter than ngram is looked for as a whole if it has this many words
    min_overlap: float = 0.0  # share of an example's words that the text has in n-grams of it; 0: one n-gram is enough
    mode: Literal["drop", "cut"] = "drop"  # the text goes; what overlaps goes and the rest stays
    window: int = 200  # mode cut: characters on each side of an n-gram that go with it
    min_piece: int = 200  # mode cut: characters of a piece that stays
    max_pieces: int = 10  # mode cut: a text that falls into more goes as a whole

    def __post_init__(self) -> None:
        if not self.paths:
            raise ValueError("paths is empty; it names evaluation sets, for example paths=[eval/gsm8k.jsonl]")
        for name, least in (("ngram", 2), ("min_words", 1), ("window", 0), ("min_piece", 0), ("max_pieces", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it is at least {least}")
        if not 0 <= self.min_overlap <= 1:
            raise ValueError(f"min_overlap is {self.min_overlap}; it is a share from 0 to 1")

    def reads(self) -> Mapping[str, Sequence[Path]]:
        return {"paths": self.paths}

    def problems(self) -> list[str]:
        found = super().problems()
        for path in self.paths:
            if path.is_dir() and not evaluation_files([path]):
                found.append(f"paths: {path} has no file that ends in {', '.join(ENDINGS)}")
            elif path.is_file() and not path.name.endswith(ENDINGS):
                found.append(f"paths: {path} is no evaluation set; its name ends in {', '.join(ENDINGS)}")
        return found or [line for file in evaluation_files(self.paths) if (line := self._unfit(file))]

    def _unfit(self, file: Path) -> str:
        """What is wrong with a set's first records: enough to find a wrong key before anything runs."""
        from modelwright_plugins.filter._evaluation import examples

        try:
            first = [example for _, example in zip(range(100), examples(file, self.keys), strict=False)]
        except ValueError as error:
            return f"paths: {error}"
        if not any(first):
            with_keys = f" under the keys {', '.join(self.keys)}" if self.keys else ""
            return f"{'keys' if self.keys else 'paths'}: {file} has no text{with_keys}"
        return ""

    def build(self) -> BaseFilter:
        from modelwright.errors import ModelwrightError
        from modelwright_plugins.filter._decontamination import Overlaps
        from modelwright_plugins.filter._evaluation import Evaluation, examples

        try:
            sets = {
                f"{file.absolute().parent.name}/{file.name.partition('.')[0]}": examples(file, self.keys)
                for file in evaluation_files(self.paths)
            }
            evaluation = Evaluation(sets, self.ngram, self.min_words)
        except (ValueError, OSError, EOFError) as error:
            raise ModelwrightError(f"filter.decontamination.paths: {error}") from error
        return Overlaps(evaluation, self.min_overlap, self.mode, self.window, self.min_piece, self.max_pieces)


def evaluation_files(paths: Sequence[Path]) -> list[Path]:
    """Those that can be read of these files and folders, in order."""
    found: dict[Path, None] = {}
    for path in paths:
        inside = sorted(p for p in path.rglob("*") if p.is_file() and p.name.endswith(ENDINGS)) if path.is_dir() else [path]
        found.update(dict.fromkeys(p for p in inside if p.exists()))
    return list(found)
