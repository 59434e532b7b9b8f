"""Pipelines among recipes: list, show, and the Tab key."""

from __future__ import annotations

import pytest

from modelwright_plugins.command.completion import suggest
from modelwright_plugins.command.list import listing
from modelwright_plugins.command.show import page

RUN = "modelwright run pipeline=side-by-side "


def test_list_marks_pipelines():
    lines = list(listing("recipe"))
    assert any(line.startswith("  pipeline/side-by-side (pipeline) ") for line in lines)
    assert not any("quickstart (pipeline)" in line for line in lines)


def test_show_says_the_phases():
    lines = list(page("recipe/pipeline/side-by-side"))
    assert lines[-3:] == ["  data  from nothing", "  muon  from data", "  adamw  from data"]


def test_the_tab_key_knows_phases_and_what_is_in_them():
    assert suggest("modelwright run pipeline=si") == ["pipeline=side-by-side"]
    assert {"adamw.", "data.", "muon."} <= set(suggest(RUN))
    assert suggest(f"{RUN}adamw.tr") == ["adamw.tracker.", "adamw.tracker=", "adamw.train.", "adamw.train_tokenizer."]
    assert "adamw.optimizer.betas=" in suggest(f"{RUN}adamw.optimizer.")
    assert "adamw.optimizer.ns_steps=" not in suggest(f"{RUN}adamw.optimizer.") != suggest(f"{RUN}muon.optimizer.")
    assert suggest(f"{RUN}adamw.optimizer=muo") == [f"adamw.{each}" for each in suggest("modelwright run optimizer=muo")] != []
    assert "muon." not in suggest("modelwright run recipe=pretrain/quickstart mu")


def test_a_file_that_is_no_text_is_named(tmp_path):
    from modelwright.errors import ModelwrightError
    from modelwright_plugins.pipeline.phases import asked

    (tmp_path / "mine.yaml").write_bytes(b"pipeline:\n  - {name: a}  # caf\xe9\n")
    with pytest.raises(ModelwrightError, match=r"mine.yaml: not UTF-8: .*0xe9"):
        asked([f"recipe={tmp_path / 'mine.yaml'}"])
