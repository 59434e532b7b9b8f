"""Ordering dialogues: right by their own facts, the same each time, and nothing that is judged with is trained on."""

import json
import re
from functools import cache

import pytest

from modelwright_plugins.source._order_grammar import PARTS, Dialogue, dialogue
from modelwright_plugins.source._order_names import ITEMS, SIZES, STREETS, held_out_name, held_out_pair
from modelwright_plugins.source._order_phrases import banks
from modelwright_plugins.source._order_replies import ask, confirm, read, right
from modelwright_plugins.source.order_dialogues import OrderDialogues

BLANK = re.compile(r"\\\{\w+\\\}")


@cache
def drawn(part: str, count: int = 1000) -> list[Dialogue]:
    return [dialogue(part, number, 1) for number in range(count)]


def said(one: Dialogue) -> str:
    return "\n".join(turn.said for turn in one.turns)


def known(order: dict[str, str]) -> list[tuple[str, str]]:
    """The pairs of an order whose two values are known ones."""
    if order["item"] not in ITEMS:
        return []
    street = order["address"].split()[1]
    return [(order["item"], order["size"]), *([(order["item"], street)] if street in STREETS else [])]


def test_a_dialogue_of_each_part_to_read():
    """What a number stands for is part of what runs are compared by."""
    assert said(dialogue("train", 0, 1)) == (
        "Could we buy the levocleend? That is all.\n"
        "Please send that round to 5 Queen Avenue. Giant. No, sorry, I mean the goutuvoond.\n"
        "Actually, better tiny please."
    )
    assert [turn.missing for turn in dialogue("train", 0, 1).turns] == [("size", "address"), (), ()]


@pytest.mark.parametrize("part", PARTS)
def test_the_same_each_time_and_distinct(part):
    assert drawn(part)[:50] == [dialogue(part, number, 1) for number in range(50)]
    assert drawn(part)[:50] != [dialogue(part, number, 2) for number in range(50)]
    assert len({said(one) for one in drawn(part)}) > 0.99 * len(drawn(part))


@pytest.mark.parametrize("part", PARTS)
def test_what_the_assistant_says_follows_from_what_was_said(part):
    for one in drawn(part):
        heard = ""
        for turn in one.turns:
            heard += " " + turn.said
            assert right(turn.reply, turn.missing, turn.order)
            assert {*turn.missing, *turn.order} == {"item", "size", "address"} and not {*turn.missing} & {*turn.order}
            for value in turn.order.values():
                assert value in heard or value.capitalize() in heard
        assert not one.turns[-1].missing


def test_the_last_value_that_was_said_counts():
    """By another way than the grammar's: in a last turn that corrects one slot, that slot has what stands there."""
    corrected = 0
    for one in drawn("train"):
        if len(one.turns) > 1 and not one.turns[-2].missing:
            before, after = one.turns[-2].order, one.turns[-1].order
            changed = [slot for slot in after if after[slot] != before[slot]]
            assert changed and all(after[slot] in one.turns[-1].said for slot in changed)
            assert not any(before[slot] in one.turns[-1].said for slot in changed if slot != "item")
            corrected += 1
    assert corrected > 100


def test_held_out_phrases_are_trained_words_in_new_combinations():
    for purpose, bank in banks().items():
        assert len(bank.held_out) >= 10 and len(bank.trained) >= 40, purpose
        assert not {*bank.held_out} & {*bank.trained}
        words = {word for phrase in bank.trained for word in phrase.split()}
        assert words.issuperset(word for phrase in bank.held_out for word in phrase.split())


def test_no_training_dialogue_has_a_phrase_that_is_held_out():
    """Found in the text itself, not in what the grammar says of it."""
    trained = [re.compile(BLANK.sub(".+", re.escape(phrase))) for bank in banks().values() for phrase in bank.trained]
    for phrase in (phrase for bank in banks().values() for phrase in bank.held_out):
        pattern = re.compile(r"(?:^|(?<=[.?] ))" + BLANK.sub(lambda _: r"[\w, ]+", re.escape(phrase)) + r"(?= |$)", re.MULTILINE)
        for one in drawn("train"):
            for found in pattern.findall(said(one)):  # "Please bring me {it}." also finds a longer phrase that is trained
                assert any(other.fullmatch(found) for other in trained), found
    assert all(
        phrase.partition(": ")[2] not in banks()[phrase.partition(": ")[0]].held_out for one in drawn("train") for phrase in one.phrases
    )
    phrasings = [phrase.partition(": ") for one in drawn("phrasings") for phrase in one.phrases]
    assert phrasings and all(phrase in banks()[purpose].held_out for purpose, _, phrase in phrasings)


