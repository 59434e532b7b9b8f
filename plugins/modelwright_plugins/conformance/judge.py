"""A small model with its tokenizer and held-out examples, for evaluators to ask."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from modelwright_plugins.artifacts.examples import PARTS, ExamplesWriter, StoredExamples, tokenizer_hash
from modelwright_plugins.artifacts.shard_writer import ShardWriter
from modelwright_plugins.evaluator.model import Model
from modelwright_plugins.generator import Generated, Generator, Stop
from modelwright_plugins.generator.sampling import Sampling
from modelwright_plugins.generator.seeds import seed_of
from modelwright_plugins.tokenizer.bpe import ByteLevelBPE
from modelwright_plugins.tokenizer.chat_tokens import ChatEncoder
from modelwright_plugins.tokenizer.encoder import Encoder
from modelwright_plugins.tokenizer.find_template import find_template

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from modelwright_plugins.engine.classifying import Text

SEED, LENGTH, COUNT = 7, 4096, 6
REPLIES = {"preference": 2, "ranking": 3, "prompt": 0}  # of each example; others have one
SAID = ("Yes, there is soup.", "No.", "Which size of soup would you like?")


class Chances:
    """What the engine's model promises, of a table: the next token's chances depend on the last one alone."""

    sequence_length, end_of_document, head, causal = LENGTH, 0, "tokens", True
    special_tokens: ClassVar[dict[str, int]] = {}

    def __init__(self, vocab_size: int, rank: int) -> None:
        self.vocab_size, self.rank = vocab_size, rank
        self.table = torch.randn(vocab_size, vocab_size, generator=torch.Generator().manual_seed(SEED))

    def token_losses(self, tokens: torch.Tensor, *, apart: bool = True) -> torch.Tensor:
        nats = torch.nn.functional.cross_entropy(self.table[tokens[:, :-1]].flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
        return nats.view(len(tokens), -1)

    def token_scores(self, tokens: torch.Tensor, *, apart: bool = True) -> torch.Tensor:
        likeliest = self.table[tokens[:, :-1]].argmax(-1) == tokens[:, 1:]
        return torch.stack([self.token_losses(tokens, apart=apart), likeliest.float()])

    def vectors(self, texts: Sequence[Text], pool: str) -> NDArray[np.float32]:
        states = {"first": lambda rows: rows[0], "last": lambda rows: rows[-1], "mean": lambda rows: rows.mean(0)}[pool]
        return np.stack([states(self.table[list(text.tokens)]).numpy() for text in texts])

    def start(self, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        self.seen = [list(prompt) for prompt in prompts]
        return self.table[[text[-1] for text in self.seen]]

    def step(self, tokens: Sequence[int], rows: Sequence[int] | None = None) -> torch.Tensor:
        self.seen = [[*self.seen[row], token] for row, token in zip(range(len(tokens)) if rows is None else rows, tokens, strict=True)]
        return self.table[[text[-1] for text in self.seen]]

    def other(self) -> torch.Tensor:
        return 0.3 * self.table[[text[-1] for text in self.seen]]

    def states(self) -> list[torch.Tensor]:
        return [self.table[text] for text in self.seen]

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        generator: Generator,
        *,
        seed: int,
        end: Collection[int] | None = None,
        stop: Stop | None = None,
        **_: Any,
    ) -> list[Generated]:
        ends = {self.end_of_document} if end is None else end
        return generator.generate(self, prompts, end=ends, seeds=[seed_of(seed, number) for number in range(len(prompts))], stop=stop)


def judge(kind: str, folder: Path, *, first: bool, shards: bool = False) -> Model:
    """A model of a rank that is first or not; `kind`: of the examples held out, or none; `shards`: it has training shards, of what is said
    in the examples. Its tokenizer and all of these lie in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    ByteLevelBPE(vocab_size=259).train(iter(["x"]), folder)  # a token a byte
    template = find_template("chatml", folder)
    examples = _examples(kind, folder, template) if kind else None
    trained: Any = Chances(259, 0 if first else 1)
    texts = _shards(folder) if shards else None
    return Model(trained, folder, Sampling(max_new_tokens=12), template=template, examples=examples, shards=texts, seed=SEED)


def _shards(folder: Path) -> Path:
    encoder, where = Encoder(folder), folder / "shards"
    where.mkdir(exist_ok=True)
    with ShardWriter(where / "train", 259) as out:
        for said in SAID:
            out.write([*encoder.encode(f"Is there soup today? {said} Is there anything else that you would like?"), 0])
    return where


def _examples(kind: str, tokenizer: Path, template: str) -> StoredExamples:
    encoder, folder = ChatEncoder(tokenizer, template), tokenizer / "examples"
    folder.mkdir(exist_ok=True)
    writers = {part: ExamplesWriter(folder, part, kind) for part in PARTS}
    for number in range(COUNT):
        prompt = [{"role": "user", "content": f"Is there soup number {number}?"}]
        count = REPLIES.get(kind, 1)
        asked: list[dict[str, Any]]
        if count:
            asked = [{"messages": [*prompt, {"role": "assistant", "content": SAID[(number + i) % 3]}]} for i in range(count)]
        else:
            asked = [{"messages": prompt, "add_generation_prompt": True}]
        rows, values = [], []
        for chat in encoder.encode(asked, whole=not count):
            assert not isinstance(chat, Exception)
            tokens, mask = chat.tokens, np.zeros(len(chat.tokens), np.uint8)
            for begin, stop in chat.turns:
                mask[chat.within(begin, stop)] = 1
            if count:
                tokens, mask = np.append(tokens, np.int32(0)), np.append(mask, np.uint8(1))
            rows.append((tokens, mask))
            values.append(np.where(np.arange(len(tokens)) == len(tokens) - 2, np.float32(number % 2), np.float32(np.nan)))
        every = {"preference": [1.0, 0.0], "ranking": [3.0, 2.0, 1.0], "unpaired": [float(number % 2)], "reward": [number / COUNT]}
        answer = {"answer": SAID[number % 3]} if kind == "prompt" else {}
        turns = {"messages": prompt} if count else {}  # as `prepare` keeps them
        line = {"id": f"e{number}", "group": f"g{number}", **turns, **answer}
        writers["held_out"].write(line, rows, every.get(kind), values)
    about: dict[str, Any] = {
        "kind": kind,
        "vocab_size": 259,
        "end_of_document": 0,
        "template": template,
        "tokenizer": tokenizer_hash(tokenizer),
    }
    counts: dict[str, Any] = {part: writer.close() for part, writer in writers.items()}
    about |= {"loss_on": "every", **counts, "dropped": {}, "cut_prompts": 0}
    (folder / "examples.json").write_text(json.dumps(about), encoding="utf-8")
    return StoredExamples(folder, "held_out")
