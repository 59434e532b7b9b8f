"""What `stage/sample_pairs.py` does, on all ranks."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from megatron.core import parallel_state

from modelwright.component import Job
from modelwright.errors import ModelwrightError
from modelwright_plugins.artifacts import Checkpoint, Documents, Tokenizer
from modelwright_plugins.artifacts.documents import read, split
from modelwright_plugins.engine.inference import open_model, without_context
from modelwright_plugins.engine.pretrained import template_of
from modelwright_plugins.engine.rollout_scores import Scores, gathered
from modelwright_plugins.evaluator.model import Model, Said
from modelwright_plugins.generator.seeds import seed_of
from modelwright_plugins.reward import Asked
from modelwright_plugins.reward.lacking import unread
from modelwright_plugins.source._turns import made, readable
from modelwright_plugins.stage._prepare import Left, _example
from modelwright_plugins.stage._shown import hidden, hides_tools
from modelwright_plugins.tokenizer.turn_end import ReplyEnd

if TYPE_CHECKING:
    from modelwright_plugins.stage.sample_pairs import SamplePairs

ROUND = 512  # turns that are answered at a time


@dataclass(frozen=True)
class Point:
    """A turn of the assistant's in a conversation."""

    id: str  # of its document, and its number there
    given: dict[str, Any]  # "messages", the turns before it, and "tools" where the conversation has some
    turn: dict[str, Any]  # the message that stands there
    answer: str | None

    @property
    def prompt(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.given["messages"]
        return found


@dataclass(frozen=True)
class Ready:
    """The same as tokens."""

    point: Point
    prompt: list[int]
    stands: Asked  # the reply that stands there


def points(documents: Documents, left: Counter[str]) -> Iterator[Point]:
    """Every turn of every conversation that is not held out, and is no turn of weight 0; `left` counts documents and turns that are left
    out, by reason. ModelwrightError: a document holds another kind of example."""
    held_out = frozenset(split(documents)["held_out"])
    for document in read(documents):
        if document["metadata"]["group"] in held_out:
            continue
        try:
            example = _example(document, "refuse")
        except Left as why:
            left[str(why)] += 1
            continue
        if example["kind"] != "conversation":
            raise ModelwrightError(f"{document['id']} is of kind {example['kind']}; sample_pairs wants conversations")
        said = [*example["prompt"], *example["replies"][0]]
        tools = {"tools": example["tools"]} if "tools" in example else {}
        places = [place for place, turn in enumerate(said) if turn["role"] == "assistant" and place]
        for number, (place, answer) in enumerate(zip(places, answers(example.get("answer"), len(places)), strict=True)):
            if said[place].get("weight") == 0:
                left["a turn of weight 0"] += 1
            elif not said[place]["content"].strip():
                left["a turn that says nothing"] += 1  # but calls a tool: rewards read texts
            else:
                yield Point(f"{document['id']}#{number}", {"messages": said[:place], **tools}, said[place], answer)


def ready(model: Model, some: Sequence[Point], left: Counter[str]) -> list[Ready]:
    """As the chat template renders them, without those that `prepare` would leave out."""
    asked = [one.given for one in some]
    whole = [{**one.given, "messages": [*one.prompt, one.turn]} for one in some]
    ending = ReplyEnd(model.encoder, None, model.turn_end)
    found = []
    each = zip(some, model.prompts(asked), model.chat.encode(whole, whole=False), hides_tools(asked, model.chat), strict=True)
    for one, prompt, chat, untold in each:
        if isinstance(prompt, ModelwrightError) or isinstance(chat, ModelwrightError):
            left[str(prompt if isinstance(prompt, ModelwrightError) else chat)] += 1
            continue
        said = [turn for turn in [*one.prompt, one.turn] if turn["role"] == "assistant"]
        why = "the template's text does not show its tools" if untold else None
        if len(chat.turns) != len(said):
            why = f"the template marks {len(chat.turns)} of {len(said)} turns of the assistant"
        elif why is None:
            why = hidden(chat, said, [turn is one.turn for turn in said])
        if why:
            left[why] += 1
            continue
        begin, tokens = chat.within(*chat.turns[-1]).start, chat.tokens.tolist()
        reply = [*tokens[:begin], *ending.upto(tokens[begin:])]
        found.append(Ready(one, prompt, Asked(one.prompt, one.turn["content"].strip(), one.answer, True, reply, begin)))
    return found


def answers(answer: str | None, turns: int) -> list[str | None]:
    """Of each of so many turns: one of a JSON list that has one for each, or the same for all."""
    try:
        each = json.loads(answer) if answer else None
    except ValueError:
        each = None
    if isinstance(each, list) and len(each) == turns:
        return [one if isinstance(one, str) else json.dumps(one) for one in each]
    return [answer] * turns


def sampled(stage: SamplePairs, job: Job) -> Mapping[str, float] | None:
    """Writes the pairs; on rank 0, how many there are."""
    how = {kind: job.parts[kind] for kind in ("parallel", "precision", "kernel", "attention")} | {"seed": job.seed}
    taken, tokenizer, documents = job.take(Checkpoint), job.take(Tokenizer).path, job.take(Documents)
    compared = [(one.id, one.answer) for one in islice(points(documents, Counter()), stage.turns)]
    if why := unread(compared, job.parts["reward"], "turns"):
        raise ModelwrightError(f"{documents.path}: {why}")
    pairs, asked, wrong, left = list[dict[str, Any]](), 0, 0, Counter[str]()
    with ExitStack() as stack:
        trained = stack.enter_context(open_model(taken, **how))
        model = Model(trained, tokenizer, job.parts["generator"], template=template_of(taken.path), seed=job.seed, batch=stage.batch)
        judged = {**how, "parallel": without_context(how["parallel"]), "tokenizer": tokenizer}  # as open_model has ranks joined
        scores = stack.enter_context(closing(Scores(job.parts["reward"], judged)))
        log = stack.enter_context((job.out / "replies.jsonl").open("w", encoding="utf-8")) if model.first else None
        found = islice(points(documents, left), stage.turns)
        while some := list(islice(found, ROUND)):
            mine = ready(model, some, left)
            model.seed = seed_of(job.seed, asked)  # other random numbers for each
            every = [one for one in mine for _ in range(stage.samples)]
            drawn = model.answered([one.point.given for one in every], [one.prompt for one in every])
            each = [drawn[begin : begin + stage.samples] for begin in range(0, len(drawn), stage.samples)]
            for one, said, worth in zip(mine, each, _scored(scores, mine, each), strict=True):
                lower = [place for place, value in enumerate(worth[1:]) if worth[0] - value >= stage.margin]
                asked, wrong = asked + 1, wrong + len(lower)
                if log:
                    told = {"id": one.point.id, "reply": one.point.turn["content"], "score": worth[0]}
                    told |= {"samples": [reply.text for reply in said], "scores": worth[1:], "finished": [reply.finished for reply in said]}
                    log.write(json.dumps(told, ensure_ascii=False) + "\n")
                # an empty reply is none, and one that ran out of room would be taught as if it had ended there
                bad = next((place for place in lower if said[place].finished and said[place].text.strip()), None)
                if bad is not None:
                    pairs.append(_document(one.point, said[bad].text, worth[0], worth[1 + bad]))
        first = model.first
    if first:
        for reason, count in left.most_common():
            print(f"  left out {count:,}: {reason}", flush=True)
    if not asked:
        reasons = "; ".join(f"{count:,}: {reason}" for reason, count in left.most_common(3))
        raise ModelwrightError(f"{documents.path}: no turn of a conversation is left to answer{f' ({reasons})' if reasons else ''}")
    if not pairs:
        raise ModelwrightError(
            f"{asked:,} turns were answered {stage.samples} times each, and no finished reply scores lower than the one there"
        )
    if not first:
        return None
    _write(job.make(Documents).path, pairs)
    share = wrong / (asked * stage.samples)
    print(f"  {len(pairs):,} pairs; of {asked * stage.samples:,} replies to {asked:,} turns {share:.1%} scored lower", flush=True)
    return {"pairs": len(pairs), "lower": share}


def _scored(scores: Scores, some: Sequence[Ready], replies: Sequence[Sequence[Said]]) -> list[list[float]]:
    """Of each turn, what the reply that stands there is worth, and then what each of the others is; on every rank. Data ranks share the
    turns out, so that a judge is asked once."""
    every = [[one.stands, *(_asked(one, reply) for reply in said)] for one, said in zip(some, replies, strict=True)]
    rank, ranks = parallel_state.get_data_parallel_rank(), parallel_state.get_data_parallel_world_size()
    share = -(-len(every) // ranks)
    mine = every[rank * share : (rank + 1) * share]
    if any(reward.collective for reward in scores.rewards.values()):  # a model's ranks are asked equally often
        mine += every[-1:] * (share - len(mine))
    _, sums, why = scores.of([reply for one in mine for reply in one]) if mine else ({}, [], "")
    told = gathered((sums, why))
    if why := next((each for _, each in told if each), ""):
        raise ModelwrightError(why)
    each = iter([sum(value for _, value in one) if isinstance(one, list) else one for sums, _ in told for one in sums])
    return [[next(each) for _ in one] for one in every]


def _asked(one: Ready, said: Said) -> Asked:
    return Asked(one.point.prompt, said.text, one.point.answer, said.finished, said.tokens, said.begin)


def _document(one: Point, rejected: str, *scores: float) -> dict[str, Any]:
    chosen = {name: value for name, value in one.turn.items() if name != "weight"}
    tools = {"tools": one.given["tools"]} if "tools" in one.given else {}
    example = made("preference", one.prompt, [[chosen], [{"role": "assistant", "content": rejected}]], **tools)
    group = hashlib.sha256(json.dumps(one.prompt).encode()).hexdigest()[:16]
    return {"text": readable(example), "id": one.id, "metadata": {"example": example | {"scores": [*scores]}, "group": group}}


def _write(folder: Path, documents: Sequence[dict[str, Any]]) -> None:
    """A `Documents` artifact of which nothing is held out."""
    folder.mkdir()
    with (folder / "00000.jsonl.gz").open("wb") as file, gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as out:
        for document in documents:
            out.write((json.dumps(document, ensure_ascii=False) + "\n").encode())
    size = sum(len(document["text"].encode()) for document in documents)
    step = {"step": "sample_pairs", "kind": "source", "documents_in": len(documents), "documents_out": len(documents)}
    funnel = [{**step, "bytes_in": size, "bytes_out": size, "dropped": {}, "examples": [], "quarantined": [], "quarantined_count": 0}]
    (folder / "funnel.json").write_text(json.dumps(funnel), encoding="utf-8")
    (folder / "split.json").write_text(json.dumps({"held_out": [], "bytes": {"train": size, "held_out": 0}}), encoding="utf-8")
