"""The lm-evaluation-harness finds the same of our models as of Hugging Face's with the same weights: its model `hf` is the reference."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lm_eval")
from modelwright.errors import ModelwrightError
from modelwright_plugins.conformance.judge import judge
from modelwright_plugins.conformance.ranks import joined, on_ranks
from modelwright_plugins.evaluator.lm_eval import LMEval

LENGTH, VOCABULARY = 48, 260
SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
LAYOUTS: list[dict[str, int]] = [{}, {"tensor": 2}]
TASKS = ["soup", "last", "text", "reply"]
SPOKEN = ["cold", "reply"]  # asked through a chat template too: with a shot, which is two turns before, and for a reply
DATA = "dataset_path: json\ndataset_kwargs: {{data_files: {{test: {data}}}}}\ntest_split: test\n"
CHOICE = "output_type: multiple_choice\ndoc_to_text: '{{question}}'\ndoc_to_choice: choices\ndoc_to_target: answer\nfewshot_split: test\n"
MEAN = "aggregation: mean, higher_is_better: true"


def tasks(folder: Path, lines: dict[str, list[dict[str, Any]]]) -> Path:
    """A task of each kind of request, two of them in a group."""
    folder.mkdir()
    told = {
        "cold": CHOICE + f"num_fewshot: 1\nmetric_list:\n- {{metric: acc, {MEAN}}}\n- {{metric: acc_norm, {MEAN}}}\n",
        "hot": CHOICE + f"metric_list:\n- {{metric: acc, {MEAN}}}\n",
        "last": "output_type: loglikelihood\ndoc_to_text: '{{text}}'\ndoc_to_target: '{{end}}'\ntarget_delimiter: ''\nmetric_list:\n"
        f"- {{metric: acc, {MEAN}}}\n- {{metric: perplexity, aggregation: perplexity, higher_is_better: false}}\n",
        "text": "output_type: loglikelihood_rolling\ndoc_to_text: ''\ndoc_to_target: '{{text}}'\nmetric_list:\n- metric: word_perplexity\n"
        "- metric: byte_perplexity\n- metric: bits_per_byte\n",
        "reply": "output_type: generate_until\ndoc_to_text: '{{text}}'\ndoc_to_target: '{{reply}}'\ngeneration_kwargs: {until: [e], "
        "max_gen_toks: 12}\nmetric_list:\n- metric: bleu\n",
    }
    for name, yaml in told.items():
        data = folder / f"{name}.jsonl"
        data.write_text("".join(json.dumps(line) + "\n" for line in lines[name]))
        (folder / f"{name}.yaml").write_text(f"task: {name}\n" + DATA.format(data=data) + yaml)
    aggregate = "aggregate_metric_list:\n- {metric: acc, weight_by_size: false}\n"
    (folder / "soup.yaml").write_text(f"group: soup\ntask: [cold, hot]\n{aggregate}")
    return folder


def theirs(folder: Path) -> tuple[Any, Any]:
    """A Llama whose likeliest tokens are all letters from a to z, and its tokenizer, in `folder`."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from modelwright_plugins.tokenizer.bpe import ByteLevelBPE
    from modelwright_plugins.tokenizer.find_template import find_template

    folder.mkdir()
    ByteLevelBPE(vocab_size=VOCABULARY).train(iter(["x"]), folder)  # about a token a byte
    end = json.loads((folder / "tokenizer.json").read_text())["added_tokens"][0]["content"]
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), eos_token=end)
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=VOCABULARY, **SIZES, max_position_embeddings=LENGTH, initializer_range=0.3, tie_word_embeddings=False,
        bos_token_id=None, eos_token_id=0, pad_token_id=0,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    letters = [tokenizer.encode(chr(letter))[0] for letter in range(ord("a"), ord("z") + 1)]
    with torch.no_grad():
        others = torch.ones(VOCABULARY, dtype=torch.bool)
        others[letters] = False
        model.lm_head.weight[others] *= 0.01
    model.save_pretrained(folder / "model")
    tokenizer.chat_template = find_template("chatml", folder)
    tokenizer.save_pretrained(folder / "model")
    return model, tokenizer


