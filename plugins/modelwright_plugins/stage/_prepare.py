"""What `stage/prepare.py` does to each example."""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modelwright.errors import ModelwrightError
from modelwright_plugins.artifacts.documents import read, split
from modelwright_plugins.artifacts.examples import PARTS, ExamplesWriter, tokenizer_hash
from modelwright_plugins.progress import progress
from modelwright_plugins.source._formats import messages as conversation
from modelwright_plugins.source._turns import Malformed, readable
from modelwright_plugins.stage._plain_text import text_rows
from modelwright_plugins.stage._prepared import CAPPED
from modelwright_plugins.stage._shown import hidden, hides_tools

if TYPE_CHECKING:
    from modelwright_plugins.artifacts import Documents
    from modelwright_plugins.stage.prepare import Prepare
    from modelwright_plugins.tokenizer.chat_tokens import Chat, ChatEncoder

BATCH = 256  # documents that are rendered and tokenized at a time
Row = tuple[Any, Any, Any]  # tokens, mask and values, each [its tokens]


class Left(ValueError):
    """Why an example is left out."""


def write(stage: Prepare, documents: Documents, encoder: ChatEncoder, folder: Path) -> dict[str, Any]:
    """The files of the `Examples` artifact; gives what is in examples.json."""
    aside = split(documents)
    held_out = frozenset(aside["held_out"])
    kept = _capped(documents, stage.cap, held_out)
    dropped: Counter[str] = Counter()
    kind, writers, cut = "", dict[str, ExamplesWriter](), 0
    found = read(documents)
    with progress("prepare", sum(aside["bytes"].values()), "B") as bar:
        while batch := list(islice(found, BATCH)):
            ready: list[tuple[dict[str, Any], dict[str, Any]]] = []
            for document in batch:
                try:
                    aside_too = document["metadata"]["group"] in held_out
                    if kept and not aside_too and _hash(document) > kept.get(_source(document), 1 << 64):
                        raise Left(f"{CAPPED}{stage.cap} of its source")
                    ready.append((document, _example(document, stage.texts)))
                except Left as why:
                    dropped[str(why)] += 1
            for (document, example), made in zip(ready, _rows(ready, encoder, stage), strict=True):
                if not kind:
                    kind = example["kind"]
                    writers = {part: ExamplesWriter(folder, part, kind) for part in PARTS}
                if example["kind"] != kind:
                    raise ModelwrightError(f"{document['id']} is of kind {example['kind']}, those before it {kind}: a run is of one kind")
                if isinstance(made, Left):
                    dropped[str(made)] += 1
                    continue
                rows, used = made
                cut += used is not example
                metadata = document["metadata"]
                line = {"id": document["id"], "group": metadata["group"]}
                line |= {"source": metadata["source"]} if "source" in metadata else {}
                line |= {"answer": example["answer"]} if "answer" in example else {}
                if kind == "prompt":  # rewards and servers read the turns
                    line |= {name: example[name] for name in ("prompt", "tools") if name in example}
                elif metadata["group"] in held_out and "text" not in example:  # what evaluators show a judge, and ask another model
                    said = [*used["prompt"], *used["replies"][0]]
                    line |= {"messages": said[: _last(said)], **_tools(used)}
                writer = writers["held_out" if metadata["group"] in held_out else "train"]
                values = [row[2] for row in rows] if kind == "steps" else None
                if "text" not in example:
                    writer.write(line, [row[:2] for row in rows], example["scores"], values)
                for row in rows if "text" in example else ():  # each an example of its own
                    writer.write(line, [row[:2]])
            bar.update(sum(len(document["text"].encode()) for document in batch))
    if not writers or not writers["train"].counts["examples"]:
        reasons = "; ".join(f"{count:,}: {reason}" for reason, count in dropped.most_common(3))
        raise ModelwrightError(f"{documents.path}: no training example is left{f' ({reasons})' if reasons else ''}")
    about = {
        "kind": kind,
        "vocab_size": encoder.encoder.vocab_size,
        "end_of_document": encoder.encoder.end_of_document,
        "template": encoder.template,
        "tokenizer": tokenizer_hash(encoder.encoder.folder),
        "loss_on": stage.loss_on,
        **{part: writer.close() for part, writer in writers.items()},
        "dropped": dict(sorted(dropped.items())),
        "cut_prompts": cut,
    }
    (folder / "examples.json").write_text(json.dumps(about, indent=1, ensure_ascii=False), encoding="utf-8")
    return about


def _source(document: Mapping[str, Any]) -> str:
    return str(document["metadata"].get("source", ""))


def _hash(document: Mapping[str, Any]) -> int:
    return int.from_bytes(sha256(f"{document['id']} {document['text']}".encode("utf-8", "surrogatepass")).digest()[:8], "big")


def _capped(documents: Documents, cap: int | None, held_out: frozenset[str]) -> dict[str, int]:
    """The greatest hash of each source that has more than `cap`: those below are drawn evenly, and the same each time."""
    if cap is None:
        return {}
    least: dict[str, list[int]] = {}
    for document in read(documents):
        if document["metadata"]["group"] not in held_out:
            heap = least.setdefault(_source(document), [])
            heapq.heappush(heap, -_hash(document))
            if len(heap) > cap:
                heapq.heappop(heap)
    return {source: -heap[0] for source, heap in least.items() if len(heap) == cap}


def _example(document: Mapping[str, Any], texts: str) -> dict[str, Any]:
    metadata = document["metadata"]
    if "example" in metadata:
        example = dict(metadata["example"])
    elif "messages" in metadata:  # as source=conversations leaves them
        try:
            example = conversation({"messages": metadata["messages"]})
        except Malformed as error:
            raise Left(str(error)) from error
    elif texts == "learn":
        return {"kind": "conversation", "text": document["text"], "scores": None}
    else:
        raise Left("no example in it: it was edited, or is none of source=examples or conversations (prepare.texts=learn takes texts)")
    if readable(example) != document["text"]:
        raise Left("a filter edited its text, and not its turns")
    return example


