"""Each side of each threshold of `code_lines`, counted by hand; StarCoder 2's preset as it composes."""

from __future__ import annotations

import base64
import random

import modelwright.conf
import pytest
from datatrove.data import Document
from omegaconf import OmegaConf

from modelwright.schema import conform
from modelwright_plugins.filter.code import CodeLines

OFF = {"max_line": None, "max_mean_line": None, "min_alphanumeric": None}


def document(text: str, language: str = "Python") -> Document:
    return Document(text=text, id="x", metadata={"programming_language": language})


def decide(component, text: str, language: str = "Python"):
    decision = component.build().filter(document(text, language))
    return decision if decision is True else decision[1]


def preset() -> CodeLines:
    (folder,) = modelwright.conf.__path__
    node = OmegaConf.load(f"{folder}/filter/code_lines_starcoder2.yaml")
    assert node.pop("defaults") == ["code_lines@_here_"]
    return conform(OmegaConf.to_container(node), CodeLines, "code_lines_starcoder2")


@pytest.mark.parametrize(
    ("limits", "passes", "fails", "reason"),
    [
        ({"max_line": 4}, "four\nfour", "five5\nx", "a_long_line"),
        ({"max_mean_line": 2.0}, "abcdef\n\n\n", "abcdefg\n\n\n", "long_lines"),  # 6 of 3 lines; 7 of 3
        ({"max_lines": 2}, "a\nb\n", "a\nb\n\n", "too_many_lines"),
        ({"min_alphanumeric": 0.5}, "a1()", "a_()", "too_few_letters_and_digits"),
        ({"min_alphabetic": 0.5}, "ab12", "a123", "too_few_letters"),
        ({"max_encoded_run": 64}, "(" + "a" * 64 + ")", "(" + "a" * 65 + ")", "a_long_encoded_piece"),
        ({"max_encoded": 0.5}, "a" * 64 + "-" * 64, "a" * 65 + "-" * 64, "mostly_encoded"),
        ({"max_encoded": 0.0}, "x = [" + "0x1f," * 7 + "]", "x = [" + "0x1f," * 8 + "]", "mostly_encoded"),  # eight pairs in a row
        ({"max_encoded": 0.0}, "'" + "\\u00e9" * 7 + "'", "'" + "\\u00e9" * 8 + "'", "mostly_encoded"),
    ],
)
def test_each_side_of_a_threshold(limits, passes, fails, reason):
    assert decide(CodeLines(**OFF | limits), passes) is True
    assert decide(CodeLines(**OFF | limits), fails) == reason


def test_defaults_are_bigcodes():
    code = "x = compute(values, 1)\n"
    assert decide(CodeLines(), code * 20 + "#" + "y" * 999) is True
    assert decide(CodeLines(), code * 40 + "#" + "y" * 1000) == "a_long_line"
    assert decide(CodeLines(), "y" * 100 + "\n" + "y" * 100) is True
    assert decide(CodeLines(), "y" * 101 + "\n" + "y" * 100) == "long_lines"
    assert decide(CodeLines(), "a" + "=" * 3) is True
    assert decide(CodeLines(), "a" + "=" * 4) == "too_few_letters_and_digits"


def test_what_is_encoded_in_two_ways_counts_once():
    pairs = "ab\n" * 32  # of hexadecimal digits, and all of base64's alphabet
    built = CodeLines(**OFF, max_encoded=1.0).build()
    assert built.measure(document(pairs + "-" * 96)) == {"share of encoded characters": 0.5}


def test_statistics_are_those_that_have_bounds_and_the_file_has():
    built = CodeLines(long_lines=("JSON",)).build()
    names = ["characters of the longest line", "characters of a line on average", "share of letters and digits"]
    assert list(built.bounds()) == names and built.bounds()[names[0]].most == 1000 and built.bounds()[names[2]].least == 0.25
    assert built.measure(document("ab()\ncd")) == {names[0]: 4, names[1]: 3.0, names[2]: 4 / 7}
    assert built.measure(document("ab()\ncd", "JSON")) == {names[2]: 4 / 7}
    assert built.measure(document("")) == {} and built.filter(document("")) is True


def test_starcoder_2():
    code = "for row in rows:\n    total += row.value\n"
    picture = base64.b64encode(random.Random(3).randbytes(900)).decode()
    assert decide(preset(), code) is True
    assert decide(preset(), code * 50 + f"logo = '{picture[:1000]}'\n") == "a_long_line"
    wrapped = "\n".join(picture[i : i + 76] for i in range(0, 1200, 76))
    assert decide(preset(), code * 50 + wrapped) == "a_long_encoded_piece"
    assert decide(preset(), code * 50 + wrapped[:1000] + "'\n") is True
    assert decide(preset(), code + wrapped[:1000]) == "mostly_encoded"
    assert decide(preset(), "x = 1\n" * 100_001) == "too_many_lines"
    assert decide(preset(), "words " * 10_000, "Markdown") is True and decide(preset(), "words " * 20_000, "Markdown") == "a_long_line"


def test_bad_values():
    with pytest.raises(ValueError, match="max_line is 0; it is at least 1, or null"):
        CodeLines(max_line=0)
    with pytest.raises(ValueError, match="min_alphabetic is 25; it is a share from 0 to 1, or null"):
        CodeLines(min_alphabetic=25)
