"""The judge of ordering dialogues, by replies that people wrote."""

import json

import pytest

from modelwright_plugins.evaluator import order_dialogues
from modelwright_plugins.evaluator._order_judged import Asked, drawn, hits, judged, verdict
from modelwright_plugins.reward import Asked as Rewarded
from modelwright_plugins.reward.order_reply import OrderReply
from modelwright_plugins.source._order_grammar import PARTS, dialogue
from modelwright_plugins.source._order_names import ITEMS, STREETS, held_out_name, held_out_pair
from modelwright_plugins.source._order_phrases import banks

ORDER = {"item": "tomato soup", "size": "large", "address": "12 Mill Lane"}
SAID = ({"role": "user", "content": "I want a tomato soup."},)
OPEN = Asked("names", 1, SAID, ("size", "address"), {"item": "tomato soup"}, "Which size would you like, and where should we bring it?")
WHOLE = Asked("names", 1, SAID, (), ORDER, "So that is one large tomato soup to 12 Mill Lane. Is that right?")

# reply -> (asks, confirms, exact, given)
OPEN_REPLIES = {
    "Which size would you like, and where should we bring it?": (True, False, True, False),
    "What size should it be, and what is your address?": (True, False, True, False),  # the other style
    "Where should we bring it, and which size would you like?": (True, False, True, False),  # the other order
    "Which size would you like?": (True, False, False, False),  # not all that is missing
    "What would you like to eat, and which size would you like, and where should we bring it?": (True, False, False, True),
    "Which dish do you want?": (True, False, False, True),  # what was given
    "So that is one large tomato soup to 12 Mill Lane. Is that right?": (False, True, False, False),  # confirms when it should ask
    "": (False, False, False, False),
    "Thank you.": (False, False, False, False),
    "Which size would you like, and": (False, False, False, False),  # cut off
}
WHOLE_REPLIES = {
    "So that is one large tomato soup to 12 Mill Lane. Is that right?": (False, True, True, False),
    "One large tomato soup comes to 12 Mill Lane. Shall we go ahead?": (False, True, True, False),
    "So that is one small tomato soup to 12 Mill Lane. Is that right?": (False, True, False, False),  # another size
    "So that is one large tomato soup to 21 Mill Lane. Is that right?": (False, True, False, False),  # another house
    "So that is one large tomato soup to 12 mill Lane. Is that right?": (False, True, False, False),  # to the letter
    "So that is one large tomatto soup to 12 Mill Lane. Is that right?": (False, True, False, False),
    "Which size would you like?": (True, False, False, True),  # asks when nothing is missing
    "What is your address?": (True, False, False, True),
    "So that is one large tomato soup to 12 Mill Lane.": (False, False, False, False),  # no question
}


@pytest.mark.parametrize(("asked", "replies"), [(OPEN, OPEN_REPLIES), (WHOLE, WHOLE_REPLIES)])
def test_replies_that_people_wrote(asked, replies):
    for reply, expected in replies.items():
        found = verdict(asked, reply)
        assert (found.asks, found.confirms, found.exact, found.given) == expected, reply
        facts = json.dumps({"missing": asked.missing, "order": asked.order})
        assert OrderReply().scores([Rewarded(prompt=SAID, reply=reply, answer=facts)]) == [float(expected[2])], reply


def test_the_three_scores_of_a_dialogue():
    right, size, confirmed = OPEN.reference, "Which size would you like?", WHOLE.reference
    wrong_house, dish = confirmed.replace("12", "21"), "Which dish do you want?"
    cases = {  # the reply where something is missing, that to a whole order -> correctness, appropriateness, exact confirmation
        (right, confirmed): (True, True, True),
        (size, confirmed): (False, True, True),
        (dish, confirmed): (False, False, True),
        (right, wrong_house): (True, True, False),
        (right, size): (True, False, False),
        (confirmed, confirmed): (False, False, True),
    }
    found = hits([verdict(one, reply) for pair in cases for one, reply in zip((OPEN, WHOLE), pair, strict=True)])
    assert list(zip(found.correctness, found.appropriateness, found.exact_confirmation, strict=True)) == list(cases.values())


