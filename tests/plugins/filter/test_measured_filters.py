"""What a filter says of a document's numbers is what it decides by: it stays if all of them are within bounds."""

import math
import sysconfig
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from datatrove.data import Document
from small_filters import small_filters

from modelwright_plugins.conformance.texts import HARD
from modelwright_plugins.filter.boilerplate import Boilerplate
from modelwright_plugins.filter.decontamination import Decontamination
from modelwright_plugins.filter.language import FastTextLanguage, LangId, Language
from modelwright_plugins.filter.length import Length, SymbolRatio
from modelwright_plugins.filter.measured import Measured
from modelwright_plugins.filter.perplexity import Perplexity
from modelwright_plugins.filter.pii import PII
from modelwright_plugins.filter.quality import QualityClassifier
from modelwright_plugins.filter.toxicity import ToxicityClassifier, ToxicWords
from modelwright_plugins.filter.url import URLBlocklist

OTHERS = {"no_words", "language_un", "nothing_left"}  # reasons that are no number's


def texts():
    dice = Random(1)
    words = "The mill turns and grinds the flour darn foul thing wright builds a # ... ### 12 345 DIE Mühle der das ist Ünë 磨坊".split()  # noqa: SIM905
    words += ["Sign in\n", "the mill turns in the book", "anybody may read", "joe@acme.com", "8.8.8.8"] * 2
    made = [" ".join(dice.choices(words, k=dice.randint(1, 30))) + dice.choice(("", "\n", "...", "\n#\n")) for _ in range(300)]
    source = Path(sysconfig.get_paths()["stdlib"], "textwrap.py").read_text(encoding="utf-8")
    return [*HARD.values(), *made, *(source[a:b] for a, b in pairwise(range(0, len(source), 700)))]


FILTERS = {
    "length": (Length, {"min_words": 5, "max_words": 20, "max_bytes": 90, "min_characters": 25, "min_lines": 1, "max_lines": 2}),
    "symbols": (SymbolRatio, {"max_per_word": 0.1, "max_special": 0.25, "max_digits": 0.02, "max_capitals": 0.1}),
    "symbols alone": (SymbolRatio, {}),
    "cld2": (Language, {"min_share": 0.9}),
    "cld2 or none": (Language, {"keep_unknown": True}),
    "langid": (LangId, {"languages": ("en", "de"), "min_confidence": 0.9}),
    "fasttext": (FastTextLanguage, {"languages": ("de", "en"), "min_score": 0.8}),
    "perplexity": (Perplexity, {"min_perplexity": 15.0, "max_perplexity": 18.0}),
    "percentiles": (Perplexity, {"max_percentile": 50.0}),
    "toxic words": (ToxicWords, {"max_matches": 1, "max_share": 0.1}),
    "pii": (PII, {"mode": "drop", "max_found": 1}),
    "boilerplate": (Boilerplate, {"max_removed": 0.3, "capitals": True, "single_words": True}),
    "soft words": (URLBlocklist, {"max_soft_words": 1}),
    "any overlap": (Decontamination, {"ngram": 4, "min_words": 4}),
    "half an example": (Decontamination, {"ngram": 3, "min_words": 3, "min_overlap": 0.5}),
    "quality": (QualityClassifier, {"threshold": 0.4}),
    "toxicity": (ToxicityClassifier, {"threshold": 0.6}),
}


@pytest.mark.parametrize("name", FILTERS)
def test_within_bounds_is_kept(name, tmp_path):
    component, values = FILTERS[name]
    kinds = {Perplexity: "perplexity", FastTextLanguage: "language_fasttext", ToxicWords: "toxic_words"}
    kinds |= {Decontamination: "decontamination", QualityClassifier: "quality_classifier", ToxicityClassifier: "toxicity_classifier"}
    files = small_filters(tmp_path).get(f"filter/{kinds.get(component)}", {})
    needed = {k: (Path(v) if isinstance(v, str) else tuple(map(Path, v))) for k, v in files.items() if isinstance(v, str | list)}
    if name == "percentiles":
        (tmp_path / "reference.txt").write_text("\n\n".join(texts()[30:]), encoding="utf-8", errors="replace")
        needed["reference"] = (tmp_path / "reference.txt",)
    if component is URLBlocklist:
        (tmp_path / "soft").write_text("mill\nfoul\ndarn\n")
        needed["soft_words"] = (tmp_path / "soft",)
    built = component(**needed | values).build()
    assert isinstance(built, Measured)
    bounds, reached, kept = built.bounds(), set(), 0
    assert bounds
    for text in texts():
        metadata = {"url": text} if component is URLBlocklist else {}
        document = Document(text=text, id="x", metadata=dict(metadata))
        found = built.measure(document)
        assert document.text == text and document.metadata == metadata and not found.keys() - bounds.keys()
        assert all(math.isfinite(value) for value in found.values())
        beyond = {s for s, v in found.items() if not _within(v, bounds[s])}
        decision = built.filter(Document(text=text, id="x", metadata=metadata))
        if decision is not True and (decision[1] in OTHERS or (decision[1].startswith("language_") and not found)):
            continue
        assert (decision is True) == (not beyond), (text[:80], found, decision)
        reached |= beyond
        kept += not beyond
    assert kept > 3
    assert reached >= {s for s, b in bounds.items() if s != "lines"}, "a bound that no text here is beyond"


def _within(value, bound):
    return (bound.least is None or value >= bound.least) and (bound.most is None or value <= bound.most)


def test_what_decides_by_chance_has_no_bounds(tmp_path):
    files = {name: tuple(map(Path, paths)) for name, paths in small_filters(tmp_path)["filter/quality_classifier"].items()}
    (bound,) = QualityClassifier(**files, selection="pareto").build().bounds().values()
    assert (bound.least, bound.most) == (None, None)
