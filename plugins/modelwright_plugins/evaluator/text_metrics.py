"""How near texts come to references, as the libraries that papers use count it, with 95 % intervals.

Each function takes hypotheses and as many references, and gives a Score from 0 to 1 (BLEU: 0 to 100, as everybody tells it);
those of `groups` take what each belongs to (a dialogue, say), and their intervals are of these.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from modelwright_plugins.evaluator import Score
from modelwright_plugins.evaluator.interval import Groups, bootstrap, mean, proportion

Texts = Sequence[str]


def bleu(hypotheses: Texts, references: Texts, groups: Groups = None) -> Score:
    """Corpus BLEU, sacreBLEU's (13a tokens, exponential smoothing); its interval resamples segments (Koehn 2004, section 3)."""
    import sacrebleu

    made = sacrebleu.BLEU()
    if len(hypotheses) != len(references):  # sacreBLEU fills up
        raise ValueError(f"there are {len(hypotheses)} hypotheses and {len(references)} references; one is shorter")
    statistics = made._extract_corpus_statistics(list(hypotheses), [list(references)]) if hypotheses else []
    return bootstrap("bleu", statistics, lambda sums: made._compute_score_from_stats([round(each) for each in sums]).score, groups=groups)


def rouge_1(hypotheses: Texts, references: Texts, groups: Groups = None) -> Score:
    """The mean F1 of words in common."""
    return _rouge("rouge_1", "rouge1", hypotheses, references, groups)


def rouge_2(hypotheses: Texts, references: Texts, groups: Groups = None) -> Score:
    """The mean F1 of pairs of words in common."""
    return _rouge("rouge_2", "rouge2", hypotheses, references, groups)


def rouge_l(hypotheses: Texts, references: Texts, groups: Groups = None) -> Score:
    """The mean F1 of the longest common subsequence of words."""
    return _rouge("rouge_l", "rougeL", hypotheses, references, groups)


def _rouge(name: str, theirs: str, hypotheses: Texts, references: Texts, groups: Groups) -> Score:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer([theirs], use_stemmer=False)
    found = [scorer.score(reference, said)[theirs].fmeasure for said, reference in zip(hypotheses, references, strict=True)]
    return mean(name, found, groups=groups)


def meteor(hypotheses: Texts, references: Texts, groups: Groups = None) -> Score:
    """The mean METEOR of nltk, on lower-case words and signs. Words match that are equal, have one Porter stem, or are synonyms in
    WordNet; where nltk has no WordNet on this machine, synonyms don't match, and the score is called meteor_without_wordnet."""
    from nltk.translate.meteor_score import meteor_score as score

    wordnet, known = _wordnet()
    pairs = [(_words(said), _words(reference)) for said, reference in zip(hypotheses, references, strict=True)]
    found = [
        float(score([reference], said, wordnet=wordnet)) if said and reference else float(said == reference) for said, reference in pairs
    ]
    return mean("meteor" if known else "meteor_without_wordnet", found, groups=groups)


class _NoSynonyms:
    """A WordNet without words."""

    def synsets(self, word: str) -> list[Any]:
        return []


def _wordnet() -> tuple[Any, bool]:
    from nltk.corpus import wordnet

    try:
        wordnet.ensure_loaded()
    except LookupError:
        return _NoSynonyms(), False
    return wordnet, True


def _words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text.lower())


def exact_match(hypotheses: Texts, references: Texts) -> Score:
    """The share that is the reference, once both are normalised as SQuAD does: lower case, no punctuation, no articles, single spaces."""
    return proportion("exact_match", [normalised(said) == normalised(right) for said, right in zip(hypotheses, references, strict=True)])


def f1(hypotheses: Texts, references: Texts) -> Score:
    """The mean F1 of the words in common, normalised as SQuAD does; of texts without words, whether both are."""
    return mean(
        "f1", [word_f1(normalised(said).split(), normalised(right).split()) for said, right in zip(hypotheses, references, strict=True)]
    )


def normalised(text: str) -> str:
    """As SQuAD compares answers: in lower case, without punctuation and articles."""
    kept = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())


def word_f1(said: list[str], right: list[str]) -> float:
    """Of the words that are in both."""
    if not said or not right:
        return float(said == right)
    common = sum((Counter(said) & Counter(right)).values())
    return 2 * common / (len(said) + len(right))


METRICS: dict[str, Callable[..., Score]] = {
    "bleu": bleu, "rouge_1": rouge_1, "rouge_2": rouge_2, "rouge_l": rouge_l, "meteor": meteor, "exact_match": exact_match, "f1": f1,
}  # fmt: skip