def test_an_answer_that_is_none_is_told():
    for answer in (None, "4", "[]", '{"missing": []}'):
        with pytest.raises(ValueError, match="expected an answer"):
            OrderReply().scores([Rewarded(prompt=SAID, reply="x", answer=answer)])


@pytest.mark.parametrize("part", PARTS[1:])
def test_what_is_asked_with_is_distinct_and_held_out(part):
    found = drawn(part, 300, 1)
    assert found == drawn(part, 300, 1) and len({tuple(turn.said for turn in one.turns) for _, _, one in found}) == 300
    trained = {tuple(turn.said for turn in dialogue("train", number, 1).turns) for number in range(3000)}
    asked = judged(found)
    assert [bool(one.missing) for one in asked] == [True, False] * 300
    for (_, number, one), open_turn, last in zip(found, asked[::2], asked[1::2], strict=True):
        assert tuple(turn.said for turn in one.turns) not in trained
        assert open_turn.number == last.number == number and last.messages == tuple(one.messages()[:-1])
        assert one.messages()[len(open_turn.messages)]["content"] == open_turn.reference
        street = last.order["address"].split()[1]
        if part == "names":
            assert held_out_name(street) and held_out_name(last.order["item"].split()[0])
        if part == "combinations":
            assert held_out_pair(last.order["item"], last.order["size"]) and held_out_pair(last.order["item"], street)
            assert last.order["item"] in ITEMS and street in STREETS
        if part == "phrasings":
            assert all(words.partition(": ")[2] in banks()[words.partition(": ")[0]].held_out for words in one.phrases)


class Oracle:
    """A model that says what it is told to."""

    first = True

    def __init__(self, says):
        self.says = says

    def reply(self, conversations):
        return [self.says(list(messages)) for messages in conversations]


def test_a_model_that_always_confirms_and_one_that_always_asks_for_the_size(tmp_path):
    judge = order_dialogues.OrderDialogues(dialogues=20, similarity=False, perplexity=False)
    confirms = Oracle(lambda _: "So that is one large pizza to 1 Mill Lane. Is that right?")
    for name, says, expected in (
        ("confirms", confirms, (0.0, 0.0, 0.0)),
        ("asks", Oracle(lambda _: "Which size would you like?"), (None, 0.0, 0.0)),
    ):
        (tmp_path / name).mkdir()
        scores = {score.name: score for score in judge.evaluate(says, tmp_path / name, seed=1)}
        for part in PARTS[1:]:
            values = [scores[f"{part}/{one}"] for one in ("correctness", "appropriateness", "exact_confirmation")]
            assert all(score.count == 20 and score.low <= score.value <= score.high for score in values)
            assert [score.value == right for score, right in zip(values, expected, strict=True) if right is not None].count(False) == 0
        lines = [json.loads(line) for line in (tmp_path / name / "replies.jsonl").read_text().splitlines()]
        assert len(lines) == 3 * 20 * 2 and {"part", "reply", "reference", "exact"} <= set(lines[0])
        told = (tmp_path / name / "dialogues.txt").read_text()
        assert told.count("[held-out") == 10 and "wrong; right would be" in told


def test_a_model_that_knows_the_right_reply_has_all(tmp_path):
    known = {tuple(m["content"] for m in one.messages): one.reference for part in PARTS[1:] for one in judged(drawn(part, 12, 1))}
    every = {}
    for part in PARTS[1:]:
        for _, _, one in drawn(part, 12, 1):
            messages = one.messages()
            every |= {tuple(m["content"] for m in messages[: 2 * k + 1]): messages[2 * k + 1]["content"] for k in range(len(one.turns))}
    assert known.items() <= every.items()
    model = Oracle(lambda messages: every[tuple(m["content"] for m in messages)])
    scores = order_dialogues.OrderDialogues(dialogues=12, perplexity=False).evaluate(model, tmp_path, seed=1)
    assert [score.value for score in scores[:9]] == [1.0] * 9
    assert {score.name: score.value for score in scores}["bleu"] > 99.9
    assert "wrong" not in (tmp_path / "dialogues.txt").read_text()
