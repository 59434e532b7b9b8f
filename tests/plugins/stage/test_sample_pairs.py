"""Preferences of a model's own mistakes."""

import json
import re
from collections import Counter
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch

from modelwright.component import Job
from modelwright.errors import ModelwrightError
from modelwright_plugins.artifacts import Checkpoint, Documents, Tokenizer
from modelwright_plugins.artifacts.documents import read, split
from modelwright_plugins.engine import rollout_scores
from modelwright_plugins.evaluator.model import Said
from modelwright_plugins.generator import Generated
from modelwright_plugins.generator.sampling import Sampling
from modelwright_plugins.parallel.megatron import Megatron
from modelwright_plugins.reward import Asked, Reward
from modelwright_plugins.reward.exact_answer import ExactAnswer
from modelwright_plugins.reward.order_reply import OrderReply
from modelwright_plugins.source._turns import made, readable
from modelwright_plugins.source.order_dialogues import OrderDialogues
from modelwright_plugins.stage import _sample_pairs
from modelwright_plugins.stage._sample_pairs import Point
from modelwright_plugins.stage.sample_pairs import SamplePairs
from modelwright_plugins.tokenizer.bpe import ByteLevelBPE
from modelwright_plugins.tokenizer.chat_tokens import ChatEncoder
from modelwright_plugins.tokenizer.find_template import find_template

CHATML = find_template("chatml", Path())
CONFIRMED = "So that is one large pizza to 1 Mill Lane. Is that right?"


class Oracle:
    """A trained model whose replies are `says(conversation, number)`: a text, or (text, whether it ends)."""

    sequence_length, end_of_document, rank = 4096, 0, 0

    def __init__(self, says, folder):
        self.says, self.chat = says, ChatEncoder(folder, find_template("chatml", folder))

    def generate(self, prompts, generator, *, seed, end, stop):
        found = []
        for number, prompt in enumerate(prompts):
            text = self.chat.encoder.hugging_face.decode(prompt, skip_special_tokens=False)
            assert text.endswith("<|im_start|>assistant\n")
            said = [{"role": role, "content": content} for role, content in re.findall(r"(?s)<.im_start.>(\w+)\n(.*?)<.im_end.>", text)]
            reply, ends = told if isinstance(told := self.says(said, number), tuple) else (told, True)
            tokens = self.chat.encoder.encode(reply) + [self.chat.special["<|im_end|>"]] * ends
            assert not ends or tokens[-1] in end
            found.append(Generated(tokens, ends, torch.zeros(len(tokens))))
        return found


@pytest.fixture
def alone(monkeypatch):
    """One rank."""
    monkeypatch.setattr(
        _sample_pairs, "parallel_state", SimpleNamespace(get_data_parallel_rank=int, get_data_parallel_world_size=lambda: 1)
    )
    monkeypatch.setattr(_sample_pairs, "gathered", lambda mine: [mine])
    monkeypatch.setattr(rollout_scores, "leads", lambda: True)


@pytest.fixture
def answered(tmp_path, monkeypatch, alone):
    """Runs the stage on documents, with a model whose replies are `says(conversation, number)`; gives the pairs and what it returns."""
    (folder := tmp_path / "tokenizer").mkdir()
    ByteLevelBPE(vocab_size=259).train(iter(["x"]), folder)  # a token a byte
    monkeypatch.setattr(_sample_pairs, "template_of", lambda _: find_template("chatml", folder))

    def run(documents, says, reward, name="run", **settings):
        monkeypatch.setattr(_sample_pairs, "open_model", lambda *_, **__: nullcontext(Oracle(says, folder)))
        _sample_pairs._write(given := tmp_path / f"given_{name}", documents)
        inputs = {Documents: Documents(given), Checkpoint: Checkpoint(tmp_path), Tokenizer: Tokenizer(folder)}
        parts = dict.fromkeys(("precision", "kernel", "attention")) | {"parallel": Megatron(context=2), "generator": Sampling()}
        (out := tmp_path / name).mkdir()
        job = Job(run=tmp_path, out=out, seed=1, parts=parts | {"reward": {"it": reward}}, inputs=inputs, hooks=None)
        numbers = SamplePairs(**settings).run(job)
        return [*read(job.make(Documents))], numbers, out

    return run


