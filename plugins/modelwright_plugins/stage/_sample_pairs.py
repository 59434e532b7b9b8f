"""What `stage/sample_pairs.py` does, on all ranks."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch.distributed as dist

from modelwright.component import Job
from modelwright.errors import ModelwrightError
from modelwright_plugins.artifacts import Checkpoint, Documents, Tokenizer
from modelwright_plugins.artifacts.documents import read, split
from modelwright_plugins.engine.inference import open_model
from modelwright_plugins.engine.pretrained import template_of
from modelwright_plugins.engine.rollout_scores import Scores
from modelwright_plugins.evaluator.model import Model
from modelwright_plugins.reward import Asked
from modelwright_plugins.source._turns import made, readable

if TYPE_CHECKING:
    from modelwright_plugins.stage.sample_pairs import SamplePairs

ROUND = 512  # turns that are answered at a time


@dataclass(frozen=True)
class Point:
    """A turn of the assistant's in a conversation."""

    id: str  # of its document, and its number there
    prompt: list[dict[str, Any]]  # the turns before it
    reply: str  # what stands there
    answer: str | None


def points(documents: Documents) -> Iterator[Point]:
    """Every turn of every conversation that is not held out. ModelwrightError: a document holds no conversation."""
    held_out = frozenset(split(documents)["held_out"])
    for document in read(documents):
        if document["metadata"]["group"] in held_out:
            continue
        example = document["metadata"].get("example", {})
        if example.get("kind") != "conversation":
            raise ModelwrightError(f"{document['id']}: sample_pairs wants conversations, as source=examples reads them")
        said = [*example["prompt"], *example["replies"][0]]
        places = [place for place, turn in enumerate(said) if turn["role"] == "assistant" and place]
        for number, (place, answer) in enumerate(zip(places, answers(example.get("answer"), len(places)), strict=True)):
            yield Point(f"{document['id']}#{number}", said[:place], said[place]["content"], answer)


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
    taken, tokenizer = job.take(Checkpoint), job.take(Tokenizer).path
    pairs, asked, wrong = list[dict[str, Any]](), 0, 0
    with ExitStack() as stack:
        trained = stack.enter_context(open_model(taken, **how))
        model = Model(trained, tokenizer, job.parts["generator"], template=template_of(taken.path), seed=job.seed, batch=stage.batch)
        scores = stack.enter_context(closing(Scores(job.parts["reward"], how)))
        log = stack.enter_context((job.out / "replies.jsonl").open("w", encoding="utf-8")) if model.first else None
        found = islice(points(job.take(Documents)), stage.turns)
        while some := list(islice(found, ROUND)):
            model.seed = job.seed + asked * stage.samples  # other random numbers for each
            drawn = model.reply([one.prompt for one in some for _ in range(stage.samples)])
            each = [drawn[begin : begin + stage.samples] for begin in range(0, len(drawn), stage.samples)]
            for one, said, worth in zip(some, each, _scored(scores, some, each), strict=True):
                lower = [place for place, mine in enumerate(worth[1:]) if worth[0] - mine >= stage.margin]
                asked, wrong = asked + 1, wrong + len(lower)
                if log:
                    told = {"id": one.id, "reply": one.reply, "score": worth[0], "samples": said, "scores": worth[1:]}
                    log.write(json.dumps(told, ensure_ascii=False) + "\n")
                bad = next((place for place in lower if said[place].strip()), None)
                if bad is not None:
                    pairs.append(_document(one, said[bad], worth[0], worth[1 + bad]))
        first = model.first
    if not pairs:
        raise ModelwrightError(f"{asked:,} turns were answered {stage.samples} times each, and no reply scores lower than the one there")
    if not first:
        return None
    _write(job.make(Documents).path, pairs)
    share = wrong / (asked * stage.samples)
    print(f"  {len(pairs):,} pairs; of {asked * stage.samples:,} replies to {asked:,} turns {share:.1%} scored lower", flush=True)
    return {"pairs": len(pairs), "lower": share}


def _scored(scores: Scores, some: Sequence[Point], replies: Sequence[Sequence[str]]) -> list[list[float]]:
    """Of each turn, what the reply that stands there is worth, and then what each of the others is; on every rank."""
    told: list[Any] = [None]
    asked = [Asked(one.prompt, reply, one.answer) for one, said in zip(some, replies, strict=True) for reply in (one.reply, *said)]
    _, sums, why = scores.of(asked)
    if dist.get_rank() == 0:
        told = [why or [sum(value for _, value in score) if isinstance(score, list) else score for score in sums]]
    dist.broadcast_object_list(told)
    if isinstance(told[0], str):
        raise ModelwrightError(told[0])
    each = iter(told[0])
    return [[next(each) for _ in range(1 + len(said))] for said in replies]


def _document(one: Point, rejected: str, *scores: float) -> dict[str, Any]:
    replies = [[{"role": "assistant", "content": text}] for text in (one.reply, rejected)]
    example = made("preference", one.prompt, replies)
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
