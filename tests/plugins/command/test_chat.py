"""A talk: turns through the run's template, replies as they come, and what ends them."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelwright.errors import ModelwrightError
from modelwright_plugins.command._talk import Streamed, Talk, _begun
from modelwright_plugins.command.chat import _asked, _generator, _of_pipeline
from modelwright_plugins.generator import Generated
from modelwright_plugins.generator.contrastive_decoding import ContrastiveDecoding
from modelwright_plugins.generator.sampling import Sampling
from modelwright_plugins.tokenizer.bpe import ByteLevelBPE
from modelwright_plugins.tokenizer.chat_tokens import ChatEncoder
from modelwright_plugins.tokenizer.find_template import find_template
from modelwright_plugins.tokenizer.turn_end import ReplyEnd, TurnEnd

SPECIAL = ["<|im_start|>", "<|im_end|>"]


class Model:
    """It says what it is told to, after any prompt."""

    def __init__(self, folder: Path, template: str | None, *, context: int = 999, stop: list[str] | None = None) -> None:
        ByteLevelBPE(vocab_size=259, special_tokens=SPECIAL).train(iter(["x"]), folder)
        chat = ChatEncoder(folder, find_template(template or "plain", folder))
        self.encoder, self.says, self.asked, self.drawn = chat.encoder, list[str](), list[str](), list[int]()
        self.encode = chat.encode_special
        ending = ReplyEnd(chat.encoder, Sampling(stop=stop or []), TurnEnd.of(chat) if template else None)
        self.out = Out()
        self.talk = Talk(self.draw, chat if template else None, ending, context=context, most=99, out=self.out)

    def draw(self, prompt: Sequence[int], *, end: Any, stop: Any, turn: int) -> Generated:
        import torch

        self.asked.append(self.encoder.hugging_face.decode(list(prompt), skip_special_tokens=False))
        self.drawn.append(turn)
        said: list[int] = []
        for token in self.encode(self.says.pop(0)):
            said.append(token)
            if token in end or (stop is not None and stop(said)):
                return Generated(said, True, torch.zeros(len(said)))
            if self.encoder.decode(said).endswith("^C"):
                raise KeyboardInterrupt
        return Generated(said, False, torch.zeros(len(said)))


class Out(io.StringIO):
    """What is printed at a time, too."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    def write(self, text: str) -> int:
        self.pieces += [text] if text else []
        return super().write(text)


def test_turns_and_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = Model(tmp_path, "chatml")
    model.says = ["Which one?<|im_end|>more", "Fine", "Half a re^C and more", "Yes<|im_end|>", "So<|im_end|>"]
    lines = ["Soup", "", "/system Be short", "The green", None, "//Again", "/what", "/system", "And?", "/reset", "New"]
    model.talk.go(iter(lines))
    assert model.out.getvalue() == "Which one?\nFine\nHalf a re^C\nYes\nSo\n"
    user, reply = "<|im_start|>user\n{}<|im_end|>\n", "<|im_start|>assistant\n{}<|im_end|>\n"
    ask = "<|im_start|>assistant\n"
    before = user.format("Soup") + reply.format("Which one?")
    system = "<|im_start|>system\nBe short<|im_end|>\n"
    assert model.asked[0] == user.format("Soup") + ask
    assert model.asked[1] == system + before + user.format("The green") + ask
    before += user.format("The green") + reply.format("Fine") + user.format("/Again")
    assert model.asked[2] == system + before + ask
    assert model.asked[3] == before + reply.format("Half a re^C") + user.format("And?") + ask
    assert model.asked[4] == user.format("New") + ask
    assert model.drawn == [0, 1, 2, 3, 4]
    assert "/what is no command" in capsys.readouterr().err


def test_it_streams_what_no_further_token_can_change(tmp_path: Path) -> None:
    """A character of several bytes comes whole; the beginning of a stop is held back until it is none."""
    model = Model(tmp_path, "gemma", stop=["END"])  # <end_of_turn> is text here, as the tokenizer has no such token
    model.says = ["Grün <end, EN END and more", "x<end_of_turn>"]
    model.talk.go(["?", "!"])
    assert model.out.getvalue() == "Grün <end, EN\nx\n"
    assert model.out.pieces[:6] == ["G", "r", "ü", "n", " <end,", " EN"]