@pytest.fixture
def sampled(answered):
    """The same on dialogues of a grammar."""

    def run(says, name="run", count=20, **settings):
        source = OrderDialogues(dialogues=count)
        documents = [{"text": one.text, "id": one.id, "metadata": one.metadata} for file in source.files() for one in source.read(file)]
        return documents, *answered(documents, says, OrderReply(), name, **settings)

    return run


def conversation(name, *turns, edited=False, **more):
    """A document of turns of the user's and the assistant's, each a text or a message."""
    said = [turn if isinstance(turn, dict) else {"role": ("user", "assistant")[k % 2], "content": turn} for k, turn in enumerate(turns)]
    example = made("conversation", said[:1], [said[1:]], **more)
    return {"text": readable(example) + " edited" * edited, "id": name, "metadata": {"example": example, "group": name}}


@dataclass(frozen=True, kw_only=True)
class Recorded(Reward):
    """The longer in tokens the better; less by `unfinished` where it did not end."""

    collective = False
    seen: ClassVar[list[Asked]] = []

    @contextmanager
    def opened(self, how):
        assert how["tokenizer"].name == "tokenizer" and how["parallel"].context == 1, "rewards that load a model are told of both"
        yield self.scores

    def scores(self, asked):
        self.seen.extend(asked)
        return [float(len(each.tokens) - each.begin) - 100 * (not each.finished) for each in asked]


def test_rewards_are_given_tokens_and_whether_it_ended(answered):
    Recorded.seen.clear()
    replies = ["No", ("No soup", False)]  # the second runs out of room
    documents = [conversation("a", "Soup?", "Yes, there is.")]
    (pair,), _, out = answered(documents, lambda _, number: replies[number % 2], Recorded())
    stands, short, cut = Recorded.seen
    chat = ChatEncoder(out.parent / "tokenizer", find_template("chatml", out.parent / "tokenizer"))
    end, prompt = chat.special["<|im_end|>"], list(stands.tokens[: stands.begin])
    assert [len(each.tokens) - each.begin for each in (stands, short, cut)] == [len("Yes, there is.") + 1, len("No") + 1, len("No soup")]
    assert all(each.tokens[: each.begin] == prompt for each in (short, cut)), "one prompt, also as the reply that stands there has it"
    assert stands.tokens[stands.begin :] == [*chat.encoder.encode("Yes, there is."), end] and stands.reply == "Yes, there is."
    assert [each.finished for each in (stands, short, cut)] == [True, True, False]
    assert pair["metadata"]["example"]["replies"][1][0]["content"] == "No"
    told = json.loads((out / "replies.jsonl").read_text())
    assert told["scores"] == [3.0, 7.0 - 100] and told["finished"] == [True, False]


def test_a_reply_that_ran_out_of_room_is_not_taught_as_one_that_ended(answered):
    replies = [("No soup", False), "No"]
    (pair,), numbers, _ = answered([conversation("a", "Soup?", "Yes, there is.")], lambda _, number: replies[number % 2], Recorded())
    assert pair["metadata"]["example"]["replies"][1][0]["content"] == "No" and numbers == {"pairs": 1, "lower": 1.0}
    with pytest.raises(ModelwrightError, match="no finished reply scores lower"):
        answered([conversation("a", "Soup?", "Yes.")], lambda *_: ("No", False), Recorded(), "none")


def test_what_prepare_leaves_out_or_does_not_learn_is_not_answered(answered, capsys):
    tools = [{"type": "function", "function": {"name": "kettle", "parameters": {}}}]
    unlearned = {"role": "assistant", "content": "Never learn this one.", "weight": 0}
    documents = [
        conversation("weight", "Soup?", unlearned, "Soup!", "Yes, there is.", answer='["first", "second"]'),
        conversation("edited", "Soup?", "A secret, here.", edited=True),
        conversation("tools", "Soup?", "It boils for you.", tools=tools),  # ChatML shows no tools
        {"text": "x", "id": "text", "metadata": {"group": "x"}},
    ]
    Recorded.seen.clear()
    (pair,), _, _ = answered(documents, lambda *_: "No", Recorded())
    assert pair["id"] == "weight#1" and pair["metadata"]["example"]["replies"][0][0]["content"] == "Yes, there is."
    assert {each.answer for each in Recorded.seen} == {"second"}
    said = capsys.readouterr().out
    for reason in ("a turn of weight 0", "a filter edited its text", "does not show its tools", "no example in it"):
        assert re.search(f"left out 1: .*{reason}", said)
    with pytest.raises(ModelwrightError, match=r"no turn of a conversation is left to answer \(1: .*show its tools"):
        answered(documents[2:3], lambda *_: "No", Recorded(), "none")


