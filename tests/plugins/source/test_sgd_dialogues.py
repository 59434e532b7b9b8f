"""Schema-Guided Dialogue: what the system does is told before what it says, and judges find it there."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from small_sources import schema_guided

from modelwright.errors import ModelwrightError
from modelwright_plugins.evaluator._sgd_judged import Turn, judged, scores, turns
from modelwright_plugins.reward import Asked
from modelwright_plugins.reward.sgd_reply import SGDReply
from modelwright_plugins.source import BadRecord
from modelwright_plugins.source._sgd_acts import content, facts, read, right, says
from modelwright_plugins.source.sgd_dialogues import SGDDialogues, held_out

REAL = Path("/work/shared/data/sgd-dialogues")
CONFIRMING = {  # as dialogue 1_00000 of the set has it, shortened
    "speaker": "SYSTEM",
    "utterance": "Confirming: a table for 2 people at Sino. At which time, and on which day?",
    "frames": [
        {
            "actions": [
                {"act": "CONFIRM", "slot": "restaurant_name", "values": ["Sino"]},
                {"act": "CONFIRM", "slot": "number_of_seats", "values": ["2"]},
                {"act": "REQUEST", "slot": "time", "values": []},
                {"act": "REQUEST", "slot": "date", "values": []},
                {"act": "OFFER", "slot": "city", "values": ["San Jose"]},
            ]
        }
    ],
}
BEFORE = {"frames": [{"state": {"slot_values": {"restaurant_name": ["Sino"], "number_of_seats": ["2"]}}}]}
TOLD = {
    "request": ["date", "time"],
    "confirm": {"number_of_seats": "2", "restaurant_name": "Sino"},
    "given": ["number_of_seats", "restaurant_name"],
}
ACTS = "[confirm number_of_seats restaurant_name; offer; request date time]"
SAID = f"{ACTS} Confirming: a table for 2 people at Sino. At which time, and on which day?"


def test_acts_stand_before_the_words():
    assert content(CONFIRMING) == SAID
    assert facts(CONFIRMING, BEFORE) == TOLD
    assert read(SAID).request == {"date", "time"} and read(SAID).confirm == {"number_of_seats", "restaurant_name"}


# reply -> (requests, appropriate, confirms, right)
REPLIES = {
    SAID: (True, True, True, True),
    "[request time date; confirm restaurant_name number_of_seats] sino for 2?": (True, True, True, True),  # other words
    "[confirm number_of_seats restaurant_name; request time] A table for 2 at Sino. When?": (False, True, True, False),
    "[confirm number_of_seats restaurant_name; request date time] A table for 4 at Sino.": (True, True, False, False),  # another value
    "[confirm restaurant_name; request date time] A table for 2 at Sino.": (True, True, False, False),
    "[confirm number_of_seats restaurant_name] A table for 2 at Sino.": (False, False, True, False),  # asks nothing
    "[request date restaurant_name] Where?": (False, False, False, False),  # asks what was given
    "[request date time] When?": (True, False, False, False),  # confirms nothing
    "A table for 2 at Sino. When, and on which day?": (False, False, False, False),
    "": (False, False, False, False),
    "[request date": (False, False, False, False),
}


def test_replies_that_people_wrote():
    turn = Turn("1", (), SAID, TOLD)
    for reply, (requests, appropriate, confirms, all_right) in REPLIES.items():
        found = judged(turn, reply)
        assert (found.requests, found.appropriate, found.confirms) == (requests, appropriate, confirms), reply
        assert right(reply, TOLD) is all_right, reply
        assert SGDReply().scores([Asked(prompt=(), reply=reply, answer=json.dumps(TOLD))]) == [float(all_right)]
    with pytest.raises(ValueError, match="expected an answer"):
        SGDReply().scores([Asked(prompt=(), reply="x", answer="4")])
    assert says("[confirm city] To  san jose.", {"city": "San Jose"}) and not says("[confirm San Jose] To it.", {"city": "San Jose"})


@pytest.mark.parametrize(
    ("value", "words", "there"),
    [
        ("2", "A table for 2, please.", True),
        ("2", "A table for 4 at 12:30.", False),
        ("2", "A table at 2:30.", False),
        ("30", "A table at 12:30.", False),
        ("2", "That is 2.5 miles, or 1.2.", False),
        ("2", "On 3/2 or 2-3-2019.", False),
        ("2", "For 2.", True),
        ("2", "At 12:30, 2 of us", True),
        ("12:30", "at 12:30.", True),
        ("$5.00", "It is $5.00, yes?", True),
        ("art", "The party is on.", False),
        ("San Jose", "To (San  JOSE)?", True),
        ("", "", True),
    ],
)
def test_a_value_stands_by_itself(value, words, there):
    assert says(f"[confirm {value}] {words}", {"slot": value}) is there


def test_each_score_counts_the_turns_that_it_is_about():
    only = {"request": [], "confirm": {"city": "Mill"}, "given": []}
    neither = {"request": [], "confirm": {}, "given": []}
    other_words = {"request": [], "confirm": {"city": ""}, "given": []}
    asked = [Turn("1", (), "", each) for each in (TOLD, only, neither, other_words)]
    found = {score.name: (score.value, score.count) for score in scores(asked, [judged(turn, "[confirm city] Mill") for turn in asked])}
    assert found == {"correctness": (0.0, 1), "appropriateness": (0.5, 4), "exact_confirmation": (0.5, 2)}


def test_a_file_becomes_conversations_and_what_is_none_is_quarantined(tmp_path):
    good = schema_guided(7)
    bad = [{"dialogue_id": "1"}, 3, {**good, "turns": good["turns"][1:]}, {**good, "turns": good["turns"][:3]}]
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "dialogues_001.json").write_text(json.dumps([good, *bad]))
    (tmp_path / "train" / "dialogues_002.json").write_text(json.dumps([schema_guided(8), schema_guided(9)]))
    (tmp_path / "schema.json").write_text("[]")
    source = SGDDialogues(path=tmp_path, part="held_out" if held_out(good["dialogue_id"]) else "train")
    assert [file.name for file in source.files()] == ["train/dialogues_001.json", "train/dialogues_002.json"]
    first, *rest = source.read(source.files()[0])
    assert first.id == first.metadata["group"] == "train/dialogues_001.json:1_00007"
    example = first.metadata["example"]
    assert [message["content"] for message in example["replies"][0]] == [
        "A bus to Mill 7, please.",
        "[request date] On which day?",
        "Tomorrow.",
        "[confirm city] To Mill 7 then, is that right?",
    ]
    assert json.loads(example["answer"]) == [
        {"request": ["date"], "confirm": {}, "given": ["city"]},
        {"request": [], "confirm": {"city": "Mill 7"}, "given": ["city"]},
    ]
    assert len(rest) == 4 and all(isinstance(one, BadRecord) and one.row == 2 + row for row, one in enumerate(rest))
    with pytest.raises(ModelwrightError, match=r"no dialogues_\*"):
        SGDDialogues(path=tmp_path / "nowhere").files()


def test_what_is_judged_with_is_not_trained_on(tmp_path):
    (tmp_path / "dialogues_001.json").write_text(json.dumps([schema_guided(number) for number in range(60)]))
    parts = {}
    for part in ("train", "held_out"):
        source = SGDDialogues(path=tmp_path, part=part)
        parts[part] = [one.id for file in source.files() for one in source.read(file)]
    assert not {*parts["train"]} & {*parts["held_out"]} and len(parts["train"]) + len(parts["held_out"]) == 60
    assert 5 < len(parts["held_out"]) < 20
    asked = turns(tmp_path, None)
    assert {turn.dialogue for turn in asked} == {*parts["held_out"]} and len(asked) == 2 * len(parts["held_out"])
    assert asked[1].messages[-1]["content"] == "Tomorrow." and len(turns(tmp_path, 3)) == 3
    assert asked[1].messages[1]["content"] == asked[0].reference and judged(asked[1], asked[1].reference).confirms


@pytest.mark.skipif(not REAL.is_dir(), reason="the data set is not on this machine")
def test_the_set_itself():
    sources = [SGDDialogues(path=REAL, part=part) for part in ("train", "held_out")]
    documents = [one for file in sources[0].files() for source in sources for one in source.read(file)]
    assert len(documents) == 384 and not [one for one in documents if isinstance(one, BadRecord)]
    told = [turn for one in documents for turn in json.loads(one.metadata["example"]["answer"])]
    replies = [m["content"] for one in documents for m in one.metadata["example"]["replies"][0] if m["role"] == "assistant"]
    requesting = [turn for turn in told if turn["request"]]
    assert len(told) == len(replies) and len(requesting) == 619
    assert all(right(reply, turn) for turn, reply in zip(told, replies, strict=True)), "what the system says is right"
    values = [value for turn in told for value in turn["confirm"].values()]
    assert sum(map(bool, values)) / len(values) > 0.9, "few are said in other words"
    confirming = next(turn for turn in told if turn["confirm"])
    assert 0 < sum(right(reply, confirming) for reply in replies) < 10, "and other turns' replies are wrong"
