"""From documents to Megatron's indexed datasets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelwright.component import Job, Stage
from modelwright.errors import ModelwrightError
from modelwright_plugins.artifacts import Documents, Tokenizer, TokenShards
from modelwright_plugins.progress import progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from modelwright_plugins.tokenizer.encoder import Encoder

BATCH = 4_000_000  # characters encoded at a time, by all threads


@dataclass(frozen=True, kw_only=True)
class Tokenize(Stage):
    """Writes training and held-out documents as token shards that Megatron-Core reads."""

    takes = (Documents, Tokenizer)
    makes = (TokenShards,)

    def run(self, job: Job) -> None:
        import numpy as np

        from modelwright_plugins.artifacts.documents import read, split
        from modelwright_plugins.artifacts.shard_writer import ShardWriter
        from modelwright_plugins.tokenizer.encoder import Encoder

        documents = job.take(Documents)
        encoder = Encoder(job.take(Tokenizer).path)
        aside = split(documents)
        held_out = frozenset(aside["held_out"])
        folder = job.make(TokenShards).path
        folder.mkdir()
        parts = ("train", "held_out")
        shards = {part: ShardWriter(folder / part, encoder.vocab_size) for part in parts}
        totals: dict[str, Any] = {part: {"documents": 0, "tokens": 0, "bytes": 0, "groups": set()} for part in parts}
        with (
            progress("tokenize", sum(aside["bytes"].values()), "B") as bar,
            (folder / "held_out.jsonl").open("w", encoding="utf-8") as listed,
        ):
            for document, tokens in _encoded(read(documents), encoder):
                group = document["metadata"]["group"]
                part = "held_out" if group in held_out else "train"
                shards[part].write(np.append(tokens, np.uint32(encoder.end_of_document)))
                size = len(document["text"].encode())
                total = totals[part]
                total["documents"] += 1
                total["tokens"] += len(tokens) + 1
                total["bytes"] += size
                total["groups"].add(group)
                if part == "held_out":
                    listed.write(json.dumps({"id": document["id"], "group": group, "bytes": size}, ensure_ascii=False) + "\n")
                bar.update(size)
        for part in parts:
            shards[part].close()
            totals[part]["groups"] = sorted(totals[part]["groups"])
        if not totals["train"]["tokens"]:
            raise ModelwrightError(f"{documents.path}: no training document is left, every group is held out")
        found = {**totals, "vocab_size": encoder.vocab_size, "end_of_document": encoder.end_of_document}
        (folder / "shards.json").write_text(json.dumps(found, indent=1, ensure_ascii=False), encoding="utf-8")
        for part in parts:
            total = totals[part]
            print(
                f"  {part:8}  {total['documents']:,} documents of {len(total['groups'])} groups, {total['bytes'] / 1e6:.2f} MB,"
                f" {total['tokens']:,} tokens ({total['bytes'] / max(total['tokens'], 1):.2f} bytes each)"
            )


def _encoded(documents: Iterator[dict[str, Any]], encoder: Encoder) -> Iterator[tuple[dict[str, Any], NDArray[np.uint32]]]:
    batch: list[dict[str, Any]] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document["text"])
        if size >= BATCH:
            yield from zip(batch, encoder.encode_arrays([one["text"] for one in batch]), strict=True)
            batch, size = [], 0
    yield from zip(batch, encoder.encode_arrays([one["text"] for one in batch]), strict=True)