def test_tools_and_messages_go_into_the_prompt_and_the_pair(answered, monkeypatch):
    template = "{% for tool in tools or [] %}[{{ tool['function']['name'] }}]{% endfor %}" + CHATML
    monkeypatch.setattr(_sample_pairs, "template_of", lambda _: template)
    tools, asked = [{"type": "function", "function": {"name": "kettle", "parameters": {}}}], []
    monkeypatch.setattr(Oracle, "generate", _noting(Oracle.generate, asked))
    messages = [{"role": "user", "content": "Soup?"}, {"role": "assistant", "content": "Yes, there is."}]
    plain = {"text": "Soup?\n\nYes, there is.", "id": "plain", "metadata": {"messages": messages, "group": "p"}}  # as source=conversations
    pairs, _, _ = answered([conversation("a", "Soup?", "It boils for you.", tools=tools), plain], lambda *_: "No", Recorded())
    assert [pair["id"] for pair in pairs] == ["a#0", "plain#0"]
    assert pairs[0]["metadata"]["example"]["tools"] == tools and "tools" not in pairs[1]["metadata"]["example"]
    assert [text.startswith("[kettle]") for text in asked] == [True, True, False, False]


def _noting(generate, asked):
    def noted(self, prompts, *rest, **how):
        asked.extend(self.chat.encoder.hugging_face.decode(prompt, skip_special_tokens=False) for prompt in prompts)
        return generate(self, prompts, *rest, **how)

    return noted


@pytest.mark.parametrize("collective", [False, True])
def test_data_ranks_share_the_turns_out(monkeypatch, collective):
    """Five turns on four ranks: each is judged once, on whichever rank; a model's ranks are asked equally often."""
    asked = {}

    class OneRank:
        rewards: ClassVar = {"it": SimpleNamespace(collective=collective)}

        def of(self, replies):
            asked[rank] = [each.reply for each in replies]
            return {}, [float(each.reply) for each in replies], ""

    some = [SimpleNamespace(point=Point("", {"messages": []}, {}, None), stands=Asked([], f"{k}0")) for k in range(5)]
    replies = [[Said(f"{k}1", [], 0, True), Said(f"{k}2", [], 0, True)] for k in range(5)]
    told = []
    for attempt in range(2):  # what all have is known the second time
        for rank in range(4):
            where = SimpleNamespace(get_data_parallel_rank=lambda rank=rank: rank, get_data_parallel_world_size=lambda: 4)
            monkeypatch.setattr(_sample_pairs, "parallel_state", where)
            if not attempt:
                monkeypatch.setattr(_sample_pairs, "gathered", lambda mine: told.append(mine) or [([0.0] * 15, "")])
                _sample_pairs._scored(OneRank(), some, replies)
                continue
            monkeypatch.setattr(_sample_pairs, "gathered", lambda _: told)
            assert _sample_pairs._scored(OneRank(), some, replies) == [[10 * k, 10 * k + 1, 10 * k + 2] for k in range(5)]
    every = [reply for rank in sorted(asked) for reply in asked[rank]]
    assert {*every} == {f"{k}{n}" for k in range(5) for n in range(3)}
    assert [len(asked.get(rank, [])) for rank in range(4)] == ([6] * 4 if collective else [6, 6, 3, 0])


