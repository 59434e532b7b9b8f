"""What would end an alignment, or the evaluation after it, is told before anything is trained; and how to go on after an error."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

from modelwright.assemble import Bound, assemble
from modelwright.compose import composed
from modelwright.errors import ModelwrightError
from modelwright.hooks import discover
from modelwright.manifest import reads
from modelwright_plugins.aligner.dpo import DPO
from modelwright_plugins.aligner.grpo import GRPO
from modelwright_plugins.aligner.sft import SFT
from modelwright_plugins.artifacts.examples import ExamplesWriter, StoredExamples
from modelwright_plugins.catalogue import nearest_run
from modelwright_plugins.command.begun import changed
from modelwright_plugins.command.farewell import after_failing
from modelwright_plugins.command.resume import Resume
from modelwright_plugins.engine.example_batches import ExampleBatches
from modelwright_plugins.evaluator.preferences import Preferences
from modelwright_plugins.evaluator.reply import Reply
from modelwright_plugins.evaluator.rows import refuse_longer
from modelwright_plugins.reward.contains import Contains
from modelwright_plugins.reward.exact_answer import ExactAnswer
from modelwright_plugins.reward.lacking import lacking
from modelwright_plugins.reward.order_reply import OrderReply
from modelwright_plugins.reward.unit_tests import UnitTests
from modelwright_plugins.source.arithmetic import Arithmetic
from modelwright_plugins.source.examples import Examples as ExampleFiles
from modelwright_plugins.source.mixture import Mixture
from modelwright_plugins.stage._align import Alignment
from modelwright_plugins.stage._funnel import lost
from modelwright_plugins.stage._prepared import aloud
from modelwright_plugins.stage.align import Align
from modelwright_plugins.stage.curate import Curate
from modelwright_plugins.stage.evaluate import Evaluate
from modelwright_plugins.stage.prepare import Prepare
from modelwright_plugins.stage.sample_pairs import SamplePairs
from modelwright_plugins.stage.wanted import there, unwanted
from modelwright_plugins.tokenizer.vocabulary import Vocabulary


def stored(folder: Path, kind: str, train: list[int], held_out: list[int], answers: list[Any] | None = None) -> StoredExamples:
    folder.mkdir()
    numbers: dict[str, Any] = {}
    for part, sizes in (("train", train), ("held_out", held_out)):
        writer = ExamplesWriter(folder, part, kind)  # type: ignore[arg-type]
        for place, size in enumerate(sizes):
            mask = np.arange(size) >= size // 2
            answer = {"answer": answers[place]} if answers and answers[place] is not None else {}
            writer.write({"id": f"{part}.jsonl:{place + 1}", "group": "x", **answer}, [(np.arange(size), mask)])
        numbers[part] = writer.close()
    about = {"kind": kind, "vocab_size": 50, "end_of_document": 0, "template": "", **numbers}
    (folder / "examples.json").write_text(json.dumps(about))
    return StoredExamples(folder)


def test_rows_that_are_held_out_count_where_a_sequence_is_too_short(tmp_path: Path) -> None:
    examples = stored(tmp_path / "e", "conversation", [5, 21, 9], [31, 4])
    with pytest.raises(ModelwrightError, match=r"1 of 3 rows .* take align.sequence_length=30, which held-out rows fit into too"):
        ExampleBatches.of(examples, SFT(), Vocabulary(50, 0), length=16, global_batch=1, seed=1)
    ours = SimpleNamespace(card=SimpleNamespace(sequence_length=20), job=SimpleNamespace(parts={"aligner": SFT()}), stage=Align())
    with pytest.raises(
        ModelwrightError, match=r"1 of 2 rows .* that of held_out.jsonl:1 by 10; .* align.sequence_length=30, .*max_length=21"
    ):
        Alignment._refuse_longer(ours, examples)  # type: ignore[arg-type]
    ours.card.sequence_length = 30
    Alignment._refuse_longer(ours, examples)  # type: ignore[arg-type]
    model: Any = SimpleNamespace(examples=StoredExamples(tmp_path / "e", "held_out"), trained=SimpleNamespace(sequence_length=20))
    with pytest.raises(
        ModelwrightError, match=r"held_out.jsonl:1 has a row of 31 tokens, and the model reads 21; .*align.sequence_length=30"
    ):
        refuse_longer(model, [1, 0], 21)
    refuse_longer(model, [1], 21)
    refuse_longer(model, [], 21)


def test_prompts_without_an_answer_are_named(tmp_path: Path) -> None:
    examples = stored(tmp_path / "e", "prompt", [3] * 6, [3], ["7", None, "", "#### 8", "x", "$"])
    said = lacking(examples, {"length": Contains(words=("a",)), "exact": ExactAnswer()})
    assert "(train): reward exact can't score replies to 3 of 6 prompts: train.jsonl:2: its answer is None, with nothing" in said
    assert "train.jsonl:3" in said and "train.jsonl:6" in said and "more" not in said
    assert "4 of 6 prompts: " in (said := lacking(examples, {"c": OrderReply(), "d": ExactAnswer()})) or "6 of 6" in said
    assert "; and 3 more" in said
    assert lacking(examples, {"c": Contains(words=("a",))}) == "" and "2 of 6" in lacking(examples, {"c": Contains(words=(), answer=True)})
    assert UnitTests().lacks("assert f(1) == 1") == "" and "has no tests" in UnitTests().lacks(None)


def bound(stage: Any, **parts: Any) -> Bound:
    return Bound(type(stage).__name__.lower(), stage, parts, {}, {})


def test_examples_of_another_kind_than_a_stage_wants(tmp_path: Path) -> None:
    judged = bound(Evaluate(examples=True, text=False), evaluator={"reply": Reply(), "preferences": Preferences()})
    prompts = bound(Curate(), source=Arithmetic(holds="prompts"))
    lines, _ = unwanted([prompts, bound(Prepare()), bound(Align(), aligner=DPO()), judged], {})
    assert lines == [
        "align: aligner dpo learns from preference, and source arithmetic has prompt",
        "evaluate: evaluator reply wants held-out examples of conversation or preference or ranking, and source arithmetic has prompt",
        "evaluate: evaluator preferences wants held-out examples of preference, and source arithmetic has prompt",
    ]
    # where the examples' kind can't be told, it is the aligner's
    lines, known = unwanted([bound(Prepare()), bound(Align(), aligner=SFT()), judged], {})
    assert lines == ["evaluate: evaluator preferences wants held-out examples of preference, and aligner sft learns from conversation"]
    assert unwanted([judged], known)[0] == lines  # in the next phase of a pipeline
    pairs = [bound(SamplePairs()), bound(Prepare()), bound(Align(), aligner=DPO()), judged]
    assert unwanted(pairs, known)[0] == []
    stored(tmp_path / "run", "unpaired", [3], [3]).folder.rename(tmp_path / "examples")
    (tmp_path / "run" / "prepare").mkdir(parents=True)
    (tmp_path / "examples").rename(tmp_path / "run/prepare/examples")
    (tmp_path / "run/manifest.json").write_text(json.dumps({"from": None, "stages": {"prepare": {"artifacts": {"examples": {}}}}}))
    lines, _ = unwanted([bound(Align(), aligner=GRPO())], there(tmp_path / "run"))
    assert lines == [f"align: aligner grpo learns from prompt, and {tmp_path}/run/prepare/examples has unpaired"]


def test_a_source_says_the_kind_of_its_examples(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    pair = {"prompt": "Soup?", "chosen": "Which?", "rejected": "Yes."}
    file.write_text("\n".join(json.dumps(one) for one in ([1], {**pair, "chosen": ""}, pair, pair)))
    assert ExampleFiles(paths=[str(file)]).example_kind() == "preference"
    parts = {"a": {"name": "examples", "paths": [str(file)]}, "b": {"name": "text", "paths": [str(tmp_path)]}}
    assert Mixture(parts=parts).example_kind() == "preference"
    assert Mixture(parts={**parts, "c": {"name": "arithmetic"}}).example_kind() is None


def test_much_that_is_missing_is_said_aloud(tmp_path: Path) -> None:
    source = {"documents_in": 10, "quarantined_count": 6, "quarantined": [], "quarantined_reasons": {"empty reply": 4, "not JSON": 2}}
    assert lost(source) == ["  NOT READ: 6 of 10 records of the source, 60% (4: empty reply; 2: not JSON)"]
    assert lost({**source, "documents_in": 1000}) == [] == lost({"documents_in": 0})
    (tmp_path / "funnel.json").write_text(json.dumps([source]))
    about = {"dropped": {"longer than 9 tokens": 3, "more than 2 of its source": 50}, "train": {"examples": 6}, "held_out": {"examples": 1}}
    documents: Any = SimpleNamespace(path=tmp_path)
    assert aloud(about, documents) == [*lost(source), "  LEFT OUT: 3 of 10 examples, 30% (3: longer than 9 tokens)"]
    assert aloud({**about, "train": {"examples": 1000}}, SimpleNamespace(path=tmp_path / "none")) == []  # type: ignore[arg-type]


def test_how_to_go_on_after_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "chat.jsonl"
    file.write_text('{"text": "Soup."}\n')
    words = ["source=jsonl", f"source.paths=[{file}]", "stages=[curate]"]
    config = composed(words)
    run = tmp_path / "runs/a/one"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    record = {"status": "finished", "reads": reads(assemble(config, discover().registry)[0])}
    manifest = {"status": "failed", "overrides": words, "stages": {"curate": record}}
    (run / "manifest.json").write_text(json.dumps(manifest))
    assert list(changed(run, words)) == []
    file.write_text('{"text": "Which soup?"}\n')
    (line,) = changed(run, words)
    assert "what source reads has changed since stage curate read it" in line and "run source=jsonl" in line
    file.unlink()
    assert len(list(changed(run, words))) == 1
    with pytest.raises(
        ModelwrightError, match=r"takes no settings \(align.steps=3\).*resume runs/a/one goes on .* run source=.*align.steps=3$"
    ):
        Resume().run(["runs/a/one", "align.steps=3"])
    with pytest.raises(ModelwrightError, match=r"takes no settings \(x=1\)"):
        Resume().run(["x=1"])
    again, resumed = after_failing(ModelwrightError("x"), run, words)
    assert "with another setting, or a mended file" in again and "where they are not to blame" in resumed
    assert "when what stopped it is mended" in after_failing(RuntimeError("x"), run, words)[0]
    assert nearest_run(Path("runs/a/ones")) == "; did you mean 'runs/a/one'?"
    assert nearest_run(Path("runs/a")) == "; there are runs in it: runs/a/one"
    assert nearest_run(Path("/nowhere")) == "; the latest runs here: runs/a/one"
    with pytest.raises(ModelwrightError, match=r"from: runs/a/ones is not the folder of a run .*did you mean 'runs/a/one'"):
        there("runs/a/ones")
    shutil.rmtree(run)
    assert list(changed(run, words)) == []
