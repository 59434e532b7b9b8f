"""What filters that read files need, in a folder."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any


def small_filters(folder: Path) -> dict[str, dict[str, Any]]:
    """Component -> parameters without a default."""
    (folder / "lists").mkdir()
    (folder / "lists" / "en").write_text("darn\nmill turns\n")
    (folder / "domains.txt").write_text("bad.com\n")
    (folder / "eval.jsonl").write_text('{"question": "Each part has a name, and the names stand in a book that anybody may read."}\n')
    (folder / "good.txt").write_text("The wright builds a mill from parts.\n" * 3)
    for name, verb in (("kind", "turns and grinds the flour"), ("rude", "darn the foul thing")):
        (folder / f"{name}.txt").write_text("\n\n".join(f"The mill {n} has a part that {verb}." for n in range(20)))
    model = write_fasttext(folder / "model.bin", {"en": "The wright builds a mill", "de": "Die Mühle"})
    return {
        "filter/c4_badwords": {"folder": str(folder / "lists")},
        "filter/toxic_words": {"lists": [str(folder / "lists" / "en")]},
        "filter/url_blocklist": {"domains": [str(folder / "domains.txt")]},
        "filter/perplexity": {"train_on": [str(folder / "good.txt")], "max_perplexity": 20.0},
        "filter/regex": {"patterns": ["(?i)lorem ipsum", "x1y2"]},
        "filter/decontamination": {"paths": [str(folder / "eval.jsonl")]},
        "filter/quality_classifier": {"good": [str(folder / "kind.txt")], "bad": [str(folder / "rude.txt")]},
        "filter/toxicity_classifier": {"toxic": [str(folder / "rude.txt")], "harmless": [str(folder / "kind.txt")]},
        "filter/language_fasttext": {"model": str(model)},
    }


def write_fasttext(path: Path, texts: dict[str, str]) -> Path:
    """A fastText model file (version 12: fasttext.cc's saveModel) of languages and texts, one dimension a language: each word is of one,
    and the scores are the softmax of 4 times the shares of words, the end of the line being a word of none.

    Training one fails now and then in this build of fastText (NaN from memory that nobody set).
    """
    count = len(texts)
    rows = {"</s>": [0.0] * count}
    for place, text in enumerate(texts.values()):
        for word in text.split():
            rows.setdefault(word, [float(place == n) for n in range(count)])
    entries = [(word, 0) for word in rows] + [(f"__label__{code}", 1) for code in texts]
    with path.open("wb") as out:
        out.write(struct.pack("<ii", 793712314, 12))
        out.write(struct.pack("<12id", count, 5, 5, 1, 5, 1, 3, 3, 0, 0, 0, 100, 1e-4))  # softmax, supervised, no buckets
        out.write(struct.pack("<iiiqq", len(entries), len(rows), count, 1000, -1))
        for word, kind in entries:
            out.write(word.encode() + b"\0" + struct.pack("<qb", 10, kind))
        for matrix in (list(rows.values()), [[4.0 * (a == b) for a in range(count)] for b in range(count)]):
            out.write(struct.pack("<?qq", False, len(matrix), count))
            out.write(b"".join(struct.pack(f"<{count}f", *row) for row in matrix))
    return path
