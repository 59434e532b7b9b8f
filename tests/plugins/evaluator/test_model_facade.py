"""What evaluators ask of a model: likelihoods by the slow way, replies that end where the template's turns do."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from modelwright.errors import ModelwrightError
from modelwright_plugins.conformance.judge import Chances, judge
from modelwright_plugins.evaluator.model import Model
from modelwright_plugins.evaluator.pairwise_judge import PairwiseJudge
from modelwright_plugins.evaluator.preferences import Preferences
from modelwright_plugins.evaluator.reply import Reply
from modelwright_plugins.evaluator.rows import last_reply
from modelwright_plugins.generator.sampling import Sampling
from modelwright_plugins.tokenizer.bpe import ByteLevelBPE
from modelwright_plugins.tokenizer.find_template import built_in, find_template

SPECIAL = ["<|im_start|>", "<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|start_header_id|>", "<|end_header_id|>"]


def model(folder: Path, template: str, special: list[str] = SPECIAL, says: str = "") -> Model:
    """`says`: what it writes after any prompt, and then again."""
    ByteLevelBPE(vocab_size=257 + len(special), special_tokens=special).train(iter(["x"]), folder)
    trained: Any = Chances(257 + len(special), 0)
    found = Model(trained, folder, Sampling(max_new_tokens=60, temperature=0), template=find_template(template, folder))
    if says:
        tokens = found.chat.encode_special(says)
        step = iter(tokens * 9)

        def following(*_: Any) -> torch.Tensor:
            return torch.nn.functional.one_hot(torch.tensor([next(step)]), trained.vocab_size).float() * 99

        trained.start = trained.step = following
    return found


@pytest.mark.parametrize("template", built_in())
def test_a_reply_ends_where_the_template_ends_a_turn(template: str, tmp_path: Path) -> None:
    """What the template writes after the assistant's words, and the next turn of the user, are none of the reply."""
    (folder := tmp_path / "t").mkdir()
    plain = model(folder, template)
    turns = [{"role": "user", "content": "uuu"}, {"role": "assistant", "content": "Which size?"}, {"role": "user", "content": "Large."}]
    (chat,) = plain.chat.encode([{"messages": turns}])
    assert not isinstance(chat, ModelwrightError)
    written = chat.text[chat.text.index("Which size?") :]
    said = model(folder, template, says=written)
    assert said.reply([turns[:1]]) == ["Which size?"]


@pytest.mark.parametrize("template", ["chatml", "llama3", "gemma"])
def test_also_where_the_tokenizer_has_no_token_for_it(template: str, tmp_path: Path) -> None:
    ends = {"chatml": "<|im_end|>\n", "llama3": "<|eot_id|>", "gemma": "<end_of_turn>\n"}[template]
    found = model(tmp_path, template, special=[], says=f"No.{ends}And on it goes")
    assert found.turn_end.tokens == frozenset() and found.reply([[{"role": "user", "content": "Soup?"}]]) == ["No."]


def test_nats_are_the_models_own_whatever_stands_beside_a_row(tmp_path: Path) -> None:
    asked = model(tmp_path, "chatml")
    rows = [[0, 5, 9, 9, 1], [7, 0, 8], [3] * 40, [1, 2]]  # an end of a document inside of a row too
    for row, nats in zip(rows, asked.nats(rows), strict=True):
        logs = asked.trained.table.double().log_softmax(-1)  # type: ignore[attr-defined]
        assert nats == pytest.approx([-logs[one, two].item() for one, two in itertools.pairwise(row)], rel=1e-5)
    for row, (nats, likeliest) in zip(rows, asked.scores(rows), strict=True):
        table = asked.trained.table  # type: ignore[attr-defined]
        assert nats == pytest.approx(asked.nats([row])[0], rel=1e-5)
        assert likeliest.tolist() == [float(table[one].argmax() == two) for one, two in itertools.pairwise(row)]
    with pytest.raises(ModelwrightError, match="a text of 4,098 tokens; the model sees 4,096"):
        asked.nats([[1] * 4098])


def test_a_likelihood_is_that_of_the_continuations_tokens(tmp_path: Path) -> None:
    """A token a byte: each is looked up by hand. White space at the end of a context goes to the continuation."""
    asked = model(tmp_path, "chatml")
    logs, encode = asked.trained.table.double().log_softmax(-1), asked.encoder.encode  # type: ignore[attr-defined]
    for context, continuation in (("Q: soup?", " Yes"), ("", "No."), ("Q: ", "Yes")):
        (found,) = asked.likelihoods([(context, continuation)])
        whole = [0, *encode(context + continuation)]
        own = len(encode(continuation)) + len(context) - len(context.rstrip())
        expected = -sum(logs[one, two].item() for one, two in zip(whole[-own - 1 :], whole[-own:], strict=False))
        assert (found.nats, found.tokens) == (pytest.approx(expected, rel=1e-5), own)
    with pytest.raises(ModelwrightError, match="scores 1 to 4096"):
        asked.likelihoods([("x", "y" * 5000)])


