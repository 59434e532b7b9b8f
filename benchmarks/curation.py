"""How fast Modelwright's data steps are beside datatrove's stock ones, and whether they do the same: one table, with the bars of issue 5.

    OMP_NUM_THREADS=1 python benchmarks/curation.py [--rows filters minhash tokens language growth] [--megabytes 50] [--text FILE.jsonl …]

Both sides get the same documents, in one process, and what is compared is megabytes (10^6 bytes of UTF-8) for each second of processor
time, that of threads and child processes counted. Text is this machine's Python library and packages, drawn at random (seed 0), unless
--text names JSON Lines. What each row does is said in its function. The exit code is 1 if a bar is not met.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ |= {"TOKENIZERS_PARALLELISM": "true", "TQDM_DISABLE": "1"}

import numpy as np
from _planted import BANDS, partners, planted, score
from _table import Row, row, seconds, table
from _texts import size, texts
from datatrove.data import Document
from datatrove.pipeline import dedup, filters
from loguru import logger

from modelwright_plugins.artifacts.shard_writer import ShardWriter
from modelwright_plugins.deduper._steps import Match, Remove, Sign
from modelwright_plugins.deduper.minhash import MinHash
from modelwright_plugins.filter.c4 import C4Quality
from modelwright_plugins.filter.fineweb import FineWebQuality
from modelwright_plugins.filter.gopher import GopherQuality, GopherRepetition
from modelwright_plugins.tokenizer.bpe import END_OF_DOCUMENT, ByteLevelBPE
from modelwright_plugins.tokenizer.encoder import Encoder


def documents(some: list[str]) -> list[Document]:
    return [Document(text=text, id=str(number), metadata={}) for number, text in enumerate(some)]


def decide(steps: list[Any], some: list[str]) -> list[tuple[bool | None, str]]:
    """Whether each filter keeps each text, and the text as it leaves it; every filter sees every text. None: it raised an exception."""
    found: list[tuple[bool | None, str]] = []
    for text in some:
        for step in steps:
            document = Document(text=text, id="", metadata={})
            try:
                found.append((step.filter(document) is True, document.text))
            except ZeroDivisionError:  # stock filters divide by numbers of words and lines
                found.append((None, text))
    return found


def filter_rows(some: list[str]) -> list[Row]:
    """Gopher quality and repetition, C4 quality, FineWeb quality with their default thresholds, each on every document. The same: a text is
    kept or not, and if it is kept comes out the same."""
    parts = (GopherQuality(), GopherRepetition(), C4Quality(), FineWebQuality())
    steps = [filters.GopherQualityFilter(), filters.GopherRepetitionFilter(), filters.C4QualityFilter(), filters.FineWebQualityFilter()]
    decide(steps, some[:1])  # load spaCy
    stock, theirs = seconds(lambda: decide(steps, some))
    found = []
    for mode, bar, least in (("exact", 3, 1.0), ("fast", 15, 0.96)):
        name = f"Gopher x 2, C4, FineWeb, mode={mode}"
        ours_steps = [replace(part, mode=mode).build() for part in parts]
        decide(ours_steps, some[:1])
        ours, mine = seconds(lambda steps=ours_steps: decide(steps, some))  # type: ignore[misc]
        told = [(a[0] == b[0] and (a[1] == b[1] or not a[0])) for a, b in zip(mine, theirs, strict=True) if b[0] is not None]
        each = sum(told) / len(told)
        kept = [[all(one[0] for one in all_four[at : at + 4]) for at in range(0, len(all_four), 4)] for all_four in (mine, theirs)]
        whole = sum(a == b for a, b in zip(*kept, strict=True)) / len(some)
        print(f"  {name}: {each:.2%} of {len(told):,} decisions are the same; of documents that all four keep or not, {whole:.2%};")
        print(f"    stock raised {len(theirs) - len(told)} exceptions, and keeps {sum(kept[1]):,} of {len(some):,}")
        for at, part in enumerate(parts):
            pairs = [(a[0], b[0]) for a, b in zip(mine[at::4], theirs[at::4], strict=True) if b[0] is not None]
            alike = sum(a == b for a, b in pairs) / len(pairs)
            print(f"    {type(part).__name__}: {alike:.2%}, stock keeps {sum(b is True for _, b in pairs) / len(pairs):.0%}")
        least_text = f"same decisions >= {least:.0%} (are {each:.2%})"
        found.append(row(name, size(some), ours, stock, bar, least_text, min(each, whole) >= least))
    return found


def minhash_rows(some: list[str], pairs: int) -> list[Row]:
    """14 bands of 8, 5-grams, from documents to documents without near duplicates: all four stages of datatrove's, and signing, matching
    and removing as `curate` runs them. In the text are planted pairs of known similarity, each document at a place by chance."""
    known = planted(some, pairs)
    everything = some + [text for pair in known for text in pair.texts]
    order = np.random.default_rng(0).permutation(len(everything))
    shuffled = [everything[at] for at in order]
    place = np.argsort(order)[len(some) :]  # of the planted texts
    print(f"  {2 * len(known):,} planted texts, {size(everything) - size(some):.1f} MB; recall of pairs by similarity, one of a pair went:")

    def went(left: list[Document]) -> np.ndarray[Any, Any]:
        gone = np.ones(len(shuffled), dtype=bool)
        gone[[int(document.id) for document in left]] = False
        return gone

    MinHash().sign(["once"])
    with tempfile.TemporaryDirectory() as folder:
        ours, left = seconds(lambda: _ours(shuffled, Path(folder)))
        first = np.load(Path(folder) / "first.npy").tolist()
    ours_gone = went(left)
    with tempfile.TemporaryDirectory() as folder:
        stock, left = seconds(lambda: _stock(shuffled, folder))
    stock_gone = went(left)
    mine, theirs = score(known, ours_gone[place]), score(known, stock_gone[place])
    for band in BANDS:
        print(f"    {band[0]} to {band[1]}: ours {mine.joined[band]:.3f}, stock {theirs.joined[band]:.3f}")
    print(
        f"    precision: ours {mine.precision:.4f}, stock {theirs.precision:.4f}; pairs lost whole: ours {mine.lost}, stock {theirs.lost}"
    )
    is_real = np.flatnonzero(order < len(some))
    number = {int(at): here for here, at in enumerate(is_real)}
    best = partners([shuffled[at] for at in is_real], [number.get(first[at], -1 - at) for at in is_real.tolist()])
    shares = ", ".join(f"{np.mean(np.array(best) >= least):.3f} at {least} or more" for least in (0.5, 0.6, 0.65, 0.7))
    print(
        f"    of {len(best):,} real documents that went (stock: {stock_gone[is_real].sum():,}), similarity to one of their group: {shares}"
    )
    worst = min(mine.joined[band] - theirs.joined[band] for band in BANDS if band[0] >= 0.7)
    also = f"recall >= stock's - .03 (least {worst:+.3f}), precision >= .995 ({mine.precision:.4f})"
    held = worst >= -0.03 and mine.precision >= 0.995 and mine.lost == 0
    return [row("MinHash, end to end, 14 x 8", size(everything), ours, stock, 25, also, held)]


def _ours(some: list[str], folder: Path) -> list[Document]:
    deduper = MinHash()
    for _ in Sign(deduper, folder).run(iter(documents(some))):
        pass
    Match(deduper, folder).run()
    return list(Remove(deduper, folder).run(iter(documents(some))))


def _stock(some: list[str], folder: str) -> list[Document]:
    config = dedup.MinhashConfig(num_buckets=14, hashes_per_bucket=8, n_grams=5)
    dedup.MinhashDedupSignature(f"{folder}/sign", config).run(iter(documents(some)))
    for bucket in range(14):
        dedup.MinhashDedupBuckets(f"{folder}/sign", f"{folder}/buckets", config=config).run(None, bucket, 14)
    dedup.MinhashDedupCluster(f"{folder}/buckets", f"{folder}/remove", config).run(None, 0, 1)
    return list(dedup.MinhashDedupFilter(f"{folder}/remove").run(iter(documents(some))))


def token_rows(some: list[str]) -> list[Row]:
    """A byte-level BPE of 8,192 tokens, trained on a tenth of the text, to `.bin` and `.idx`. Stock adds the end of a document as text, and
    takes such text in a document for it, too; ours does not, so documents that have it are compared with Hugging Face's alone."""
    from datatrove.pipeline.tokens.megatron_tokenizer import MegatronDocumentTokenizer

    some = [
        text for text in some if text.isprintable() or not any("\ud800" <= c <= "\udfff" for c in text)
    ]  # Hugging Face's takes no halves
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ByteLevelBPE().train(iter(some[::10]), folder)
        encoder = Encoder(folder)

        def shards() -> None:
            end = np.zeros(1, dtype=np.uint32) + encoder.end_of_document
            with ShardWriter(folder / "ours", encoder.vocab_size) as out:
                batch: list[str] = []
                held = 0
                for document in documents(some):
                    batch.append(document.text)
                    held += len(document.text)
                    if held >= 4_000_000:  # characters: the stage's BATCH
                        for tokens in encoder.encode_arrays(batch):
                            out.write(np.concatenate([tokens, end]))
                        batch, held = [], 0
                for tokens in encoder.encode_arrays(batch):
                    out.write(np.concatenate([tokens, end]))

        encoder.encode_arrays(["once"])
        ours, _ = seconds(shards)
        tokenizer = MegatronDocumentTokenizer(name, "stock", str(folder / "tokenizer.json"), END_OF_DOCUMENT)
        tokenizer.tokenizer  # noqa: B018  load it
        stock, _ = seconds(lambda: tokenizer.run(iter(documents(some))))
        mine = np.fromfile(folder / "ours.bin", dtype=np.uint16)
        ends = np.flatnonzero(mine == encoder.end_of_document)
        same = 0
        begin = 0
        for text, end in zip(some, ends.tolist(), strict=True):
            same += mine[begin:end].tolist() == encoder.hugging_face.encode(text, add_special_tokens=False).ids
            begin = end + 1
        files = [[(folder / f"{name}.{suffix}").read_bytes() for suffix in ("bin", "idx")] for name in ("ours", "stock_00000_tokens")]
        print(f"  {same:,} of {len(some):,} documents have Hugging Face's ids; both files equal stock's: {files[0] == files[1]};")
        print(f"    documents with {END_OF_DOCUMENT} in their text: {sum(END_OF_DOCUMENT in text for text in some)}")
        also = f"ids of all documents ({same / len(some):.2%})"
        return [row("text to .bin/.idx, BPE", size(some), ours, stock, 5, also, same == len(some))]


