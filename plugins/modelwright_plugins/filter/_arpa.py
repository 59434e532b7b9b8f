"""Back-off models of n-grams, as ARPA files hold them, in sorted arrays: a text's probabilities are looked up many at a time."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
NEVER = -100.0  # log10 of an unknown word's probability where a file has no <unk>, as KenLM has it


@dataclass(frozen=True)
class Level:
    """The n-grams of one length. One is named by its place here; its key is (name of all but its last word) * words + last word."""

    keys: Ints  # sorted
    log10: Floats  # of its probability
    backoff: Floats  # log10 of the weight of shorter contexts after it; 0 at the highest order


@dataclass(frozen=True)
class Backoff:
    """p(w | h) = p(h w) where the model has it, else backoff(h) p(w | h without its first word) (Katz 1987)."""

    vocabulary: dict[str, int]
    levels: list[Level]  # of lengths 1, 2, ...

    def log10(self, lines: list[list[str]]) -> float:
        """The sum over all words and ends of lines; every line begins with <s>, which is not counted, and ends with </s>."""
        words = [word for line in lines for word in (BEGIN, *line, END)]
        unknown = self.vocabulary[UNKNOWN]
        ids = np.fromiter((self.vocabulary.get(word, unknown) for word in words), np.int64, len(words))
        lengths = np.array([len(line) + 2 for line in lines])
        starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
        before = np.arange(len(ids)) - starts  # words of its own line
        total, size = np.zeros(len(ids)), len(self.vocabulary)
        name: Ints = ids.copy()  # of the n-gram that ends at each word, -1 where the model has none
        for n, level in enumerate(self.levels, 1):
            if n > 1:
                context = np.where(before >= n - 1, np.concatenate([[-1], name[:-1]]), -1)  # the n-gram before, of length n - 1
                key = np.where(context >= 0, context * size + ids, -1)
                name = _find(level.keys, key)
                weight = np.where(context >= 0, self.levels[n - 2].backoff[context], 0.0)
                total = np.where(name >= 0, level.log10[name], total + weight)  # found, it stands for all that is shorter
            else:
                total = level.log10[name]
        return float(total[before > 0].sum())


def _find(keys: Ints, wanted: Ints) -> Ints:
    if not len(keys):
        return np.full(len(wanted), -1)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, place, -1)


def _open(path: Path) -> IO[str]:
    return gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")


def is_arpa(path: Path) -> bool:
    """Whether one of its first hundred lines begins the data."""
    try:
        with _open(path) as file:
            return any(line.strip() == "\\data\\" for _, line in zip(range(100), file, strict=False))
    except (OSError, EOFError, UnicodeDecodeError):
        return False


def read(path: Path) -> Backoff:
    """ValueError: the file is damaged, or has an n-gram whose beginning it lacks."""
    vocabulary: dict[str, int] = {}
    levels: list[Level] = []
    with _open(path) as file:
        for n, grams in _sections(file, path):
            if n == 1:
                vocabulary.update((words[0], place) for place, (_, words, _) in enumerate(grams))
                log10, backoff = (np.array([gram[part] for gram in grams], np.float64) for part in (0, 2))
                for word in (UNKNOWN, BEGIN, END):
                    if word not in vocabulary:
                        vocabulary[word] = len(vocabulary)
                        log10, backoff = np.append(log10, NEVER), np.append(backoff, 0.0)
                levels.append(Level(np.arange(len(vocabulary)), log10, backoff))
                continue
            try:
                ids = np.array([[vocabulary[word] for word in words] for _, words, _ in grams], np.int64).reshape(-1, n)
            except KeyError as error:
                raise ValueError(f"{path}: a {n}-gram has the word {error.args[0]!r}, which is no 1-gram") from error
            name = ids[:, 0]
            for length in range(2, n):
                name = _find(levels[length - 1].keys, name * len(vocabulary) + ids[:, length - 1])
                if (name < 0).any():
                    missing = " ".join(grams[int(np.flatnonzero(name < 0)[0])][1])
                    raise ValueError(f"{path}: the {n}-gram {missing!r} is there, and what it begins with is not")
            keys = name * len(vocabulary) + ids[:, -1]
            order = np.argsort(keys)
            values: list[Any] = [np.array([gram[part] for gram in grams], np.float64)[order] for part in (0, 2)]
            levels.append(Level(keys[order], *values))
    if not levels:
        raise ValueError(f"{path}: it has no 1-grams")
    return Backoff(vocabulary, levels)


def _sections(file: IO[str], path: Path) -> Iterator[tuple[int, list[tuple[float, list[str], float]]]]:
    """n, and the n-grams: log10 of the probability, words, log10 of the back-off weight."""
    n, ended = 0, False
    grams: list[tuple[float, list[str], float]] = []
    for number, line in enumerate(file, 1):
        line = line.strip(" \t\r\n")
        if line.startswith("\\") and line.endswith("-grams:"):
            if n:
                yield n, grams
            n, grams = int(line[1:].partition("-")[0]), []
        elif line == "\\end\\":
            ended = True
            break
        elif n and line:
            try:
                probability, *words = line.split()
                weight = float(words.pop()) if len(words) > n else 0.0
                if len(words) != n:
                    raise ValueError
                grams.append((float(probability), words, weight))
            except ValueError as error:
                raise ValueError(f"{path} line {number}: {line!r:.60} is no {n}-gram") from error
    if not ended:
        raise ValueError(f"{path}: it ends before \\end\\")
    yield n, grams


def write(model: Backoff, path: Path) -> None:
    """The model as an ARPA file; probabilities to 7 digits."""
    words = list(model.vocabulary)
    grams: list[list[str]] = [words]
    for level in model.levels[1:]:
        grams.append([f"{grams[-1][key // len(words)]} {words[key % len(words)]}" for key in level.keys.tolist()])
    with path.open("w", encoding="utf-8") as out:
        out.write("\\data\\\n" + "".join(f"ngram {n}={len(level.keys)}\n" for n, level in enumerate(model.levels, 1)))
        for n, (level, written) in enumerate(zip(model.levels, grams, strict=True), 1):
            out.write(f"\n\\{n}-grams:\n")
            for text, probability, weight in zip(written, level.log10.tolist(), level.backoff.tolist(), strict=True):
                out.write(f"{probability:.7g}\t{text}" + (f"\t{weight:.7g}" if n < len(model.levels) else "") + "\n")
        out.write("\n\\end\\\n")
