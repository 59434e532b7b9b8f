"""Redaction leaves nothing to find and changes nothing twice; stand-ins are consistent, of the same kind, and the same in any process."""

import re
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from datatrove.data import Document
from hypothesis import given, settings
from hypothesis import strategies as st
from test_pii_scored import LINES, labelled

from modelwright_plugins.filter._pii_find import TYPES, Finder
from modelwright_plugins.filter.pii import COUNTRIES, PII
from modelwright_plugins.source._turns import readable

FINDER = Finder(TYPES, public_ips=True, countries=COUNTRIES, regions=("US",))
TEXTS = [labelled(line)[0] for line in LINES]
PIECES = st.sampled_from(
    [text[start:end] for line in LINES for text, labels in [labelled(line)] for _, start, end in labels]
    + ["@", ".", "a", "8", ".8", " ", "-", ":", "+1", "(", ")", "x@", ".com", "tel ", "SSN ", "key=", "\n", "é", "4111 1111", "AB12", "://"]
)


def run(component, text):
    document = Document(text=text, id="x", metadata={})
    decision = component.build().filter(document)
    return document.text if decision is True else decision[1]


REDACT, PSEUDONYMISE = PII(), PII(mode="pseudonymise", seed=3)
BUILT = REDACT.build()


def redacted(text):
    document = Document(text=text, id="x", metadata={})
    assert BUILT.filter(document) is True
    return document.text


@settings(max_examples=250, deadline=None)
@given(st.one_of(st.lists(PIECES, max_size=8).map("".join), st.text(alphabet="0123456789-. +()@:/ABCZXabc", max_size=60)))
def test_redaction_leaves_nothing_to_find_and_changes_nothing_twice(text):
    once = redacted(text)
    assert FINDER.find(once) == [] and redacted(once) == once


def test_redaction_of_the_labelled_lines():
    for line in LINES:
        text, labels = labelled(line)
        assert redacted(text) == re.sub(r"⟨(\w+)\|[^⟩]*⟩", lambda m: f"[{m[1].upper()}]", line) if labels else redacted(text) == text
    assert run(PII(placeholder="|||{type}|||", types=("email",)), "joe@acme.com 8.8.8.8") == "|||EMAIL||| 8.8.8.8"


def test_stand_ins_are_of_their_kind():
    """What stands in for a card is a card, written the same way; addresses lead nowhere, so that none is found again."""
    for line in LINES:
        text, labels = labelled(line)
        if labels:
            new = run(PSEUDONYMISE, text)
            assert not any(text[start:end] in new for _, start, end in labels), new
            kinds = [kind for kind, _, _ in labels if kind not in ("email", "ip")]
            assert [f.type for f in FINDER.find(new)] == kinds, (text, new)
            for kind, start, end in labels:
                if kind in ("card", "iban", "national_id", "phone"):
                    kinds_of = ("[0-9XYZ]" if c in "0123456789X" else "[A-Z]" if c.isupper() else re.escape(c) for c in text[start:end])
                    like = "".join(kinds_of)
                    assert re.search(like, new), (text, new)


def test_the_same_value_has_the_same_stand_in_however_it_is_written():
    one = run(PSEUDONYMISE, "joe@acme.com; 4111 1111 1111 1111; 811228-9874; DE89370400440532013000")
    two = run(PSEUDONYMISE, "JOE@Acme.com; 4111111111111111; 19811228-9874; DE89 3704 0044 0532 0130 00")
    bare = [re.sub(r"[ -]", "", part) for part in one.split("; ")]
    assert bare == [re.sub(r"[ -]", "", part).removeprefix("19" if n == 2 else "#") for n, part in enumerate(two.split("; "))]
    assert run(PII(mode="pseudonymise", seed=4), "joe@acme.com") != run(PSEUDONYMISE, "joe@acme.com")
    values = [f"p{n}@acme.com" for n in range(2000)]
    assert len({run_built(value) for value in values}) == 2000


STAND_IN = PSEUDONYMISE.build()


def run_built(text):
    document = Document(text=text, id="x", metadata={})
    STAND_IN.filter(document)
    return document.text


@pytest.mark.slow  # starting workers
def test_stand_ins_do_not_depend_on_the_number_of_workers():
    alone = [run_built(text) for text in TEXTS]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert [*pool.map(run_built, TEXTS, chunksize=7)] == alone


def test_dropping():
    both = "joe@acme.com and ann@acme.com, 8.8.8.8"
    assert run(PII(mode="drop"), both) == "pii_email" and run(PII(mode="drop"), "nothing") == "nothing"
    assert run(PII(mode="drop", max_found=3), both) == both and run(PII(mode="drop", max_found=2), both) == "pii_email"
    assert run(PII(max_found=2), both) == "pii_email" and run(PII(max_found=3), both) == "[EMAIL] and [EMAIL], [IP]"


def test_what_is_looked_for():
    assert run(PII(types=("ip",), public_ips_only=False), "10.0.0.5 and 8.8.8.8 and 127.0.0.1") == "[IP] and [IP] and 127.0.0.1"
    assert run(PII(phone_regions=("DE",)), "Tel. 030 901820, call 650-253-0000") == "Tel. [PHONE], call 650-253-0000"
    assert run(PII(countries=("us",)), "219-09-9999 811228-9874") == "[NATIONAL_ID] 811228-9874"


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"types": ("emails",)}, "types has 'emails'; did you mean 'email'"),
        ({"types": ()}, "types is empty"),
        ({"countries": ("uk",)}, "countries has 'uk'"),
        ({"phone_regions": ("usa",)}, "phone_regions has 'usa'"),
        ({"placeholder": "x@y"}, "placeholder is 'x@y'"),
        ({"max_found": -1}, "max_found is -1"),
    ],
)
def test_bad_values(values, wrong):
    with pytest.raises(ValueError, match=wrong):
        PII(**values)


def test_the_turns_of_an_example_are_edited_like_its_text():
    """An aligner's example (source `examples`) says the same as its text, before and after."""
    asked = [{"role": "user", "content": "Mail me at ann@old-mill.org, please."}]
    told = [[{"role": "assistant", "content": f"Sent to ann@old-mill.org{end}"}] for end in (".", ", and to bob@river.net.")]
    example = {"kind": "preference", "prompt": asked, "replies": told, "scores": None}
    document = Document(text=readable(example), id="x", metadata={"example": example})
    assert BUILT.filter(document) is True
    assert "@" not in document.text and document.text == readable(document.metadata["example"])
