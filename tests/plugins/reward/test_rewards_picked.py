"""Rewards picked and set, as docs/rewards.md and the fields' comments say it, and what is told of a list where none may stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from modelwright.errors import ModelwrightError
from modelwright_plugins.explain import composed
from modelwright_plugins.reward import judge

PAGE = Path(__file__).parents[3] / "docs/rewards.md"
FILES = dict(re.findall(r"^`([\w./]+\.yaml)`[^\n]*\n\n```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.M | re.S))


def test_every_recipe_of_the_page_composes(tmp_path):
    assert len(FILES) == PAGE.read_text(encoding="utf-8").count("```yaml") == 2
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    two = composed([f"recipe={tmp_path}/rewarded.yaml", "reward.length.most=30"])["reward"]
    assert list(two) == ["exact_answer", "length"] and (two["length"]["weight"], two["length"]["most"]) == (0.1, 30)
    one = composed([f"recipe={tmp_path}/judged.yaml", "reward.judge.server.model=other"])["reward"]["judge"]["server"]
    assert (one["url"], one["model"], one["temperature"]) == ("http://localhost:8000/v1", "other", 0)


def test_a_judge_is_set_as_its_comment_says():
    (word,) = re.findall(r"'(reward\.judge\.server=.*?)'", Path(judge.__file__).read_text(encoding="utf-8"))
    server = composed(["stages=[curate]", "source=arithmetic", "reward=[judge]", word])["reward"]["judge"]["server"]
    assert (server["url"], server["model"]) == ("http://localhost:8000/v1", "NAME")


def test_a_list_in_a_file_is_told_of(tmp_path):
    (tmp_path / "r.yaml").write_text("stages: [curate]\nreward: [exact_answer, length]\n")
    for words in ([], ["reward.length.weight=0.1"]):
        with pytest.raises(ModelwrightError, match=r"below `defaults:`, as `- override /reward: \[a, b\]`$"):
            composed([f"recipe={tmp_path}/r.yaml", *words])
