"""Languages by py3langid and by a fastText model, as those libraries and datatrove decide."""

import math
import pickle
from pathlib import Path
from random import Random

import pytest
from datatrove.data import Document
from datatrove.pipeline.filters import LanguageFilter
from small_filters import write_fasttext

from modelwright.errors import ModelwrightError
from modelwright_plugins.filter.language import FastTextLanguage, LangId

ENGLISH = "The committee met on Tuesday to discuss the new rules, and most of its members agreed with what had been proposed."
GERMAN = "Der Ausschuss traf sich am Dienstag, um die neuen Regeln zu besprechen, und die meisten Mitglieder stimmten zu."
FRENCH = "Le comité s'est réuni mardi pour discuter des nouvelles règles, et la plupart de ses membres étaient d'accord."


def decide(built, text):
    document = Document(text=text, id="x", metadata={})
    decision = built.filter(document)
    return (decision if decision is True else decision[1]), document.metadata


@pytest.fixture(scope="module")
def langid():
    return LangId(languages=("en", "de")).build()


def test_py3langid(langid):
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    theirs = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    for text, decision in ((ENGLISH, True), (GERMAN, True), (FRENCH, "language_fr")):
        language, confidence = theirs.classify(text)
        assert decide(langid, text) == (decision, {"language": language, "language_score": confidence})
    assert decide(langid, "")[0] != True  # noqa: E712  it may be a reason
    assert decide(pickle.loads(pickle.dumps(langid)), GERMAN)[0] is True


def test_how_sure_and_how_much_is_read(langid):
    confidence = decide(langid, ENGLISH)[1]["language_score"]
    langid.least = confidence
    assert decide(langid, ENGLISH)[0] is True
    langid.least = confidence + 1e-6
    assert decide(langid, ENGLISH)[0] == "language_below_confidence"
    langid.least, langid.characters = 0.0, len(ENGLISH)
    assert decide(langid, ENGLISH + FRENCH * 9)[0] is True
    langid.characters = None
    assert decide(langid, ENGLISH + FRENCH * 9)[0] == "language_fr"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_fasttext(tmp_path_factory.mktemp("fasttext") / "languages.bin", {"en": ENGLISH, "de": GERMAN, "fr": FRENCH})


def test_fasttext_by_hand(model):
    """Three English words, one German, and the end of the line, which counts: e^(4*3/5) / (e^(12/5) + e^(4/5) + 1)."""
    score = math.exp(2.4) / (math.exp(2.4) + math.exp(0.8) + 1)
    text = "The committee met zu"
    for least, decision in ((score - 1e-4, True), (score + 1e-4, "language_below_score")):
        found, metadata = decide(FastTextLanguage(model=model, min_score=least).build(), text)
        assert found == decision and metadata["language"] == "en" and metadata["language_score"] == pytest.approx(score, abs=1e-4)


def test_fasttext_as_datatrove_decides(model, monkeypatch):
    monkeypatch.setattr("datatrove.utils.lid.FT176LID.MODEL_URL", str(model))
    dice = Random(2)
    words = (ENGLISH + " " + GERMAN + " " + FRENCH).split()
    texts = [ENGLISH, GERMAN, FRENCH, *("\n".join(dice.choices(words, k=5)) for _ in range(100))]
    for threshold in (0.0, 0.4, 0.8, 1.0):
        ours = pickle.loads(pickle.dumps(FastTextLanguage(model=model, languages=("en", "de"), min_score=threshold).build()))
        theirs = LanguageFilter(["en", "de"], language_threshold=threshold)
        found = [decide(ours, text) for text in texts]
        expected = [Document(text=text, id="x", metadata={}) for text in texts]
        assert [decision is True for decision, _ in found] == [theirs.filter(document) for document in expected]
        assert [metadata for _, metadata in found] == [document.metadata for document in expected]
    assert {decision for decision, _ in found} <= {"language_below_score", "language_fr", True}
    assert decide(ours, " \n")[0] == "language_un"


def test_what_is_wrong(model, tmp_path):
    assert FastTextLanguage(model=model).problems() == []
    assert "nothing is at" in FastTextLanguage(model=Path("lid.176.bin")).problems()[0]
    (tmp_path / "x.bin").write_bytes(b"\x00" * 9)
    assert "is no fastText model" in FastTextLanguage(model=tmp_path / "x.bin").problems()[0]
    assert "is a folder" in FastTextLanguage(model=tmp_path).problems()[0]
    with pytest.raises(ModelwrightError, match="has no label 'es'"):
        FastTextLanguage(model=model, languages=("es",)).build()
    with pytest.raises(ModelwrightError, match="py3langid knows no language 'english'"):
        LangId(languages=("english",)).build()
    with pytest.raises(ValueError, match="min_confidence is 2"):
        LangId(min_confidence=2)
    with pytest.raises(ValueError, match="min_score is 2"):
        FastTextLanguage(model=model, min_score=2)
