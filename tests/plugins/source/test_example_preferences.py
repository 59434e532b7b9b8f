"""What a preference says beside its two replies is kept, or it is malformed: never dropped."""

import json

import pytest

from modelwright_plugins.source import BadRecord
from modelwright_plugins.source.examples import Examples


def s(content):
    return {"role": "system", "content": content}


def u(content):
    return {"role": "user", "content": content}


def a(content):
    return {"role": "assistant", "content": content}


def read(folder, record):
    (folder / "x.jsonl").write_text(json.dumps(record) + "\n")
    source = Examples(paths=[str(folder / "x.jsonl")], format="anthropic" if isinstance(record["chosen"], str) else "preference")
    (found,) = source.read(source.files()[0])
    return found


LISTS = {"chosen": [u("Hi"), a("Ho")], "rejected": [u("Hi"), a("No")]}
LONG = {side: [u("Hi"), a("Ho"), u("Hu"), *said[1:]] for side, said in LISTS.items()}
HUMAN = {"chosen": "\n\nHuman: Hi\n\nAssistant: Ho", "rejected": "\n\nHuman: Hi\n\nAssistant: No"}


@pytest.mark.parametrize("record", [LISTS | {"system": "S"}, HUMAN | {"system": "S"}, LISTS | {"prompt": [s("S"), u("Hi")]}])
def test_the_system_turn_is_kept(tmp_path, record):
    example = read(tmp_path, record).metadata["example"]
    assert example["prompt"] == [s("S"), u("Hi")] and example["replies"] == [[a("Ho")], [a("No")]]


@pytest.mark.parametrize(
    ("record", "prompt", "agrees"),
    [
        (LISTS, "Hi", True),
        (LISTS, "", True),
        (LISTS, [u("Hi")], True),
        (LISTS | {"system": "S"}, [u("Hi")], True),
        (LONG, "Hi", True),
        (LONG, "Human: Hi Assistant: Ho Human: Hu", True),
        (LONG, [u("Hi")], True),
        (LONG, [u("Hi"), a("Ho"), u("Hu")], True),
        (LISTS, "Ha", False),
        (LISTS, [u("Ha")], False),
        (LONG, [u("Hu")], False),
        ({side: [s("T"), *said] for side, said in LISTS.items()}, [s("S"), u("Hi")], False),
    ],
)
def test_a_prompt_that_disagrees_is_malformed(tmp_path, record, prompt, agrees):
    found = read(tmp_path, record | {"prompt": prompt})
    if agrees:
        assert found.metadata["example"] == read(tmp_path, record).metadata["example"]
    else:
        assert isinstance(found, BadRecord) and found.reason == "the prompt is not what chosen and rejected begin with"


@pytest.mark.parametrize("scores", [{"score_chosen": 1, "score_rejected": 9}, {"chosen_score": -1, "rejected_score": 0}, {"margin": -0.5}])
def test_scores_that_contradict_the_label_are_malformed(tmp_path, scores):
    found = read(tmp_path, LISTS | scores)
    assert isinstance(found, BadRecord) and found.reason == "rejected has the better score"
    level = read(tmp_path, LISTS | dict.fromkeys(scores, 0)).metadata["example"]
    assert level["scores"] == [0.0, 0.0]