def test_a_request_is_to_the_letter_no_phrase_of_a_size_that_another_part_has():
    """ "I will take {it} please." of "a {size} one": dialogues in which it was."""
    for part, numbers in (("train", (1142, 2681)), ("phrasings", range(400))):
        others = [phrase.replace("{size}", size) for phrase in banks()["size"].of(part == "train") for size in SIZES]
        for number in numbers:
            sentences = re.split(r"(?<=[.?]) ", said(dialogue(part, number, 1)).replace("\n", " "))
            assert not {*sentences} & {*others}, number


def test_no_training_dialogue_has_a_pair_or_a_name_that_is_held_out():
    for part in ("train", "phrasings", "names"):
        assert not any(held_out_pair(*pair) for one in drawn(part) for turn in one.turns[-1:] for pair in known(turn.order)), part
    assert not any(held_out_pair(item, other) for one in drawn("train") for item in ITEMS if re.search(rf"\b{item}\b(?! \w)", said(one))
                   for other in (*SIZES, *STREETS) if (item, other) in one.pairs)  # fmt: skip
    assert all(
        len(pairs := known(one.turns[-1].order)) == 2 and all(held_out_pair(*pair) for pair in pairs) for one in drawn("combinations")
    )
    assert not any(held_out_name(name) for part in ("train", "phrasings") for one in drawn(part) for name in one.names)
    assert all(len(one.names) == 4 and all(held_out_name(name) for name in one.names) for one in drawn("names"))


def test_values_that_may_be_said_together_are_all_told():
    """`pairs` is what the grammar keeps apart: every known item of a dialogue's text with every size and street of it."""
    for one in drawn("train")[:500]:
        order = one.turns[-1].order
        for pair in known(order):
            assert pair in one.pairs


@pytest.mark.parametrize("draw", [1, 2])
def test_no_dialogue_that_is_judged_with_is_trained_on(draw):
    trained = {said(one) for one in drawn("train")} | {said(dialogue("train", number, draw)) for number in range(1000)}
    for part in PARTS[1:]:
        assert not trained & {said(one) for one in drawn(part)}


def test_the_source_reads_them_in_parts_and_says_what_a_judge_needs():
    source = OrderDialogues(dialogues=1200, first=5)
    files = source.files()
    assert [file.name for file in files] == ["order/1/5:1000", "order/1/1005:200"]
    documents = [document for file in files for document in source.read(file)]
    assert len(documents) == 1200 and documents[0].id == "order/1/5" and documents[-1].id == "order/1/1204"
    one, document = dialogue("train", 5, 1), documents[0]
    assert document.metadata["example"]["replies"] == [one.messages()]
    assert json.loads(document.metadata["example"]["answer"]) == [{"missing": list(t.missing), "order": t.order} for t in one.turns]
    assert document.text == "\n\n".join(message["content"] for message in one.messages())
    assert [d.text for d in OrderDialogues(dialogues=3, first=7).read(OrderDialogues(dialogues=3, first=7).files()[0])] == [
        d.text for d in documents[2:5]
    ]


def test_what_it_refuses():
    for bad in ({"dialogues": 0}, {"first": -1}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            OrderDialogues(**bad)


UNREADABLE = (
    "",
    "Hello.",
    "Which size?",
    "Which size would you like",
    "Which size would you like, and which size would you like?",
    "Which size would you like, and tea?",
    "So that is one huge soup to 12 Mill Lane. Is that right?",
    "One large soup comes to 12 Mill Lane.",
)
ORDER = {"item": "tomato soup", "size": "large", "address": "12 Mill Lane"}


def test_replies_read_as_they_were_meant():
    assert ask(["address", "size"], 0) == "Which size would you like, and where should we bring it?"
    assert read(ask(["address", "size"], 1)).asks == {"size", "address"}
    assert confirm(ORDER, 0) == "So that is one large tomato soup to 12 Mill Lane. Is that right?"
    assert dict(read(confirm(ORDER, 1)).confirms) == ORDER
    assert read("which size would you like?").asks == {"size"}, "capitals and spaces don't count"
    for unreadable in UNREADABLE:
        assert not read(unreadable).asks and not read(unreadable).confirms, unreadable
