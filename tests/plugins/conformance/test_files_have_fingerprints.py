"""What components read of the outside world is in their fingerprints: a run does not take over what was made of other files."""

from __future__ import annotations

import json
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "source"))
from small_sources import schema_guided

from modelwright.component import Component
from modelwright.hooks import discover
from modelwright_plugins.adapter.lora import LoRA
from modelwright_plugins.adapter.prompt_tuning import PromptTuning
from modelwright_plugins.evaluator.sgd_dialogues import SGDDialogues


def test_every_component_with_a_path_has_a_fingerprint_of_its_own() -> None:
    registry = discover().registry
    for kind in registry.kinds:
        for name in registry.names(kind):
            cls = registry.load(kind, name)
            if is_dataclass(cls) and any("Path" in str(field.type) for field in fields(cls)):
                assert cls.fingerprint is not Component.fingerprint, f"{kind}/{name}"


def test_an_adapter_is_known_by_the_files_it_begins_with(tmp_path: Path) -> None:
    assert LoRA().fingerprint() == LoRA(init_from=tmp_path).fingerprint() == ""
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.safetensors").write_bytes(b"1")
    found = LoRA(init_from=tmp_path).fingerprint()
    (tmp_path / "adapter_model.safetensors").write_bytes(b"2")
    assert found and LoRA(init_from=tmp_path).fingerprint() not in ("", found)
    prompt = PromptTuning(start="text", text="x", tokenizer=tmp_path)
    assert prompt.fingerprint() == PromptTuning().fingerprint() == ""
    (tmp_path / "tokenizer.json").write_text("{}")
    found = prompt.fingerprint()
    (tmp_path / "tokenizer.json").write_text("[]")
    assert found and prompt.fingerprint() not in ("", found)


def test_an_evaluator_is_known_by_its_dialogues(tmp_path: Path) -> None:
    evaluator = SGDDialogues(path=tmp_path)
    assert evaluator.fingerprint() == ""
    (tmp_path / "dialogues_001.json").write_text(json.dumps([schema_guided(1)]))
    found = evaluator.fingerprint()
    (tmp_path / "dialogues_001.json").write_text(json.dumps([schema_guided(1), schema_guided(2)]))
    assert found and evaluator.fingerprint() not in ("", found)
