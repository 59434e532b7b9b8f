"""A model that a stage can't go on from is named before anything runs."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from modelwright.assemble import Bound
from modelwright.component import Artifact, Job, Parts, Stage
from modelwright.errors import ModelwrightError
from modelwright.hooks import discover
from modelwright_plugins.adapter.lora import LoRA
from modelwright_plugins.adapter.none import Whole
from modelwright_plugins.aligner.sft import SFT
from modelwright_plugins.architecture.decoder import CausalDecoder
from modelwright_plugins.architecture.mamba import Mamba
from modelwright_plugins.artifacts import Checkpoint
from modelwright_plugins.artifacts.tokens_of import refuse_other
from modelwright_plugins.engine.card import ModelCard
from modelwright_plugins.evaluator.lm_eval import LMEval
from modelwright_plugins.evaluator.pairwise_judge import PairwiseJudge
from modelwright_plugins.evaluator.pass_at_k import PassAtK
from modelwright_plugins.evaluator.questions import Questions
from modelwright_plugins.evaluator.reply import Reply
from modelwright_plugins.generator.sampling import Sampling
from modelwright_plugins.generator.server import Server
from modelwright_plugins.quantizer.absmax import Absmax
from modelwright_plugins.quantizer.awq import AWQ
from modelwright_plugins.quantizer.fp8 import FP8
from modelwright_plugins.stage.align import Align
from modelwright_plugins.stage.evaluate import Evaluate
from modelwright_plugins.stage.export import Export
from modelwright_plugins.stage.known_model import Model, OfModel
from modelwright_plugins.stage.merge import Merge
from modelwright_plugins.stage.quantize import Quantize
from modelwright_plugins.stage.train import Train
from modelwright_plugins.stage.train_tokenizer import TrainTokenizer
from modelwright_plugins.stage.wanted import there, unwanted

SMALL = CausalDecoder(layers=2, width=8, heads=2)
GPT2 = CausalDecoder(layers=2, width=8, heads=2, norm="layer", activation="gelu_tanh", position="learned", bias=True)


def bound(stage: Any, **parts: Any) -> Bound:
    return Bound(type(stage).__name__.lower(), stage, parts, {}, {})


def told(*stages: Bound, run: Path | None = None) -> list[str]:
    return unwanted(stages, there(run))[0]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run with a checkpoint's cards, and none of its weights."""
    ModelCard(SMALL, 50, 16, 0, 1).write(tmp_path / "train/checkpoint/model.json", discover().registry)
    (tmp_path / "manifest.json").write_text(json.dumps({"from": None, "stages": {"train": {"artifacts": {"checkpoint": {}}}}}))
    return tmp_path


def test_training_goes_on_from_plain_weights_of_its_own_architecture(run: Path) -> None:
    further = Train(continued=True)
    assert told(bound(further, architecture=SMALL), run=run) == []
    deeper = CausalDecoder(layers=3, width=8, heads=2, dropout=0.1)
    folder = run / "train/checkpoint"
    assert told(bound(further, architecture=deeper), run=run) == [
        f"train: train.continued=true: {folder}: its architecture.layers is 2, not 3"
    ]
    assert told(bound(Train(), architecture=deeper), run=run) == []  # which begins with weights of its own
    aligned = bound(Align(), adapter=LoRA(), aligner=SFT())
    assert "stage align has an adapter; to train further on it, merge it" in told(aligned, bound(further, architecture=SMALL), run=run)[-1]
    assert told(aligned, bound(Merge()), bound(further, architecture=SMALL), run=run)[1:] == []


def test_a_model_is_trained_further_on_its_own_tokens(run: Path) -> None:
    """A number of tokens says nothing: tokenizers that are trained here have 8,192, whatever they mean."""
    first, further = bound(Train(), architecture=SMALL), bound(Train(continued=True), architecture=SMALL)
    own, another = bound(TrainTokenizer()), bound(Merge())
    why = "knows other tokens than those of stage traintokenizer; leave traintokenizer out of stages"
    assert told(own, further, run=run) == [f"train: train.continued=true: {run}/train/checkpoint {why}"]
    assert told(own, another, further, run=run) == [f"train: train.continued=true: stage merge {why}"]
    assert told(own, first, further, run=run) == told(own, first, run=run) == told(another, further, run=run) == []
    # and by their files, once it runs
    checkpoint, stages = run / "train/checkpoint", {}
    for name, made in (("before", "tokenizer"), ("train", "checkpoint"), ("later", "tokenizer")):
        stages[name] = {"artifacts": {made: {}}}
        (run / name / made).mkdir(parents=True, exist_ok=True)
        (run / name / made / "tokenizer.json").write_text(name)
    refuse_other(checkpoint, run / "later/tokenizer", "init_from=X")  # nobody knows which it had
    (run / "manifest.json").write_text(json.dumps({"from": None, "stages": stages}))
    refuse_other(checkpoint, run / "before/tokenizer", "init_from=X")
    with pytest.raises(ModelwrightError, match=r"^init_from=X: it was trained with another tokenizer than .*later/tokenizer, so that its"):
        refuse_other(checkpoint, run / "later/tokenizer", "init_from=X")


def test_what_is_quantized_goes_no_further(run: Path) -> None:
    few = bound(Quantize(), quantizer=Absmax())
    lines = told(few, bound(Train(continued=True), architecture=SMALL), run=run)
    why = "stage quantize has a quantized model, which can't be trained further; train the one that it was made of"
    assert lines == [f"train: train.continued=true: {why}"]
    assert told(few, few, run=run) == ["quantize: stage quantize has a quantized model already; quantize the one that it was made of"]
    card = {"quantizer": {"name": "absmax", "fields": {"bits": 4}}, "layers": {}, "files": {}}
    (run / "train/checkpoint/quantizer.json").write_text(json.dumps(card))
    assert f"{run}/train/checkpoint has a quantized model already" in told(few, run=run)[0]
    (run / "train/checkpoint/quantizer.json").write_text("{")  # who reads it says what is wrong
    assert told(few, run=run) == []