@pytest.mark.parametrize(
    ("text", "stop", "held"), [("ab<e", "<end>", 2), ("ab", "<end>", 0), ("<end", "<end>", 4), ("", "x", 0), ("aa", "aab", 2)]
)
def test_what_may_begin_a_stop(text: str, stop: str, held: int) -> None:
    assert _begun(text, stop) == held


def test_a_long_talk_loses_its_first_turns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = Model(tmp_path, "chatml", context=220)
    model.says = ["a" * 30 + "<|im_end|>"] * 4
    model.talk.go(["1" * 20, "2" * 20, "3" * 20, "4" * 20])
    assert "1" * 20 in model.asked[1]
    assert ["1" * 20 in model.asked[3], "3" * 20 in model.asked[3], "4" * 20 in model.asked[3]] == [False, True, True]
    assert all(len(model.encode(text)) <= 165 for text in model.asked)
    assert capsys.readouterr().err.count("the first turns are left out") == 1


@pytest.mark.parametrize("template", ["chatml", None])
def test_a_turn_that_does_not_fit_is_refused(template: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And not answered without its beginning; the talk goes on."""
    model = Model(tmp_path, template, context=100)
    model.says = ["Soup"]
    model.talk.go(["x" * 90, "Hi"])
    assert model.out.getvalue() == "Soup\n" and len(model.asked) == 1 and "x" not in model.asked[0].replace("<|endoftext|>", "")
    assert "the model sees 100, and 75 beside a reply: make it shorter" in capsys.readouterr().err


def test_the_whole_reply_is_said_in_the_end(tmp_path: Path) -> None:
    """Also where it is another than its tokens were on the way."""
    model = Model(tmp_path, "chatml")
    for said, wanted, printed in [("Soup and more", "Soup", ""), ("Soap", "Soup", "\nSoup"), ("So", "Soup", "up")]:
        out = Out()
        streamed = Streamed(model.talk.ending, out, said)
        streamed.show("S\ufffd")
        streamed.show(wanted, last=True)
        assert (streamed.shown, out.getvalue()) == (wanted, printed)


def test_a_model_of_texts_goes_on_with_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = Model(tmp_path, None)
    model.says = [" upon a time<|endoftext|>"]
    model.talk.go(["Once"])
    assert model.asked == ["<|endoftext|>Once"] and model.out.getvalue() == " upon a time\n"
    assert capsys.readouterr().err.count("\n") == 1


def test_what_is_asked_wrongly_is_told() -> None:
    assert _asked(["r", "--temperature", "0", "--seed=3"]) == (Path("r"), {"temperature": 0.0, "seed": 3})
    for words, told in [
        ([], "with which run"),
        (["r", "--temp", "1"], "--temperature"),
        (["r", "--seed"], "needs a value"),
        (["r", "--seed=x"], "number"),
        (["r", "--seed=-1"], "^--seed is -1; it is 0 or more$"),
    ]:
        with pytest.raises(ModelwrightError, match=told):
            _asked(words)


def test_an_amateurs_temperature_is_not_the_talks() -> None:
    with pytest.raises(ModelwrightError, match=r"--temperature: the run's generator ContrastiveDecoding has no temperature"):
        _generator(ContrastiveDecoding(amateur=Path("a")), {"temperature": 0.5})


def phase_made(folder: Path, head: str = "tokens", **stages: list[str]) -> Path:
    """A phase's folder, as far as it is looked at before a model is loaded."""
    from modelwright.hooks import discover
    from modelwright_plugins.architecture.decoder import CausalDecoder
    from modelwright_plugins.engine.card import ModelCard
    from modelwright_plugins.explain import composed

    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(composed(["recipe=pretrain/quickstart"])))
    if stages:
        records = {name: {"status": "finished", "artifacts": {key: {} for key in made}} for name, made in stages.items()}
        (folder / "manifest.json").write_text(json.dumps({"status": "finished", "overrides": [], "from": None, "stages": records}))
    for name in stages:
        card = ModelCard(CausalDecoder(layers=1, width=32, heads=2), 259, 64, 0, 1, head=head)  # type: ignore[arg-type]
        card.write(folder / name / "checkpoint" / "model.json", discover().registry)
    return folder