def test_a_model_that_always_confirms_is_shown_what_it_should_have_asked(sampled):
    documents, pairs, numbers, out = sampled(lambda messages, _: CONFIRMED)
    turns = [(one, k) for one in documents for k in range(len(json.loads(one["metadata"]["example"]["answer"])))]
    assert [pair["id"] for pair in pairs] == [f"{one['id']}#{k}" for one, k in turns], "each turn is one, as all of its replies are wrong"
    assert numbers == {"pairs": len(turns), "lower": 1.0}
    for pair, (one, k) in zip(pairs, turns, strict=True):
        example, said = pair["metadata"]["example"], one["metadata"]["example"]["replies"][0]
        assert example["kind"] == "preference" and example["scores"] == [1.0, 0.0]
        assert example["prompt"] == said[: 2 * k + 1] and example["replies"][0] == [said[2 * k + 1]]
        assert example["replies"][1] == [{"role": "assistant", "content": CONFIRMED}]
        assert pair["text"] == readable(example)
    assert split(Documents(out / "documents"))["held_out"] == []
    lines = [json.loads(line) for line in (out / "replies.jsonl").read_text().splitlines()]
    assert len(lines) == len(turns) and lines[0]["samples"] == [CONFIRMED] * 2 and lines[0]["scores"] == [0.0, 0.0]


def test_only_wrong_replies_are_rejected_and_the_first_of_them(sampled):
    right = {}

    def says(messages, number):  # the second of three replies, at each second turn
        asked, sample = divmod(number, 3)
        return f"wrong {asked}" if asked % 2 and sample else right.get(json.dumps(messages), "Which size would you like?")

    source = OrderDialogues(dialogues=10)
    for document in source.read(source.files()[0]):
        said = document.metadata["example"]["replies"][0]
        right |= {json.dumps(said[:place]): said[place]["content"] for place in range(1, len(said), 2)}
    _, pairs, numbers, _ = sampled(says, count=10, samples=3)
    assert len(pairs) == len(right) // 2 and numbers["lower"] == pytest.approx(2 * len(pairs) / (3 * len(right)))
    assert [pair["metadata"]["example"]["replies"][1][0]["content"] for pair in pairs] == [f"wrong {n}" for n in range(1, len(right), 2)]
    assert len(sampled(says, "some", count=10, samples=3, turns=8)[1]) == 4
    with pytest.raises(ModelwrightError, match="no finished reply scores lower"):
        sampled(lambda messages, _: right[json.dumps(messages)], "none", count=10)


def test_what_is_held_out_is_not_answered(sampled, monkeypatch):
    source = OrderDialogues(dialogues=1)
    (first,) = source.read(source.files()[0])
    monkeypatch.setattr(_sample_pairs, "split", lambda _: {"held_out": [first.metadata["group"]]})
    documents, pairs, _, _ = sampled(lambda messages, _: "wrong", count=5)
    assert documents[0]["id"] == first.id and {pair["id"].partition("#")[0] for pair in pairs} == {one["id"] for one in documents[1:]}


def test_answers_that_a_reward_cannot_read_are_told_before_anything_is_drawn(answered):
    documents = [conversation("a", "2 + 2?", "4", answer="4"), conversation("b", "Tea?", "No.", "Milk?", "No.", answer='["", "5"]')]
    with pytest.raises(ModelwrightError, match=r"given_run: reward it can't score replies to 1 of 3 turns: b#0: its answer is ''"):
        answered(documents, lambda *_: pytest.fail("it is asked"), ExactAnswer())
    answered(documents[:1], lambda *_: "No", ExactAnswer(), "first")


def test_an_answer_for_all_turns_or_for_each():
    assert _sample_pairs.answers(None, 2) == [None, None]
    assert _sample_pairs.answers("4", 2) == ["4", "4"]
    assert _sample_pairs.answers('["a", {"b": 1}]', 2) == ["a", '{"b": 1}']
    assert _sample_pairs.answers('["a", "b"]', 3) == ['["a", "b"]'] * 3
    assert _sample_pairs.answers("no JSON [", 1) == ["no JSON ["]


def test_other_documents_and_values_are_refused(tmp_path):
    example = made("preference", [{"role": "user", "content": "x"}], [])
    _sample_pairs._write(tmp_path / "documents", [{"text": "x", "id": "1", "metadata": {"group": "g", "example": example}}])
    with pytest.raises(ModelwrightError, match="1 is of kind preference; sample_pairs wants conversations"):
        list(_sample_pairs.points(Documents(tmp_path / "documents"), Counter()))
    for bad in ({"samples": 0}, {"margin": 0.0}, {"turns": 0}, {"batch": 0}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            SamplePairs(**bad)
