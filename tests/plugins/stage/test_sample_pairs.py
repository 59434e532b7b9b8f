"""Preferences of a model's own mistakes."""

import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from modelwright.component import Job
from modelwright.errors import ModelwrightError
from modelwright_plugins.artifacts import Checkpoint, Documents, Tokenizer
from modelwright_plugins.artifacts.documents import read, split
from modelwright_plugins.reward.order_reply import OrderReply
from modelwright_plugins.reward.weighted import weighted
from modelwright_plugins.source._turns import readable
from modelwright_plugins.source.order_dialogues import OrderDialogues
from modelwright_plugins.stage import _sample_pairs
from modelwright_plugins.stage.sample_pairs import SamplePairs

CONFIRMED = "So that is one large pizza to 1 Mill Lane. Is that right?"


class FakeScores:
    """Rewards on one rank."""

    def __init__(self, rewards, how):
        self.rewards = rewards

    def of(self, asked):
        try:
            return {}, weighted(self.rewards, asked, {name: reward.scores(asked) for name, reward in self.rewards.items()}), ""
        except ValueError as error:
            return {}, [], str(error)

    def close(self):
        pass


@pytest.fixture
def sampled(tmp_path, monkeypatch):
    """Runs the stage on dialogues, with a model whose replies are `says(conversation)`; gives the pairs and what it returns."""
    monkeypatch.setattr(_sample_pairs, "open_model", lambda *_, **__: nullcontext())
    monkeypatch.setattr(_sample_pairs, "template_of", lambda _: None)
    monkeypatch.setattr(_sample_pairs, "Scores", FakeScores)
    monkeypatch.setattr(_sample_pairs, "dist", SimpleNamespace(get_rank=lambda: 0, broadcast_object_list=lambda _: None))

    def run(says, name="run", count=20, **settings):
        class Oracle:
            first, seed = True, 0

            def __init__(self, *_, **__):
                pass

            def reply(self, conversations):
                return [says(list(messages), number) for number, messages in enumerate(conversations)]

        monkeypatch.setattr(_sample_pairs, "Model", Oracle)
        source, given = OrderDialogues(dialogues=count), tmp_path / f"given_{name}"
        documents = [{"text": one.text, "id": one.id, "metadata": one.metadata} for file in source.files() for one in source.read(file)]
        _sample_pairs._write(given, documents)
        inputs = {Documents: Documents(given), Checkpoint: Checkpoint(tmp_path), Tokenizer: Tokenizer(tmp_path)}
        parts = dict.fromkeys(("parallel", "precision", "kernel", "attention", "generator")) | {"reward": {"it": OrderReply()}}
        out = tmp_path / name
        out.mkdir()
        job = Job(run=tmp_path, out=out, seed=1, parts=parts, inputs=inputs, hooks=None)
        numbers = SamplePairs(**settings).run(job)
        return documents, [*read(job.make(Documents))], numbers, Path(out)

    return run


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
    with pytest.raises(ModelwrightError, match="no reply scores lower"):
        sampled(lambda messages, _: right[json.dumps(messages)], "none", count=10)


def test_what_is_held_out_is_not_answered(sampled, monkeypatch):
    source = OrderDialogues(dialogues=1)
    (first,) = source.read(source.files()[0])
    monkeypatch.setattr(_sample_pairs, "split", lambda _: {"held_out": [first.metadata["group"]]})
    documents, pairs, _, _ = sampled(lambda messages, _: "wrong", count=5)
    assert documents[0]["id"] == first.id and {pair["id"].partition("#")[0] for pair in pairs} == {one["id"] for one in documents[1:]}


def test_an_answer_for_all_turns_or_for_each():
    assert _sample_pairs.answers(None, 2) == [None, None]
    assert _sample_pairs.answers("4", 2) == ["4", "4"]
    assert _sample_pairs.answers('["a", {"b": 1}]', 2) == ["a", '{"b": 1}']
    assert _sample_pairs.answers('["a", "b"]', 3) == ['["a", "b"]'] * 3
    assert _sample_pairs.answers("no JSON [", 1) == ["no JSON ["]


def test_other_documents_and_values_are_refused(tmp_path):
    _sample_pairs._write(tmp_path / "documents", [{"text": "x", "id": "1", "metadata": {"group": "g"}}])
    with pytest.raises(ModelwrightError, match="wants conversations"):
        list(_sample_pairs.points(Documents(tmp_path / "documents")))
    for bad in ({"samples": 0}, {"margin": 0.0}, {"turns": 0}, {"batch": 0}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            SamplePairs(**bad)
