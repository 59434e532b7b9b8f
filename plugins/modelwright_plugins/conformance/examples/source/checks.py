"""What it promises, and files that are written here."""

import csv

import pytest

from modelwright.api import ModelwrightError
from modelwright.testing import assert_conforms
from modelwright_plugins.conformance.examples.source.source import Table
from modelwright_plugins.source import BadRecord

ROWS = [("1", 'said "so", and\nwent on'), ("2", "Grüße"), ("3", "")]


@pytest.fixture
def folder(tmp_path):
    with (tmp_path / "a.csv").open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([("number", "text"), *ROWS])
    (tmp_path / "b.csv").write_text("text\nlast\n")
    return tmp_path


def test_it_holds_what_a_source_promises(folder):
    assert_conforms("source/example", folder=str(folder))


def test_rows_become_documents(folder):
    source = Table(folder=folder)
    found = [item for file in source.files() for item in source.read(file)]
    assert [item.reason for item in found if isinstance(item, BadRecord)] == ["no text"]
    documents = [item for item in found if not isinstance(item, BadRecord)]
    assert [document.text for document in documents] == [ROWS[0][1], ROWS[1][1], "last"]
    assert [document.metadata["group"] for document in documents] == ["a.csv", "a.csv", "b.csv"]


def test_what_is_wrong_is_told(folder, tmp_path):
    source = Table(folder=folder, column="texts")
    assert [item.reason for item in source.read(source.files()[1])] == ["there is no column 'texts'; did you mean 'text'?"]
    with pytest.raises(ModelwrightError, match="is no folder"):
        Table(folder=tmp_path / "absent").files()
