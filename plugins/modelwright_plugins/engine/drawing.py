"""Drawing replies in the middle of training: a round's are drawn, scored and kept at its first update, and given to the trainer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.distributed as dist
from megatron.core import parallel_state
from numpy.typing import NDArray

from modelwright.errors import ModelwrightError
from modelwright_plugins.engine import context
from modelwright_plugins.engine.drawn_replies import Replies, readable
from modelwright_plugins.engine.example_batches import Row
from modelwright_plugins.engine.generation import generate
from modelwright_plugins.engine.loop import placed, split
from modelwright_plugins.engine.one_rank import on_one_rank
from modelwright_plugins.engine.remote_replies import replied
from modelwright_plugins.engine.rollout_scores import Scores, at_tokens, gathered
from modelwright_plugins.engine.rollouts import Rollouts
from modelwright_plugins.engine.token_log_probabilities import Read, logps, logps_and_values, of_tokens
from modelwright_plugins.generator import Generator, Remote
from modelwright_plugins.progress import progress
from modelwright_plugins.reward import Asked
from modelwright_plugins.tokenizer.chat_tokens import ChatEncoder
from modelwright_plugins.tokenizer.turn_end import ReplyEnd, TurnEnd

if TYPE_CHECKING:
    from modelwright_plugins.reward import Score

Inputs = dict[str, Any]


@dataclass
class Drawing:
    """Draws, scores and keeps replies, and gives the trainer its micro-batches of them."""

    rollouts: Rollouts
    chunks: list[Any]
    first: list[Any] | None  # modules with the first weights, where the aligner compares with them
    generator: Generator
    scores: Scores
    tokenizer: Path
    folder: Path  # where rounds are kept: in the stage's own, so that they are of its settings and inputs
    causal: bool
    at_once: int  # replies drawn at a time on each rank, as `generate` has its `batch`
    micro_batch: int  # rows of a pass on each rank
    needed: Callable[[], int] | None = None  # the first update that a resumed run may begin with

    def __post_init__(self) -> None:
        self.chat = ChatEncoder(self.tokenizer, self.rollouts.examples.about["template"])
        self.ending = ReplyEnd(self.chat.encoder, self.generator, TurnEnd.of(self.chat))
        self.lines = list(self.rollouts.examples.lines())
        if isinstance(self.generator, Remote) and any("prompt" not in line for line in self.lines):
            raise ModelwrightError(f"{self.rollouts.examples.folder} keeps no turns that a server could be asked; run prepare again")
        self.number, self.coefficient = -1, 0.0
        self.replies: Replies | None = None
        self.kept: NDArray[np.int64] | None = None
        self.prepared: dict[str, torch.Tensor] = {}

    def beside(self, micro_batches: list[Inputs], size: int) -> list[Inputs]:
        """The micro-batches of the rows that `Rollouts.batch` numbered."""
        rollouts = self.rollouts
        numbers = torch.cat([each["loss_number"] for each in micro_batches]).cpu().numpy()
        update, rows = np.divmod(numbers, rollouts.global_batch * rollouts.rows)
        number, place = rollouts.place(int(update[0]))
        if number != self.number:
            self._begin(number)
        assert self.replies is not None and self.kept is not None
        prompts = rollouts.of_update(number, place)
        update_rows = self.kept.reshape(-1, rollouts.rows)[prompts].flatten()
        chosen = update_rows[rows]
        found = self.laid(chosen)
        newest = rollouts.newest
        newest.positions, newest.tokens = found["input_ids"].shape[1], int((self.replies.lengths[update_rows] - 1).sum())
        found |= {name: self._fitted(value[chosen], newest.positions) for name, value in self.prepared.items()}
        device = next(self.chunks[0].parameters()).device
        return [context.split(placed(each, device, causal=self.causal)) for each in split(found, size)]

    def laid(self, rows: Sequence[int] | NDArray[np.int64]) -> Inputs:
        """Rows of the round as a model reads them."""
        assert self.replies is not None
        found = []
        for row in rows:
            tokens = self.replies.tokens[self.replies.row(int(row))]
            found.append([Row(tokens, np.arange(len(tokens)) >= self.replies.begins[row])])
        return {**self.rollouts.layer.laid(found), "loss_rows": torch.full((len(found),), self.rollouts.rows)}

    @staticmethod
    def _fitted(value: torch.Tensor, positions: int) -> torch.Tensor:
        return value if value.dim() == 1 else torch.nn.functional.pad(value, (0, positions - value.shape[1]))

    def _begin(self, number: int) -> None:
        """The round that is kept, or a new one."""
        aligner = self.rollouts.aligner
        found = self._loaded(number)
        if found is None:
            coefficient = self._following(number)
            self.replies = self._drawn(number)
            if dist.get_rank() == 0:
                self._keep(number, coefficient)
        else:
            self.replies, coefficient = found
        drawn = self.replies.round(aligner.samples, self.generator.max_new_tokens, coefficient)
        self.number, self.coefficient = number, coefficient
        kept = aligner.kept(drawn)
        self.kept = np.arange(len(drawn.rewards)) if kept is None else kept.numpy()
        told = {"reward": drawn.whole, "finished": drawn.finished.float(), "length": drawn.mask.sum(-1)}
        told |= {f"reward/{name}": torch.from_numpy(value) for name, value in self.replies.named.items()}
        if kept is not None:  # what is told is of all replies to a prompt, also where few of them are learned from
            told = {name: value.view(-1, aligner.samples).mean(1).repeat_interleave(aligner.samples) for name, value in told.items()}
        self.prepared = {**aligner.prepared(drawn), **{f"loss_{name}": value for name, value in told.items()}}

    def _following(self, number: int) -> float:
        """The coefficient of this round, after what the one before it was."""
        aligner = self.rollouts.aligner
        before = (self.replies, self.coefficient) if self.number == number - 1 and self.replies is not None else self._loaded(number - 1)
        if before is None or before[0] is None:
            if number and aligner.adapts and dist.get_rank() == 0:
                print(
                    f"  {self._file(number - 1)} is not there: the weight of the divergence begins again at {aligner.begins:g}", flush=True
                )
            return aligner.begins
        return aligner.follows(before[0].round(aligner.samples, self.generator.max_new_tokens, before[1]))

    def _file(self, number: int) -> Path:
        return self.folder / f"{number * self.rollouts.aligner.updates + 1}.npz"

    def _loaded(self, number: int) -> tuple[Replies, float] | None:
        """What an earlier attempt of this stage has drawn, on every rank: one rank's file may not be on another's machine."""
        return on_one_rank(lambda: Replies.load(self._file(number)) if number >= 0 else None)

    def _keep(self, number: int, coefficient: float) -> None:
        """The round, and what a resumed run may still ask for: its own, and the one before."""
        assert self.replies is not None
        self.folder.mkdir(exist_ok=True)
        self.replies.save(self._file(number), coefficient)
        texts = [self._texts(row) for row in range(len(self.replies.lengths))]
        self._file(number).with_suffix(".jsonl").write_text(readable(self.replies, texts, self.rollouts.aligner.samples), encoding="utf-8")
        if self.needed is not None:
            needed = self.rollouts.place(self.needed())[0] - 1
            for file in self.folder.glob("*.npz"):
                if file.stem.isdigit() and self.rollouts.place(int(file.stem) - 1)[0] < needed:
                    file.unlink()

    def _texts(self, row: int) -> tuple[str, str]:
        assert self.replies is not None
        tokens, begin = self.replies.tokens[self.replies.row(row)], int(self.replies.begins[row])
        encoder = self.chat.encoder
        return encoder.hugging_face.decode(tokens[:begin].tolist(), skip_special_tokens=False), self.ending.text(tokens[begin:].tolist())

    def _drawn(self, number: int) -> Replies:
        """A new round, the same on every rank."""
        rollouts, samples = self.rollouts, self.rollouts.aligner.samples
        rank, ranks = parallel_state.get_data_parallel_rank(), parallel_state.get_data_parallel_world_size()
        share = rollouts.prompts // ranks
        mine = list(range(rank * share, (rank + 1) * share))
        stored = rollouts.drawn(number)[mine]
        asked = [rollouts.examples.row(rollouts.examples.rows_of(int(each))[0])[0].tolist() for each in stored]
        prompts = [prompt for prompt in asked for _ in range(samples)]
        lines = [self.lines[int(each)] for each in stored for _ in range(samples)]
        found = self._generated(lines, prompts, rollouts.seeds(number, mine))
        tokens = [np.array([*prompt, *each.tokens], np.int64) for prompt, each in zip(prompts, found, strict=True)]
        begins = np.array([len(prompt) for prompt in prompts], np.int64)
        texts = [self.ending.text(each.tokens) for each in found]
        spoken = [
            Asked(_messages(line, prompt, self.chat), text, line.get("answer"), each.finished, [*prompt, *each.tokens], len(prompt))
            for line, prompt, text, each in zip(lines, prompts, texts, found, strict=True)
        ]
        named, scores, wrong = self.scores.of(spoken)
        told = gathered((named, scores, wrong))
        if wrong := next((each for _, _, each in told if each), ""):
            raise ModelwrightError(wrong)
        named, scores = told[rank][0], told[rank][1]
        steps = None
        if any(isinstance(each, list) for _, some, _ in told for each in some):
            steps = np.concatenate([self._steps(*each) for each in zip(scores, prompts, found, texts, strict=True)])
        rewards = np.array([0.0 if isinstance(each, list) else each for each in scores], np.float32)
        flat, lengths = np.concatenate(tokens), np.array([len(each) for each in tokens], np.int64)
        finished = np.array([each.finished for each in found])
        self.replies = Replies(stored, flat, lengths, begins, finished, rewards, named, steps)
        aligner = rollouts.aligner
        if aligner.head == "both":
            self.replies.old, self.replies.values = self._asked(self.chunks, logps_and_values, 2)
        elif aligner.remembers:
            (self.replies.old,) = self._asked(self.chunks)
        if self.first is not None:
            (self.replies.first,) = self._asked(self.first)
        return Replies.joined(gathered(self.replies))

    def _generated(self, lines: Sequence[Mapping[str, Any]], prompts: list[list[int]], seeds: list[int]) -> list[Any]:
        """The model's replies; how many at a time changes none of them. Or those of another, elsewhere."""
        if isinstance(self.generator, Remote):
            asked = [{"messages": line["prompt"], **({"tools": line["tools"]} if "tools" in line else {})} for line in lines]
            told = replied(self.generator, asked, chat=self.chat, ending=self.ending, seeds=seeds)
            return list(told[parallel_state.get_data_parallel_rank()])
        ends = {"end": self.ending.tokens, "stop": self.ending.stop}
        how: dict[str, Any] = {**ends, "context": self.rollouts.length, "vocab_size": self.rollouts.vocabulary.size}
        with progress("replies", len(prompts), "reply") if dist.get_rank() == 0 else nullcontext() as bar:
            found = generate(self.chunks, prompts, self.generator, seeds=seeds, bar=bar, batch=self.at_once, **how)
        if context.ranks() > 1:  # each has drawn them: a difference in the last bit would have them ask a split model about other rows
            group = parallel_state.get_context_parallel_group()
            dist.broadcast_object_list(found, dist.get_global_rank(group, 0), group=group)
        return found

    def _steps(self, score: Score, prompt: list[int], generated: Any, text: str) -> NDArray[np.float32]:
        found = np.zeros(len(prompt) + len(generated.tokens), np.float32)
        for place, value in at_tokens(score, generated.tokens, text, self.chat.encoder):
            found[len(prompt) + place] += value
        return found

    def _asked(self, chunks: list[Any], read: Read = logps, kinds: int = 1) -> list[NDArray[np.float32]]:
        """Of each kind [all tokens] what `read` finds at this data rank's replies, 0 elsewhere."""
        assert self.replies is not None
        device, lengths = next(self.chunks[0].parameters()).device, self.replies.lengths
        found = [np.zeros((kinds, int(n)), np.float32) for n in lengths]
        filling = self.micro_batch * parallel_state.get_pipeline_model_parallel_world_size()
        several = min(4, -(-len(lengths) // filling)) * filling  # micro-batches that fill a pipeline, and no more than there are rows for
        order = np.argsort(lengths, kind="stable")  # as long as their neighbours
        for begin in range(0, len(order), several):
            rows = order[np.minimum(np.arange(begin, begin + several), len(order) - 1)]  # the last one again and again
            asked = [context.split(placed(each, device, causal=self.causal)) for each in split(self.laid(rows), self.micro_batch)]
            for row, values in zip(rows, of_tokens(chunks, asked, read, kinds).numpy().swapaxes(0, 1), strict=True):
                found[row][:, 1:] = values[:, : lengths[row] - 1]
        return list(np.concatenate(found, 1))


def _messages(line: Mapping[str, Any], prompt: Sequence[int], chat: ChatEncoder) -> list[Any]:
    """The turns that were asked, or where `prepare` did not keep them, what the tokens say."""
    return line["prompt"] if "prompt" in line else [{"role": "user", "content": chat.encoder.decode(prompt)}]
