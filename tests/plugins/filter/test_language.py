import pytest
from datatrove.data import Document

from modelwright.errors import ModelwrightError
from modelwright_plugins.filter.language import LANGID, LangId, Language

ENGLISH = "The committee met on Tuesday to discuss the new rules, and most of its members agreed with what had been proposed."
GERMAN = "Der Ausschuss traf sich am Dienstag, um die neuen Regeln zu besprechen, und die meisten Mitglieder stimmten zu."
FRENCH = "Le comité s'est réuni mardi pour discuter des nouvelles règles, et la plupart de ses membres étaient d'accord."


def decide(filter_, text):
    return filter_.build().filter(Document(text=text, id="x", metadata={}))


def test_keeps_the_named_languages():
    assert decide(Language(), ENGLISH) is True
    assert decide(Language(), GERMAN) == (False, "language_de")
    both = Language(languages=("en", "de"))
    assert decide(both, GERMAN) is True and decide(both, FRENCH) == (False, "language_fr")


def test_the_share_counts():
    mixed = ENGLISH + "\n" + (GERMAN + "\n") * 3
    assert decide(Language(min_share=0.1), mixed) is True
    assert decide(Language(min_share=0.6), mixed) == (False, "language_de")
    assert decide(Language(min_share=0.6), (ENGLISH + "\n") * 3 + GERMAN * 3) == (False, "language_below_share")


def test_text_without_a_language():
    table = "100, 101, 102, 103\n" * 30
    assert decide(Language(), table) == (False, "language_un")
    assert decide(Language(keep_unknown=True), table) is True


def test_what_cld2_refuses_is_left_out_of_what_it_sees():
    odd = "".join(map(chr, range(32))) + "\x7f\x85\ufdd0\ufffe\U0001ffff\ud800"
    document = Document(text=ENGLISH + odd + ENGLISH + " 🙂", id="x", metadata={})
    assert Language().build().filter(document) is True
    assert document.text == ENGLISH + odd + ENGLISH + " 🙂" and document.metadata["language"] == "en"


def test_wrong_languages():
    with pytest.raises(ModelwrightError, match="CLD2 knows no language 'english'"):
        Language(languages=("english",)).build()
    with pytest.raises(ValueError, match="at least one"):
        Language(languages=())


def test_unknown_languages_are_told_before_anything_runs():
    (line,) = Language(languages=("en", "english")).problems()
    assert line.startswith("languages: CLD2 knows no language 'english'")
    (line,) = LangId(languages=("zh-Hant",)).problems()
    assert line.startswith("languages: py3langid knows no language 'zh-Hant'")
    assert Language(languages=("zh-Hant",)).problems() == LangId(languages=("en", "yue")).problems() == []


def test_the_list_of_languages_is_the_models():
    from modelwright_plugins.filter._language import langid

    assert set(langid().labels) == LANGID
