"""Which reply is best is never guessed from the order where numbers may say otherwise, and never against the label."""

import json

import pytest

from modelwright_plugins.source import BadRecord
from modelwright_plugins.source.examples import Examples


def read(folder, *records, **given):
    (folder / "x.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
    source = Examples(paths=[str(folder / "x.jsonl")], **given)
    return list(source.read(source.files()[0]))


def ranked(document):
    example = document.metadata["example"]
    return [reply[0]["content"] for reply in example["replies"]], example["scores"]


def test_scores_that_are_null_are_those_of_the_replies(tmp_path):
    replies = [{"response": "bad", "score": 1}, {"response": "good", "score": 9}]
    (found,) = read(tmp_path, {"prompt": "Hi", "completions": replies, "scores": None})
    assert ranked(found) == (["good", "bad"], [9.0, 1.0])
    said = [{"role": "assistant", "content": one["response"], "score": one["score"]} for one in replies]
    assert ranked(read(tmp_path, {"prompt": "Hi", "completions": said})[0])[0] == ["good", "bad"]


@pytest.mark.parametrize(
    ("replies", "beside", "name"),
    [
        ([{"response": "bad", "rating": 1}, {"response": "good", "rating": 9}], {}, "score: rating"),
        (["bad", "good"], {"ratings": [1, 9]}, "scores: ratings"),
    ],
)
def test_numbers_by_another_name_are_not_taken_for_best_first(tmp_path, replies, beside, name):
    record = {"prompt": "Hi", "completions": replies, **beside}
    (found,) = read(tmp_path, record)
    assert isinstance(found, BadRecord) and f"source.names={{{name}}}" in found.reason and "source.format=best_first" in found.reason
    ours, theirs = name.split(": ")
    assert ranked(read(tmp_path, record, names={ours: theirs})[0]) == (["good", "bad"], [9.0, 1.0])
    assert ranked(read(tmp_path, record, format="best_first")[0]) == (["bad", "good"], None)
    numbered = [{"response": "A", "id": 1}, {"response": "B", "id": 2}]
    assert ranked(read(tmp_path, {"prompt": "Hi", "completions": numbered})[0]) == (["A", "B"], None)
