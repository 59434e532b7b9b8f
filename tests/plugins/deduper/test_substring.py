"""Repeated substrings against a dictionary of all windows, compared as bytes, and planted ones with known places."""

import random
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from passes import deduplicate

from modelwright_plugins.deduper.substring import Substring


def slow(texts, size):
    """Window after window, each looked up among all before it; what begins in the first of its kind doesn't count."""
    seen, out, offset = {}, [], 0
    for text in texts:
        data = text.encode()
        gone = np.zeros(len(data), dtype=bool)
        for at in range(len(data) - size + 1):
            first = seen.setdefault(data[at : at + size], offset + at)
            if first + size <= offset + at:
                gone[at : at + size] = True
        at, left = 0, ""
        for character in text:
            width = len(character.encode())
            left += "" if gone[at : at + width].all() else character
            at += width
        out.append(left if left.strip() or not gone.any() else None)
        offset += len(data) + 1
    return out


def random_texts(pick, count, letters):
    return ["".join(pick.choices(letters, k=pick.randint(0, 60))) for _ in range(count)]


@pytest.mark.parametrize("seed", range(6))
def test_what_is_left_is_what_a_dictionary_of_windows_leaves(seed, tmp_path):
    pick = random.Random(seed)
    texts = [*random_texts(pick, 60, "ab" if seed % 2 else "aé人🏳 b"), "ab" * 40, "x" * 90, "", "人é" * 30, "x" * 90]
    size = pick.choice([5, 8, 12])
    expected = slow(texts, size)
    assert any(left and left != text for left, text in zip(expected, texts, strict=True)) and None in expected
    for tasks in (1, 3, 7):
        found = deduplicate(Substring(min_bytes=size), texts, tmp_path / f"{tasks}", tasks)
        assert found == expected


def test_a_planted_substring_stays_once_and_nothing_else_goes(tmp_path):
    pick = random.Random(1)
    letters = "".join(map(chr, range(0x21, 0x250)))
    own = ["".join(pick.choices(letters, k=400)) for _ in range(60)]
    planted = ["".join(pick.choices(letters, k=200)) for _ in range(5)]
    place = [pick.randrange(5) for _ in own]
    texts = [text[:150] + planted[which] + text[150:] for text, which in zip(own, place, strict=True)]
    for name, order in (("as", range(60)), ("reversed", range(59, -1, -1))):
        left = deduplicate(Substring(), [texts[i] for i in order], tmp_path / name, 3)
        seen = set()
        for i, text in zip(order, left, strict=True):
            # letters next to it may chance to be those that stood next to the first, and go along
            lost = len(texts[i]) - len(text)
            assert (lost == 0) if place[i] not in seen else (200 <= lost <= 203)
            seen.add(place[i])
        assert deduplicate(Substring(), left, tmp_path / f"{name} again", 2) == left
        assert all(sum(p in text for text in left) == 1 for p in planted)


def test_a_repeat_shorter_than_that_stays(tmp_path):
    a, b = "0123456789abcdef", "ghijklmnopqrstuv"
    common = "-common-"
    texts = [a + common + b, a[::-1] + "+" + common + "*" + b[::-1]]
    assert deduplicate(Substring(min_bytes=9), texts, tmp_path / "a")[1] == texts[1]
    assert deduplicate(Substring(min_bytes=8), texts, tmp_path / "b")[1] == texts[1].replace(common, "")
    assert deduplicate(Substring(min_bytes=8, min_left=60), texts, tmp_path / "c") == [texts[0], None]


def test_two_texts_end_to_end_are_no_repeat(tmp_path):
    """What crosses from one text into the next is nobody's."""
    texts = ["12345", "67890", "12345", "67890"]
    assert deduplicate(Substring(min_bytes=6), texts, tmp_path) == texts


def test_other_data_and_bad_values(tmp_path):
    (tmp_path / "known.txt").write_text("The mill turns in the wind all day.")
    texts = ["At dawn: The mill turns in the wind all day. Ever."]
    left = deduplicate(Substring(min_bytes=20, against=(str(tmp_path / "known.txt"),)), texts, tmp_path / "a")
    assert left == ["At dawn:  Ever."]
    for bad in ({"min_bytes": 1}, {"min_left": 0}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            Substring(**bad)