def test_preferences_by_hand(tmp_path: Path) -> None:
    asked = judge("preference", tmp_path / "model", first=True)
    assert asked.examples is not None
    logs, won, per_token, margins = asked.trained.table.double().log_softmax(-1), 0, 0, []  # type: ignore[attr-defined]
    for example in range(len(asked.examples)):
        totals = []
        for row in asked.examples.rows_of(example):
            tokens, mask = asked.examples.row(row)
            places = np.flatnonzero(mask)
            totals.append((sum(logs[tokens[at - 1], tokens[at]].item() for at in places), len(places)))
        (chosen, long), (rejected, other) = totals
        won, per_token = won + (chosen > rejected), per_token + (chosen / long > rejected / other)
        margins.append(chosen - rejected)
    scores = {score.name: score.value for score in Preferences().evaluate(asked, tmp_path, seed=1)}
    expected = {"accuracy": won / 6, "accuracy_per_token": per_token / 6, "margin": sum(margins) / 6}
    assert scores == pytest.approx(expected, rel=1e-5)
    assert {score.count for score in Preferences(pairs=2).evaluate(asked, tmp_path, seed=1)} == {2}


def test_replies_are_compared_with_what_stands_there(tmp_path: Path) -> None:
    asked = judge("conversation", tmp_path / "model", first=True)
    assert asked.examples is not None
    wanted = ["Yes, there is soup.", "No.", "Which size of soup would you like?"] * 2
    asked.replies = lambda prompts, generator=None: ["Yes, there is soup."] * len(prompts)  # type: ignore[method-assign]
    scores = {score.name: score for score in Reply().evaluate(asked, tmp_path, seed=1)}
    assert scores["exact_match"].value == pytest.approx(1 / 3)
    lines = [json.loads(line) for line in (tmp_path / "replies.jsonl").read_text().splitlines()]
    assert [line["reference"] for line in lines] == wanted
    assert lines[4]["messages"] == [{"role": "user", "content": "Is there soup number 4?"}]
    judge_reads = PairwiseJudge(replies={"a": tmp_path / "replies.jsonl", "b": tmp_path / "replies.jsonl"}).read()["a"][4]
    (again,) = asked.prompts([{"messages": judge_reads.messages}])  # a model that plays is asked what this one was
    assert again == asked.examples.row(4)[0][: last_reply(asked.examples, 4)].tolist()
    logs, total, count = asked.trained.table.double().log_softmax(-1), 0.0, 0  # type: ignore[attr-defined]
    for row in range(6):
        tokens, mask = asked.examples.row(row)
        begin = last_reply(asked.examples, row)
        assert begin == np.flatnonzero(mask)[0]  # it has one turn
        total -= sum(logs[one, two].item() for one, two in zip(tokens[begin - 1 :], tokens[begin:], strict=False))
        count += len(tokens) - begin
    assert scores["perplexity"].value == pytest.approx(np.exp(total / count), rel=1e-5)


def test_prompts_that_lose_their_beginning_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model of 24 tokens, of which 12 may be said: of prompts of 13, 12 and 25 tokens."""
    asked = judge("", tmp_path / "model", first=True)
    asked.length = 24
    asked.complete(["x" * 11, "x" * 3])
    assert capsys.readouterr().out == ""
    asked.complete(["x" * 12, "x" * 11, "x" * 24])
    told = (
        "  2 of 3 prompts lose their beginning, 1 of them before the first word is said: the longest has 25 tokens, 12 more may be said, "
    )
    assert capsys.readouterr().out == told + "and the model sees 24\n"
    asked.reply([[{"role": "user", "content": "x"}]])
    assert "  1 of 1 prompts lose their beginning, 0 of them" in capsys.readouterr().out
    asked.first = False
    asked.complete(["x" * 12])
    assert capsys.readouterr().out == ""


def test_one_metric_alone_and_unknown_ones(tmp_path: Path) -> None:
    asked = judge("preference", tmp_path / "model", first=False)
    (score,) = Reply(metrics=["f1"], perplexity=False, replies=2).evaluate(asked, tmp_path / "x", seed=1)
    assert (score.name, score.count) == ("f1", 2) and not (tmp_path / "x").exists()
    with pytest.raises(ValueError, match="there is no rouge; did you mean 'rouge_"):
        Reply(metrics=["rouge"])