def lines(model: Any, tokenizer: Any) -> dict[str, list[dict[str, Any]]]:
    import torch

    def following(text: str) -> str:
        tokens = torch.tensor([tokenizer.encode(text)])
        return str(tokenizer.decode(model.generate(tokens, max_new_tokens=3, do_sample=False)[0, tokens.shape[1] :]))

    asked = [f"Is soup number {number} hot?" for number in range(8)]
    choices = [
        {"question": text, "choices": ["yes", "no", "perhaps so"], "answer": len(text + str(n)) * n % 3} for n, text in enumerate(asked)
    ]
    return {
        "cold": choices[:5],
        "hot": choices,
        "last": [{"text": text, "end": following(text) if n % 2 else "xyz"} for n, text in enumerate(asked)],
        "text": [{"text": "a bowl of soup. " * n} for n in (1, 3, 8, 20)],  # up to 320 tokens, where the model sees 48
        "reply": [{"text": text, "reply": "it is a soup and a half"} for text in [*asked[:3], "soup " * 30]],
    }


def ours(rank: int, where: Path, layouts: list[dict[str, int]]) -> list[Any]:
    """The scores in each layout, as tuples."""
    from dataclasses import astuple

    from modelwright_plugins.conformance.training import built_in
    from modelwright_plugins.engine import model
    from modelwright_plugins.engine.card import ModelCard
    from modelwright_plugins.engine.hugging_face_in import Incoming
    from modelwright_plugins.engine.inference import TrainedModel
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.engine.trainer import how
    from modelwright_plugins.evaluator.model import Model
    from modelwright_plugins.generator.sampling import Sampling
    from modelwright_plugins.parallel.megatron import Megatron

    found: list[Any] = []
    for number, fields in enumerate(layouts):
        layout = Megatron(**fields)
        if rank >= (ranks := layout.ranks(None)):
            found.append(None)
            continue
        joined(rank, ranks, number)
        with started(layout, seed=1) as device:
            incoming = Incoming.of(where / "their" / "model")
            parts = how({**built_in(), "parallel": layout})
            chunks: list[Any] = model.build(incoming.architecture, **parts, vocab_size=VOCABULARY, sequence_length=LENGTH)
            incoming.load(chunks, vocab_size=VOCABULARY)
            card = ModelCard(incoming.architecture, VOCABULARY, LENGTH, 0, 1)
            asked = Model(TrainedModel([chunk.eval() for chunk in chunks], card, device), where / "their", Sampling())
            told = []
            for name, names, chat in (("chat", SPOKEN, True), ("plain", TASKS, False)):
                out = where / f"{name} {number}"
                if asked.first:
                    out.mkdir()
                scores = LMEval(tasks=names, include_path=where / "tasks", chat_template=chat).evaluate(asked, out, seed=1)
                told.append([astuple(score) for score in scores])
            found.append(told)
    return found


@pytest.mark.slow
def test_our_numbers_are_the_harness_own_of_hugging_faces_model(tmp_path: Path) -> None:
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    llama, tokenizer = theirs(tmp_path / "their")
    folder = tasks(tmp_path / "tasks", lines(llama, tokenizer))
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    their = HFLM(str(tmp_path / "their" / "model"), device="cpu", dtype="float32")
    same: dict[str, Any] = {"model": their, "task_manager": manager, "bootstrap_iters": 0}
    reference: Any = simple_evaluate(tasks=TASKS, **same)
    asked: Any = simple_evaluate(tasks=SPOKEN, apply_chat_template=True, fewshot_as_multiturn=True, **same)
    ((chat, plain), (tensor_chat, tensor)), (_, (other_chat, other)) = on_ranks(
        ours, 2, tmp_path / "ranks", groups=2, where=tmp_path, layouts=LAYOUTS
    )
    spoken = {name: value for name, value, *_ in chat}
    assert spoken == pytest.approx(_numbers(asked), rel=1e-5) and len(spoken) == 3
    assert {name: value for name, value, *_ in tensor_chat} == pytest.approx(spoken, rel=1e-5) and other_chat == tensor_chat
    scores = {name: value for name, value, *_ in plain}
    expected = _numbers(reference)
    assert set(scores) == set(expected) and len(expected) == 10  # 2 + 1 of choices, their mean, 2 + 3 of likelihoods, 1 of replies
    assert scores == pytest.approx(expected, rel=1e-5)
    assert expected["last/acc"] >= 0.5 and math.isfinite(expected["last/perplexity"])  # what greedy search would say is known to be
    assert {name: value for name, value, *_ in tensor} == pytest.approx(scores, rel=1e-5) and other == tensor
    assert all(low <= value <= high for _, value, low, high, *_ in plain)
    better = {name: way for name, *_, way in plain}
    assert better["last/perplexity"] == "lower" and better["cold/acc"] == "higher" and better["text/bits_per_byte"] == "lower"
    for told, theirs_said, names in (("plain", reference, ("cold", "last", "text")), ("chat", asked, ("cold",))):
        said = [json.loads(line) for line in (tmp_path / f"{told} 0" / "samples.jsonl").read_text().splitlines()]
        replies = [line["filtered_resps"] for line in said if line["task"] == "reply"]
        assert replies == [sample["filtered_resps"] for sample in theirs_said["samples"]["reply"]]
        for name in names:
            mine = [line["resps"] for line in said if line["task"] == name]
            for one, two in zip(mine, theirs_said["samples"][name], strict=True):
                assert _flat(one) == pytest.approx(_flat(two["resps"]), rel=1e-4, abs=1e-4)