@pytest.mark.parametrize(
    ("architecture", "quantizer", "why"),
    [
        (SMALL, None, None),
        (SMALL, Absmax(), None),
        (SMALL, FP8(format="e5m2"), "compressed-tensors's files, which have no place for quantizer.format=e5m2"),
        (SMALL, AWQ(bits=3), "awq's files, which have no place for quantizer.bits=3"),
        (GPT2, None, None),
        (GPT2, Absmax(), "quantized models are written for llama, mistral, qwen2, qwen3, granite, bloom, and not for gpt2"),
        (Mamba(), None, "Hugging Face has no architecture that computes what this Mamba does"),
    ],
)
def test_what_no_file_holds_is_not_exported(architecture: Any, quantizer: Any, why: str | None) -> None:
    few = [bound(Quantize(), quantizer=quantizer)] if quantizer else []
    lines = told(bound(Train(), architecture=architecture), *few, bound(Export()))
    assert lines == [] if why is None else (len(lines) == 1 and why in lines[0] and lines[0].startswith("export: stage "))


def test_an_adapter_is_merged_before_it_is_exported() -> None:
    own = [bound(Train(), architecture=SMALL), bound(Align(), adapter=LoRA(), aligner=SFT())]
    (line,) = (each for each in told(*own, bound(Export())) if each.startswith("export"))
    assert "stage align has an adapter: stages=[merge,export] makes a model of it" in line
    plain = bound(Align(), adapter=Whole(), aligner=SFT())
    assert not any(each.startswith("export") for each in told(own[0], plain, bound(Export())))


def test_a_plugins_stage_says_what_becomes_of_a_model() -> None:
    """Behind one that says nothing, nothing is known."""

    @dataclass(frozen=True, kw_only=True)
    class Silent(Stage):
        makes: ClassVar[tuple[type[Artifact], ...]] = (Checkpoint,)

        def run(self, job: Job) -> None: ...

    class Halved(OfModel, Silent):
        def model_after(self, parts: Parts, before: Model, whose: str) -> Model:
            return replace(before, whose=whose, quantizer=Absmax())

    trained = bound(Train(), architecture=SMALL)
    assert told(trained, bound(Halved()), bound(Quantize(), quantizer=Absmax())) == [
        "quantize: stage halved has a quantized model already; quantize the one that it was made of"
    ]
    few = bound(Quantize(), quantizer=Absmax())
    assert told(trained, few, bound(Silent()), few) == []


def test_evaluators_whose_replies_leave_no_room_for_questions(run: Path, tmp_path: Path) -> None:
    """The run's model sees 16 tokens; the harness' task says nothing of its replies' length, which then is 256."""
    (tasks := tmp_path / "tasks").mkdir()
    (tasks / "q.jsonl").write_text('{"question": "Soup?", "answer": "Yes"}\n')
    yaml = f"task: q\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {tasks}/q.jsonl}}}}\ntest_split: test\n"
    yaml += "output_type: generate_until\ndoc_to_text: '{{question}}'\ndoc_to_target: '{{answer}}'\nmetric_list:\n- metric: exact_match\n"
    (tasks / "q.yaml").write_text(yaml)
    judges = {"one": Questions(path=tasks / "q.jsonl"), "two": PassAtK(path=tasks / "q.jsonl"), "three": Reply()}
    said = "generator.max_new_tokens=16 leave no room for what is asked, as the model sees 16 tokens; at most 15"
    for generator, lines in (
        (Sampling(max_new_tokens=16), [said] * 3),
        (Sampling(max_new_tokens=15), []),
        (Server(url="http://x", model="x"), []),
    ):
        evaluate = bound(Evaluate(), evaluator=judges, generator=generator)
        assert told(evaluate, run=run) == [f"evaluate: evaluator {name}: {line}" for name, line in zip(judges, lines, strict=False)]
    other = {"judge": PairwiseJudge(replies={"a": tasks, "b": tasks}, judge={"name": "server", "url": "http://x", "model": "x"})}
    assert told(bound(Evaluate(), evaluator=other, generator=Sampling(max_new_tokens=16)), run=run) == []  # none of its own replies
    few = {"generator": Sampling(max_new_tokens=16), "evaluator": {"one": judges["one"]}}
    longer = [bound(Align(sequence_length=17), adapter=Whole(), aligner=SFT()), bound(Merge()), bound(Quantize(), quantizer=Absmax())]
    assert told(*longer, bound(Evaluate(), **few), run=run) == []
    assert told(bound(Evaluate(), **few)) == []  # nothing is known of the model
    assert said in told(bound(Train(sequence_length=16), architecture=SMALL), bound(Evaluate(), **few))[0]
    pytest.importorskip("lm_eval")
    harness = {"generator": Sampling(), "evaluator": {"it": LMEval(tasks=["q"], include_path=tasks)}}
    (line,) = told(bound(Evaluate(), **harness), run=run)
    assert "it: task q: a reply may have 256 tokens, and the model sees 16; at most 15: max_gen_toks in the generation_kwargs" in line
    (tasks / "q.yaml").write_text(f"{yaml}generation_kwargs: {{max_new_tokens: 9}}\n")
    assert told(bound(Evaluate(), **{**harness, "evaluator": {"it": LMEval(tasks=["q"], include_path=tasks)}}), run=run) == []