def main() -> int:
    logger.remove()
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    every = ["filters", "minhash", "tokens", "language", "growth"]
    parser.add_argument("--rows", nargs="+", choices=every, default=every)
    parser.add_argument("--megabytes", type=float, default=50.0)
    parser.add_argument("--pairs", type=int, default=2000, help="planted for MinHash in each band of similarity from 0.7 on")
    parser.add_argument("--text", nargs="+", default=[], help="JSON Lines with a text in each, in place of this machine's")
    parser.add_argument(
        "--wheels", type=Path, default=Path("build/wheels"), help="where packages with catalogues of messages are, or are put"
    )
    given = parser.parse_args()
    some, what = texts(given.megabytes, given.text)
    some = [text.encode("utf-8", "ignore").decode() for text in some]  # Hugging Face's tokenizers take no half surrogate pairs
    print(f"{what}; {size(some):.1f} MB\n")
    rows: list[Row] = []
    for name in given.rows:
        if name == "filters":
            rows += filter_rows(some)
        elif name == "minhash":
            rows += minhash_rows(some, given.pairs)
        elif name == "tokens":
            rows += token_rows(some)
        elif name == "language":
            import _languages

            rows += _languages.rows(given.wheels, given.megabytes)
        else:
            import _growth

            rows += _growth.rows(some)
    print()
    print(table(rows))
    return int(any(r.met is False for r in rows))


if __name__ == "__main__":
    sys.exit(main())
