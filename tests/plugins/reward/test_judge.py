"""Ratings by a model on a server."""

from __future__ import annotations

import pytest
from fake_judge import judging

from modelwright_plugins.generator._http import ServerError
from modelwright_plugins.generator.server import Server
from modelwright_plugins.reward import Asked
from modelwright_plugins.reward.judge import Judge

TURN = {"role": "user", "content": "Why?"}


def test_ratings():
    with judging() as (where, asked):
        judge = Judge(server=Server(**where), instruction="{prompt}|{reply}|{answer}", missing=-1, samples=2)
        replies = [Asked(prompt=[TURN], reply="{answer}" + "x" * n, answer="A") for n in range(10)]
        texts = ["Why?|{answer}" + "x" * n + "|A" for n in range(10)]
        assert judge.scores(replies) == pytest.approx([len(text) % 10 / 9 for text in texts])
        assert sorted(each["messages"][0]["content"] for each in asked) == sorted(texts)
        seeds = {each["messages"][0]["content"]: each["seed"] for each in asked}
        assert len(set(seeds.values())) == 10
        assert judge.scores([Asked(prompt=[TURN], reply="no rating")]) == [-1]
        judge.scores(replies[:3:-1])
        assert all(seeds.get(each["messages"][0]["content"], each["seed"]) == each["seed"] for each in asked)
        two = [{"role": "system", "content": "Be brief."}, TURN]
        Judge(server=Server(**where)).scores([Asked(prompt=two, reply="Because.")])
        assert "system: Be brief.\n\nuser: Why?" in asked[-1]["messages"][0]["content"]
    with pytest.raises(ServerError, match="after one try"):
        Judge(server=Server(**where, retries=0)).scores(replies)


def test_parameters():
    server = Server(url="http://a/v1", model="m")
    for wrong in ({"instruction": "rate it"}, {"most": 1.0}, {"least": float("nan")}, {"samples": 0}, {"missing": float("inf")}):
        with pytest.raises(ValueError, match=r"instruction has no|most is|samples is|missing is"):
            Judge(server=server, **wrong)