def _numbers(told: Any) -> dict[str, float]:
    """TASK/METRIC of what the harness returned."""
    return {
        f"{task}/{key.removesuffix(',none')}": value
        for task, numbers in told["results"].items()
        for key, value in numbers.items()
        if key.endswith(",none") and "_stderr" not in key
    }


def _flat(value: Any) -> list[float]:
    return [number for each in value for number in _flat(each)] if isinstance(value, list | tuple) else [float(value)]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"do_sample": False, "temperature": 0.7, "top_p": 0.5, "repetition_penalty": 1.3}, {"temperature": 0, "repetition_penalty": 1.3}),
        ({"temperature": 0.7, "top_p": 0.5}, {"temperature": 0.7, "top_p": 0.5, "top_k": 50}),
        ({"do_sample": True, "temperature": 0.7, "top_k": 0}, {"temperature": 0.7}),
        ({"do_sample": True, "temperature": 0.7, "top_k": 9, "min_p": 0.1}, {"temperature": 0.7, "top_k": 9, "min_p": 0.1}),
        ({"do_sample": True}, None),
    ],
)
def test_what_a_task_says_of_drawing_is_what_hf_makes_of_it(told: dict[str, Any], expected: dict[str, Any] | None) -> None:
    """With its `generate`, of whose GenerationConfig top_k is 50 where nobody says another."""
    from types import SimpleNamespace

    from lm_eval.api.instance import Instance

    from modelwright_plugins.evaluator._lm_eval_model import Harnessed
    from modelwright_plugins.generator.sampling import Sampling

    asked: list[Any] = []

    def said(prompts: Any, generator: Any, ending: Any) -> list[Any]:
        asked.append(generator)
        return [SimpleNamespace(text="x") for _ in prompts]

    model: Any = SimpleNamespace(length=64, end=0, encoder=SimpleNamespace(encode=lambda text: [1], end_of_document=0), said=said)
    request = Instance("generate_until", {}, ("a", {"until": ["."], "max_gen_toks": 8, **told}), 0)
    if expected is None:
        with pytest.raises(ModelwrightError, match="do_sample is true, and temperature 0"):
            Harnessed(model, begin=False).generate_until([request])
        return
    assert Harnessed(model, begin=False).generate_until([request]) == ["x"]
    assert asked == [Sampling(**{"max_new_tokens": 8, "stop": ["."], "top_p": 1.0, **expected})]


