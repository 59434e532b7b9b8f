"""A reply ends at the same place wherever it is drawn: where the template's turn ends, as a token or as text, or the generator stops."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from modelwright_plugins.engine import drawing
from modelwright_plugins.evaluator.model import Model
from modelwright_plugins.generator.sampling import Sampling
from modelwright_plugins.tokenizer.bpe import ByteLevelBPE
from modelwright_plugins.tokenizer.find_template import find_template
from modelwright_plugins.tokenizer.turn_end import ReplyEnd

USER = [{"role": "user", "content": "Soup?"}]
PROMPT = [1, 2, 3]


class Writes:
    """A model that writes the same text after every prompt."""

    def __init__(self, text: str, folder: Path, template: str, special: list[str]) -> None:
        ByteLevelBPE(vocab_size=257 + len(special), special_tokens=special).train(iter(["x"]), folder)
        self.folder, self.template, self.size = folder, find_template(template, folder), 257 + len(special)
        self.sequence_length, self.end_of_document, self.rank = 99, 0, 0
        self.model = Model(self, folder, Sampling(), template=self.template)  # type: ignore[arg-type]
        self.tokens = self.model.chat.encode_special(text)

    def start(self, prompts: Any) -> torch.Tensor:
        self.place = 0
        return self.step(prompts)

    def step(self, tokens: Any, rows: Any = None) -> torch.Tensor:
        self.place += 1
        return torch.nn.functional.one_hot(torch.tensor([self.tokens[self.place - 1]] * len(tokens)), self.size).float() * 99

    def generate(self, prompts: Any, generator: Sampling, *, seed: int, end: Any, stop: Any) -> Any:
        return generator.generate(self, prompts, end=end, seeds=[seed] * len(prompts), stop=stop)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("template", "special", "stop", "written", "reply"),
    [
        ("gemma", [], [], "No.<end_of_turn>", "No."),
        ("llama3", [], [], "No.<|eot_id|>", "No."),
        ("chatml", ["<|im_start|>", "<|im_end|>"], [], "No.<|im_end|>", "No."),
        ("gemma", [], ["END"], "one END", "one"),
        ("gemma", ["<end_of_turn>"], ["END", "."], "No.", "No"),
        ("plain", [], ["END"], " and so on for ev", "and so on for ev"),  # nothing ends it
    ],
)
def test_rollouts_evaluation_and_written_replies_end_alike(
    template: str, special: list[str], stop: list[str], written: str, reply: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrote = Writes(f"{written}, and on it goes<|im_end|> for ever", tmp_path, template, special)
    model, generator = wrote.model, Sampling(temperature=0, stop=stop, max_new_tokens=17)
    model.generator = generator
    (said,) = model.said([PROMPT])
    tokens = wrote.tokens[: len(model.chat.encode_special(written))]
    ended = written != " and so on for ev"
    assert (said.text, said.tokens, said.begin, said.finished) == (reply, [*PROMPT, *tokens], 3, ended)
    assert model.reply([USER]) == [reply]

    examples: Any = SimpleNamespace(about={"template": wrote.template}, lines=list)
    vocabulary = SimpleNamespace(end_of_document=0, size=wrote.size)
    rollouts: Any = SimpleNamespace(examples=examples, vocabulary=vocabulary, length=99)
    monkeypatch.setattr(
        drawing, "generate", lambda _, prompts, *more, end, stop, **__: wrote.generate(prompts, *more, seed=0, end=end, stop=stop)
    )
    monkeypatch.setattr(drawing, "dist", SimpleNamespace(get_rank=lambda: 1))
    scores: Any = None
    drawn = drawing.Drawing(rollouts, [], None, generator, scores, tmp_path, tmp_path, causal=True, at_once=4, micro_batch=1)
    (found,) = drawn._generated([{}], [PROMPT], [0])
    assert (drawn.ending.text(found.tokens), found.tokens, found.finished) == (reply, tokens, ended)
    if not stop:
        assert ReplyEnd(model.encoder, None, model.turn_end).upto(wrote.tokens) == tokens


def test_a_document_stops_at_the_generators_texts_alone(tmp_path: Path) -> None:
    wrote = Writes(" a <end_of_turn> b END c", tmp_path, "gemma", [])
    wrote.model.generator = Sampling(temperature=0, stop=["END"], max_new_tokens=22)
    assert wrote.model.complete(["x"]) == [" a <end_of_turn> b "]


def test_a_written_reply_that_nothing_ends_gets_the_end_of_the_document(tmp_path: Path) -> None:
    model = Writes("", tmp_path, "gemma", []).model
    assert ReplyEnd(model.encoder, None, model.turn_end).upto([5, 6]) == [5, 6, 0]
    assert ReplyEnd(model.encoder, None, model.turn_end).upto([5, 0, 6]) == [5, 0]
