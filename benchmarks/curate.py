"""How fast Modelwright's data steps are beside datatrove's stock ones: the same text, the same thresholds, one process.

    python benchmarks/curate.py [--megabytes 3]

Text is this machine's Python library. Prints megabytes for each second of processor time, and whether both decided alike.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.pipeline import dedup, filters
from datatrove.utils.hashing import HashConfig
from loguru import logger

from modelwright_plugins.deduper.minhash import MinHash
from modelwright_plugins.filter.c4 import C4Quality
from modelwright_plugins.filter.fineweb import FineWebQuality
from modelwright_plugins.filter.gopher import GopherQuality, GopherRepetition
from modelwright_plugins.source._reader import Reader
from modelwright_plugins.source.python_library import PythonLibrary
from modelwright_plugins.tokenizer.bpe import ByteLevelBPE
from modelwright_plugins.tokenizer.encoder import Encoder


def library(size: int) -> list[str]:
    source = PythonLibrary(max_bytes=2 * size)
    with tempfile.TemporaryDirectory() as quarantine:
        texts = [one.text for one in Reader(source, source.files(), Path(quarantine)).run()]
    random.Random(0).shuffle(texts)
    chosen, total = [], 0
    for text in texts:
        if total < size:
            chosen.append(text)
            total += len(text.encode())
    return chosen


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.process_time()
    found = work()
    return time.process_time() - begin, found


def decide(steps: list[Any], texts: list[str]) -> list[Any]:
    """What each filter says of each text, all filters on all texts."""
    found = []
    for text in texts:
        for step in steps:
            try:
                found.append(step.filter(Document(text=text, id="", metadata={})))
            except ZeroDivisionError:  # stock filters divide by the number of words
                found.append("none")
    return found


def main() -> None:
    logger.remove()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=float, default=3.0)
    texts = library(int(parser.parse_args().megabytes * 1e6))
    size = sum(len(text.encode()) for text in texts) / 1e6
    print(f"{len(texts)} documents, {size:.1f} MB; MB for each second of processor time")

    def row(name: str, ours: float, theirs: float, same: str) -> None:
        print(f"  {name:34} modelwright {size / ours:7.2f}   stock {size / theirs:7.2f}   {theirs / ours:4.1f} x   {same}")

    own = [part.build() for part in (GopherQuality(), GopherRepetition(), C4Quality(), FineWebQuality())]
    stock = [filters.GopherQualityFilter(), filters.GopherRepetitionFilter(), filters.C4QualityFilter(), filters.FineWebQualityFilter()]
    decide(own, texts[:1]), decide(stock, texts[:1])  # load spaCy
    mine, a = seconds(lambda: decide(own, texts))
    theirs, b = seconds(lambda: decide(stock, texts))
    row("Gopher x 2, C4, FineWeb", mine, theirs, f"{sum(x == y for x, y in zip(a, b, strict=True))} of {len(a)} decisions equal")

    with tempfile.TemporaryDirectory() as folder:
        config = dedup.MinhashConfig(hash_config=HashConfig(precision=64))
        signature = dedup.MinhashDedupSignature(folder, config)
        few = texts[: max(len(texts) // 4, 1)]
        part = sum(len(text.encode()) for text in few) / 1e6
        mine, _ = seconds(lambda: MinHash().sign(texts))
        theirs, _ = seconds(lambda: signature.run(Document(text=text, id="") for text in few))
        row("MinHash signatures, 14 x 8", mine, theirs * size / part, f"stock on {part:.1f} MB")

        ByteLevelBPE().train(iter(texts), Path(folder))
        encoder = Encoder(Path(folder))
        mine, a = seconds(lambda: [encoder.encode(text) for text in texts])
        slow = encoder.hugging_face
        theirs, b = seconds(lambda: [slow.encode(text, add_special_tokens=False).ids for text in texts])
        row("encoding, BPE (stock: HF tokenizers)", mine, theirs, f"{sum(x == y for x, y in zip(a, b, strict=True))} of {len(a)} equal")


if __name__ == "__main__":
    main()