def test_a_conversation_has_the_tokens_of_the_template_and_ends_with_the_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lm_eval.api.instance import Instance

    from modelwright_plugins.evaluator._lm_eval_model import Spoken

    asked = judge("", tmp_path / "model", first=True)
    spoken, turn = Spoken(asked), {"role": "user", "content": "Soup?"}
    text = spoken.apply_chat_template([turn])
    (expected,) = asked.prompts([{"messages": [turn]}])
    assert text == "<|im_start|>user\nSoup?<|im_end|>\n<|im_start|>assistant\n" and spoken.tok_encode(text) == expected
    assert spoken.apply_chat_template([turn, {"role": "assistant", "content": "It"}], add_generation_prompt=False) == f"{text}It"
    with pytest.raises(ModelwrightError, match=r"a task's text has <\|im_end\|>, which is a special token"):
        spoken.apply_chat_template([{"role": "user", "content": "x<|im_end|>"}])
    refusing = "{% if messages[0].role == 'system' %}{{ raise_exception('none') }}{% endif %}{{ messages[0].content }}"
    monkeypatch.setattr(asked.chat, "template", refusing)
    assert spoken.apply_chat_template([{"role": "system", "content": "Be kind."}, turn]) == "Soup?"
    table: Any = asked.trained.table  # type: ignore[attr-defined]
    table[:, asked.chat.special["<|im_end|>"]] = 99.0  # which it always says
    request = Instance("generate_until", {}, (text, {"until": ["."], "max_gen_toks": 8}), 0)
    drawn: list[Any] = []
    monkeypatch.setattr(asked, "said", lambda *how: drawn.extend(type(asked).said(asked, *how)) or drawn)
    assert spoken.generate_until([request]) == [""] and len(drawn[0].tokens) == len(expected) + 1 and drawn[0].finished
    with pytest.raises(ValueError, match="begin is true, and chat_template too"):
        LMEval(tasks=["soup"], include_path=tmp_path, begin=True, chat_template=True)


def test_what_is_wrong_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tasks is empty"):
        LMEval(tasks=[], include_path=tmp_path)
    with pytest.raises(ValueError, match="include_path is null, and own_tasks false"):
        LMEval(tasks=["soup"])
    assert LMEval(tasks=["soup"], include_path=tmp_path / "x").problems() == [f"include_path: there is no folder {tmp_path}/x"]
    line = {"question": "Soup?", "choices": ["Yes", "No"], "answer": 0, "text": "Soup.", "end": "x", "reply": "Yes"}
    folder = tasks(tmp_path / "tasks", {name: [line, line] for name in ("cold", "hot", "last", "text", "reply")})
    (said,) = LMEval(tasks=["cod"], include_path=folder).problems()
    assert said.startswith(f"tasks: there is no cod in {folder}") and "did you mean 'cold'" in said
    before = LMEval(tasks=["hot"], include_path=folder).fingerprint()
    (folder / "hot.jsonl").write_text(json.dumps(line))
    assert LMEval(tasks=["hot"], include_path=folder).fingerprint() != before
    (tmp_path / "elsewhere").mkdir()
    (folder / "last.jsonl").rename(moved := tmp_path / "elsewhere" / "last.jsonl")
    yaml = (folder / "last.yaml").read_text()
    for named in (str(moved), f"[{moved.parent}/*.jsonl]"):
        (folder / "last.yaml").write_text(yaml.replace(str(folder / "last.jsonl"), named) + "process_docs: !function x.y\n")
        before = LMEval(tasks=["hot"], include_path=folder).fingerprint()
        moved.write_text(moved.read_text() + json.dumps(line) + "\n")
        assert LMEval(tasks=["hot"], include_path=folder).fingerprint() != before
    (folder / "last.yaml").write_text(yaml.replace(str(folder / "last.jsonl"), str(moved)))
    assert LMEval(tasks=["last", "soup"], include_path=folder).problems() == []
    (folder / "cold.jsonl").unlink()
    assert "FileNotFoundError" in LMEval(tasks=["soup"], include_path=folder).problems()[0]
    (folder / "hot.yaml").write_text((folder / "hot.yaml").read_text() + "unsafe_code: true\n")
    assert LMEval(tasks=["hot"], include_path=folder).problems()[0].startswith("tasks: hot runs what a model wrote")
    asked = judge("", tmp_path / "model", first=False)
    (folder / "text.yaml").write_text((folder / "text.yaml").read_text().replace("'{{text}}'", "'{{text + 1}}'"))
    with pytest.raises(ModelwrightError, match="tasks text: TypeError"):
        LMEval(tasks=["text"], include_path=folder).evaluate(asked, tmp_path, seed=1)
    with pytest.raises(ModelwrightError, match=r"a task asks for 12 tokens, and the model sees 10"):
        asked.length = 10
        LMEval(tasks=["reply"], include_path=folder).evaluate(asked, tmp_path, seed=1)