def _rows(ready: Sequence[tuple[Any, dict[str, Any]]], encoder: ChatEncoder, stage: Prepare) -> Iterator[tuple[list[Row], Any] | Left]:
    """The rows of each example, in order, and the example that they are of, whose prompt may be cut; or why it is left out."""
    asked = [_asked(example) for _, example in ready]
    prompts = bool(ready) and ready[0][1]["kind"] == "prompt"
    every = [one for each in asked for one in each]
    chats, hides = iter(encoder.encode(every, whole=prompts)), iter(hides_tools(every, encoder))
    end, most = encoder.encoder.end_of_document, stage.max_length
    for (document, example), each in zip(ready, asked, strict=True):
        mine, untold = list(islice(chats, len(each))), any(list(islice(hides, len(each))))
        try:
            if "text" in example:
                yield text_rows(example["text"], encoder.encoder, most or 2), example
                continue
            if untold:
                raise Left("the template's text does not show its tools")
            rows = [_row(chat, example, place, end, stage.loss_on) for place, chat in enumerate(mine)]
            shorter: dict[str, Any] | None = example
            while most is not None and _longest(rows) > most:
                if stage.too_long == "error":
                    too = f"{document['id']} has {_longest(rows):,} tokens, more than max_length={most:,}"
                    raise ModelwrightError(f"{too}; prepare.too_long=drop leaves it out")
                shorter = _shorter(shorter) if shorter is not None and stage.too_long == "cut_prompt" else None
                if shorter is None:
                    raise Left(f"longer than {most:,} tokens")
                mine = encoder.encode(_asked(shorter), whole=prompts)
                rows = [_row(chat, shorter, place, end, stage.loss_on) for place, chat in enumerate(mine)]
            yield rows, shorter
        except Left as why:
            yield why


def _asked(example: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The conversation of each row."""
    tools = _tools(example)
    if "text" in example:
        return []
    if example["kind"] == "prompt":
        return [{"messages": example["prompt"], "add_generation_prompt": True, **tools}]
    return [{"messages": [*example["prompt"], *reply], **tools} for reply in example["replies"]]


def _tools(example: Mapping[str, Any]) -> dict[str, Any]:
    return {"tools": example["tools"]} if "tools" in example else {}


def _last(turns: Sequence[Mapping[str, Any]]) -> int:
    """The place of what the assistant says last."""
    return max((place for place, turn in enumerate(turns) if turn["role"] == "assistant"), default=len(turns))


def _longest(rows: Sequence[Row]) -> int:
    return max(len(tokens) for tokens, _, _ in rows)


def _shorter(example: dict[str, Any]) -> dict[str, Any] | None:
    """The same without the first of the user's turns in its prompt and what answers it; None: there is but one."""
    asked = example["prompt"]
    first = int(bool(asked) and asked[0]["role"] == "system")
    later = next((place for place in range(first + 1, len(asked)) if asked[place]["role"] == "user"), None)
    return None if later is None else {**example, "prompt": [*asked[:first], *asked[later:]]}


def _row(chat: Chat | ModelwrightError, example: Mapping[str, Any], place: int, end: int, loss_on: str) -> Row:
    """Tokens, mask and values of a prompt and its reply number `place`."""
    if isinstance(chat, ModelwrightError):
        raise Left(str(chat))
    tokens = chat.tokens
    mask = np.zeros(len(tokens), np.uint8)
    said = [turn for turn in example["prompt"] if turn["role"] == "assistant"]
    before, prompt = len(said), example["kind"] == "prompt"
    said += [] if prompt else [turn for turn in example["replies"][place] if turn["role"] == "assistant"]
    if len(chat.turns) != len(said):
        raise Left(f"the template marks {len(chat.turns)} of {len(said)} turns of the assistant")
    wanted = range(max(before, len(said) - 1) if loss_on == "last" else before, len(said))
    learned = [number in wanted and turn.get("weight") != 0 for number, turn in enumerate(said)]
    if why := hidden(chat, said, learned):
        raise Left(why)
    if prompt:
        return tokens, mask, None
    if not any(learned):
        raise Left("no turn of the assistant is a target: their weights are 0")
    if loss_on == "all" and example["kind"] != "conversation":
        raise ModelwrightError(
            f"prepare.loss_on=all is of conversations, and these are of kind {example['kind']}: their prompts are no targets"
        )
    mask[:] = loss_on == "all"
    for (begin, stop), target in zip(chat.turns, learned, strict=True):
        mask[chat.within(begin, stop)] = target
    values = _values(chat, example) if example["kind"] == "steps" else None
    if not len(tokens) or tokens[-1] != end:
        tokens, mask = np.append(tokens, np.int32(end)), np.append(mask, np.uint8(learned[-1]))
        values = None if values is None else np.append(values, np.float32(np.nan))
    return tokens, mask, values


def _values(chat: Chat, example: Mapping[str, Any]) -> Any:
    """[tokens] the label of each step at its last token, NaN elsewhere."""
    values = np.full(len(chat.tokens), np.nan, np.float32)
    at, stop = chat.turns[-1]
    for step, label in zip(example["steps"], example["labels"], strict=True):
        said = step.strip()  # templates trim
        begin = chat.text.find(said, at, stop)
        if begin < 0:
            raise Left("a step is not in the text as it is")
        at = begin + len(said)
        last = chat.within(begin, at).stop - 1
        if not np.isnan(values[last]):
            raise Left("two steps end in one token")
        values[last] = label
    return values
