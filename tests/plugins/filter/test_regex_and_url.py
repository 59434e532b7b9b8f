"""Expressions and URLs, each rule on both sides, and as datatrove decides."""

import sysconfig
from pathlib import Path

import pytest
from datatrove.data import Document
from datatrove.pipeline.filters import RegexFilter, URLFilter
from tldextract import TLDExtract

from modelwright_plugins.filter.regex import Regex
from modelwright_plugins.filter.url import URLBlocklist


def run(component, text, **metadata):
    document = Document(text=text, id="x", metadata=metadata)
    decision = component.build().filter(document)
    return document.text if decision is True else decision[1:]


def test_expressions():
    lorem = Regex(patterns=("(?i)lorem ipsum",))
    assert run(lorem, "lorem") == "lorem" and run(lorem, "Lorem Ipsum") == ("pattern_found",)
    two = Regex(patterns=("a", "b"))
    assert run(two, "xb") == ("pattern_2_found",) and run(two, "x") == "x"
    keep = Regex(patterns=("a", "b"), mode="keep")
    assert run(keep, "xb") == "xb" and run(keep, "x") == ("no_pattern_found",)
    edit = Regex(patterns=(r"(?m)^Page (\d+)$", "b+"), mode="edit", replacement=r"<\g<0>>")
    assert run(edit, "Page 3\nabbc Page 4") == "<Page 3>\na<bb>c Page 4"
    assert run(Regex(patterns=(r"\w+",), mode="edit"), "all of it") == ("nothing_left",)
    assert run(Regex(patterns=("x",), mode="edit"), " \n") == " \n"


def test_expressions_as_datatrove_decides():
    stdlib = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[:60]
    for pattern in ("TODO|XXX", r"^#!", r"\bclass \w+\(ABC\)", "(?i)license"):
        built, theirs = Regex(patterns=(pattern,)).build(), RegexFilter(pattern)
        found = [built.filter(Document(text=f.read_text(encoding="utf-8", errors="replace"), id="x")) is True for f in stdlib]
        assert found == [theirs.filter(Document(text=f.read_text(encoding="utf-8", errors="replace"), id="x")) for f in stdlib]


def test_bad_expressions():
    with pytest.raises(ValueError, match=r"patterns has '\(a'; it is no regular expression: missing \)"):
        Regex(patterns=("(a",))
    with pytest.raises(ValueError, match=r"replacement is '\\\\2'; it does not fit 'a': invalid group reference 2"):
        Regex(patterns=("a",), mode="edit", replacement=r"\2")
    with pytest.raises(ValueError, match="replacement is 'x'; it is for mode=edit"):
        Regex(patterns=("a",), replacement="x")
    with pytest.raises(ValueError, match="patterns is empty"):
        Regex(patterns=())


LISTS = {
    "domains": "# ads\nbad.com\nads.fine.org\nuni.ac.uk\n",
    "urls": "https://ok.org/page?id=1\n",
    "words": "Casino\n",
    "soft_words": "free\nwin\nbonus\n",
    "subwords": "superslots\n",
}


@pytest.fixture
def blocklist(tmp_path):
    for name, text in LISTS.items():
        (tmp_path / name).write_text(text)
    return URLBlocklist(**{name: (tmp_path / name,) for name in LISTS}, max_soft_words=1)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://bad.com/", "domain"),
        ("http://www.bad.com:8080/x", "domain"),
        ("https://shop.bad.com/x", "subdomain"),
        ("https://a.b.ads.fine.org", "subdomain"),
        ("https://BAD.com./", "domain"),
        ("bad.com/x", "domain"),
        ("https://notbad.com/", None),
        ("https://fine.org/", None),
        ("https://bad.com.fine.org/", None),
        ("https://ok.org/page?id=1", "url"),
        ("https://ok.org/page?id=12", None),
        ("https://ok.org/the-casino/", "word"),
        ("https://ok.org/Casino", "word"),
        ("https://ok.org/casinos", None),
        ("https://ok.org/free-bonus", "soft_words"),
        ("https://ok.org/free-free", None),
        ("https://ok.org/mysuper-slots.html", "subword"),
        ("https://ok.org/super/lots", None),
        ("http://[::1/broken", None),
        ("", None),
    ],
)
def test_urls(blocklist, url, reason):
    assert run(blocklist, "text", url=url) == ((reason,) if reason else "text")


def test_documents_without_url(blocklist):
    import dataclasses

    assert run(blocklist, "text") == "text"
    assert run(dataclasses.replace(blocklist, without_url="drop"), "text") == ("no_url",)


REASONS = {"hard_blacklisted": "word", "soft_blacklisted": "soft_words", "blacklisted_subword": "subword"}


def test_urls_as_datatrove_decides(blocklist):
    """In lower case: it compares words as they are written. Domains between the registered and the whole one it does not see."""
    theirs = URLFilter(
        soft_word_threshold=2,
        extra_domains=["bad.com", "ads.fine.org", "uni.ac.uk"],
        extra_urls=["https://ok.org/page?id=1"],
        banned_words=["casino"],
        banned_subwords=["superslots"],
        soft_banned_words=["free", "win", "bonus"],
        use_integrated_lists=False,
    )
    theirs.tldextractor = TLDExtract(suffix_list_urls=(), cache_dir=None)
    hosts = ("bad.com", "www.bad.com", "x.bad.com", "ads.fine.org", "fine.org", "x.uni.ac.uk", "ok.org", "casino.org", "a.win.org")
    paths = ("", "/", "/page?id=1", "/free", "/free-bonus", "/my.super.slots", "/x/casino?y", "/win_free")
    built = blocklist.build()
    for url in (f"https://{host}{path}" for host in hosts for path in paths):
        decided = built.filter(Document(text="x", id="x", metadata={"url": url}))
        stock = theirs.filter(Document(text="x", id="x", metadata={"url": url}))
        if stock is not True and stock[1] in ("domain", "subdomain"):
            assert decided is not True and decided[1] in ("domain", "subdomain"), url
        else:
            assert decided == (stock if stock is True else (False, REASONS.get(stock[1], stock[1]))), url