def test_of_a_pipeline_the_last_phase_that_talks(tmp_path: Path) -> None:
    """Not the reward model that came after it, nor what has not begun."""
    names = ["pretrain", "reward", "export"]
    (tmp_path / "pipeline.json").write_text(
        json.dumps({"recipe": "p", "words": [], "next": [], "phases": [{"name": name, "from": None, "overrides": []} for name in names]})
    )
    reward = phase_made(tmp_path / "reward", "value", align=["checkpoint", "tokenizer"])
    phase_made(tmp_path / "export")
    with pytest.raises(ModelwrightError, match=r"no phase of this pipeline[^\n]*\nexport: .*\nreward: .*\npretrain: "):
        _of_pipeline(tmp_path)
    talks = phase_made(tmp_path / "pretrain", train=["checkpoint", "tokenizer"])
    checkpoint, tokenizer, parts = _of_pipeline(tmp_path)
    assert (checkpoint, tokenizer) == (talks / "train" / "checkpoint", talks / "train" / "tokenizer") and "generator" in parts
    assert reward.exists()


def run_made(rank: int, where: Path) -> None:
    """A run with a checkpoint of random weights that was aligned, as far as a talk reads it."""
    from modelwright.hooks import discover
    from modelwright_plugins.architecture.decoder import CausalDecoder
    from modelwright_plugins.attention.cores import Native
    from modelwright_plugins.conformance.ranks import joined
    from modelwright_plugins.engine import checkpoint
    from modelwright_plugins.engine.card import ModelCard
    from modelwright_plugins.engine.model import build, initialise
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.explain import composed
    from modelwright_plugins.kernel.local import Torch
    from modelwright_plugins.parallel.megatron import Megatron
    from modelwright_plugins.precision.floats import FP32

    joined(rank, 1, 0)
    architecture = CausalDecoder(layers=1, width=32, heads=2)
    with started(Megatron(), seed=0):
        how: dict[str, Any] = {"parallel": Megatron(), "precision": FP32(), "kernel": Torch(), "attention": Native()}
        chunks = build(architecture, **how, vocab_size=259, sequence_length=64)
        initialise(chunks, architecture, seed=1, vocab_size=259)
        (there := where / "train" / "checkpoint").mkdir(parents=True)
        ModelCard(architecture, 259, 64, 0, 1).write(there / "model.json", discover().registry)
        checkpoint.save(there, 1, chunks, None, keep_last=None)
    (there / "chat_template.jinja").write_text(find_template("chatml", there))
    (tokenizer := where / "train_tokenizer" / "tokenizer").mkdir(parents=True)
    ByteLevelBPE(vocab_size=259, special_tokens=SPECIAL).train(iter(["x"]), tokenizer)
    (where / "config.yaml").write_text(yaml.safe_dump(composed(["recipe=pretrain/quickstart"])))
    made = {"train_tokenizer": {"tokenizer": {}}, "train": {"checkpoint": {}}}
    stages = {name: {"status": "finished", "artifacts": artifacts} for name, artifacts in made.items()}
    (where / "manifest.json").write_text(json.dumps({"status": "finished", "overrides": [], "from": None, "stages": stages}))


@pytest.mark.slow
def test_through_a_pipe(tmp_path: Path) -> None:
    from modelwright_plugins.conformance.ranks import on_ranks

    on_ranks(run_made, 1, tmp_path / "ranks", where=tmp_path / "run")
    words = [sys.executable, "-m", "modelwright", "chat", str(tmp_path / "run"), "--max-new-tokens=5"]
    talks = []
    for _ in range(2):
        told = subprocess.run(
            words, input="Hi\n/reset\nHi\n", capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
        )
        assert told.returncode == 0, told.stderr
        talks.append(told.stdout)
    assert talks[0] == talks[1] and talks[0].endswith("\n") and talks[0].strip()
