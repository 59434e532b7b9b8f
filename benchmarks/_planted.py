"""Planted near duplicates whose similarity is known exactly, and how a deduper does on them."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

WORD = re.compile(r"\w+")
BANDS = ((0.3, 0.5), (0.5, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 1.0))
DUPLICATES = 0.7  # from this similarity on two texts are duplicates; below 0.5 they are not; between, they are neither


def ngrams(text: str, n: int = 5) -> set[tuple[str, ...]]:
    words = WORD.findall(text.lower())
    return {tuple(words[at : at + n]) for at in range(len(words) - n + 1)}


def jaccard(a: set[tuple[str, ...]], b: set[tuple[str, ...]]) -> float:
    return len(a & b) / len(a | b) if a or b else 0.0


@dataclass(frozen=True)
class Pair:
    """A text and an edited copy."""

    texts: tuple[str, str]
    similarity: float  # Jaccard similarity of their sets of word 5-grams, computed on the sets

    @property
    def band(self) -> tuple[float, float]:
        return next(band for band in reversed(BANDS) if self.similarity >= band[0])


def planted(real: list[str], pairs: int, seed: int = 0) -> list[Pair]:
    """`pairs` pairs in each band of 0.7 to 1 and half as many in each below; none is like another. Texts are 80 to 300 words of `real`
    text, drawn by their frequency; a copy has some of them, or a run of them, replaced. Words are lower-case ASCII letters that
    spaCy's English tokenizer leaves whole, so that both dedupers cut the same n-grams."""
    pick = random.Random(seed)
    words = _plain(real)
    wanted = {band: pairs if band[0] >= DUPLICATES else pairs // 2 for band in BANDS}
    found: list[Pair] = []
    while any(wanted.values()):
        one = pick.choices(words, k=pick.randint(80, 300))
        lost = len(one) * (1 - pick.uniform(0.3, 1.0)) * 0.6  # n-grams, roughly, that the copy has not
        other = list(one)
        if pick.random() < 0.5:
            begin = pick.randrange(max(len(one) - int(lost), 1))
            other[begin : begin + max(int(lost) - 4, 1)] = pick.choices(words, k=max(int(lost) - 4, 1))
        else:
            for at in pick.sample(range(len(one)), max(int(lost / 5), 1)):
                other[at] = pick.choice(words)
        texts = " ".join(one), " ".join(other)
        similarity = jaccard(ngrams(texts[0]), ngrams(texts[1]))
        if 0.3 <= similarity < 1.0:
            pair = Pair(texts, similarity)
            if wanted[pair.band]:
                wanted[pair.band] -= 1
                found.append(pair)
    return found


def _plain(real: list[str]) -> list[str]:
    from datatrove.utils.word_tokenizers import load_word_tokenizer

    words = [word for text in real[:300] for word in re.findall(r"\b[a-z]{2,12}\b", text)]
    whole = load_word_tokenizer("en")
    plain = {word for word in set(words) if whole.word_tokenize(word) == [word]}
    return [word for word in words if word in plain]


@dataclass(frozen=True)
class Score:
    joined: dict[tuple[float, float], float]  # by band: share of the pairs of which one member went
    precision: float  # of planted documents that went, those that a duplicate remains of; pairs from 0.5 to 0.7 are left out
    lost: int  # pairs of which both went


def score(pairs: list[Pair], went: Iterable[bool]) -> Score:
    """`went`: of each pair's two members, pair after pair, whether it went."""
    flags = list(went)
    gone = [(flags[2 * at], flags[2 * at + 1]) for at in range(len(pairs))]
    bands = Counter(pair.band for pair in pairs)
    met = Counter(pair.band for pair, one in zip(pairs, gone, strict=True) if any(one))
    right = sum(met[band] for band in BANDS if band[0] >= DUPLICATES)
    wrong = sum(met[band] for band in BANDS if band[1] <= 0.5)
    lost = sum(all(one) for one in gone)
    return Score({band: met[band] / bands[band] for band in BANDS}, right / max(right + wrong + lost, 1), lost)


def partners(texts: list[str], first: list[int]) -> list[float]:
    """For each document that went, the similarity to the most similar other member of its group."""
    groups: dict[int, list[int]] = {}
    for number, head in enumerate(first):
        groups.setdefault(head, []).append(number)
    found = []
    for members in groups.values():
        sets = [ngrams(texts[member]) for member in members]
        for at in range(1, len(members)):
            best = 0.0
            for other in range(len(members)):
                if other != at and best < 1.0:
                    best = max(best, jaccard(sets[at], sets[other]))
            found.append(best)
    return found
