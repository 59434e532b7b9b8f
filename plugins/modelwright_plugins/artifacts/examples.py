"""Reading and writing an `Examples` artifact; `artifacts/__init__.py` says what is in its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.lib import format as npy

from modelwright.errors import ModelwrightError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Part = Literal["train", "held_out"]
PARTS: tuple[Part, ...] = ("train", "held_out")
TYPES = {"tokens": "<i4", "mask": "|u1", "values": "<f4", "rows": "<i8", "examples": "<i8", "scores": "<f4"}


def tokenizer_hash(tokenizer: Path) -> str:
    """SHA-256 of the tokenizer of a `Tokenizer` folder. ModelwrightError: there is none."""
    try:
        return hashlib.sha256((tokenizer / "tokenizer.json").read_bytes()).hexdigest()
    except OSError as error:
        raise ModelwrightError(f"{tokenizer / 'tokenizer.json'}: cannot read the tokenizer ({error.strerror})") from error


class StoredExamples:
    """One part of an `Examples` folder, read from where it is (memory maps): rows of tokens, and which rows are one example's.

    ModelwrightError: a file is missing, or the files do not fit each other."""

    def __init__(self, folder: Path, part: Part = "train") -> None:
        self.folder, self.part = folder, part
        about = folder / "examples.json"
        try:
            self.about: dict[str, Any] = json.loads(about.read_text(encoding="utf-8"))
            self.kind: str = self.about["kind"]
            self.vocab_size: int = self.about["vocab_size"]
            self.end_of_document: int = self.about["end_of_document"]
            self.longest: int = self.about[part]["longest"]  # tokens in the longest row
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelwrightError(f"{about}: expected what `prepare` writes ({type(error).__name__}: {error})") from error
        self.tokens = self._load("tokens")
        self.mask = self._load("mask")
        self.begins = self._load("rows")  # [rows + 1] where rows begin in tokens
        self.first_rows = self._load("examples")  # [examples + 1] where examples begin in rows
        self.scores = self._load("scores")  # [rows] NaN: none
        self.values = self._load("values") if self.kind == "steps" else None
        sizes = {len(self.tokens), len(self.mask), int(self.begins[-1]), len(self.tokens if self.values is None else self.values)}
        if len(sizes) != 1 or len({len(self.scores), len(self.begins) - 1, int(self.first_rows[-1])}) != 1:
            raise ModelwrightError(f"{folder}: the files of {part} do not fit each other; run `prepare` again")

    def _load(self, name: str) -> NDArray[Any]:
        file = self.folder / f"{self.part}_{name}.npy"
        try:
            found: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ModelwrightError(f"{file}: expected what `prepare` writes ({error})") from error
        if found.ndim != 1 or found.dtype != np.dtype(TYPES[name]):
            raise ModelwrightError(f"{file}: expected one dimension of {np.dtype(TYPES[name])}, found {found.dtype} {found.shape}")
        return found

    def check_tokenizer(self, tokenizer: Path) -> None:
        """ModelwrightError if the rows are tokens of another tokenizer than this `Tokenizer` folder's."""
        theirs = self.about.get("tokenizer")  # None: written before it was kept
        if theirs is not None and theirs != (own := tokenizer_hash(tokenizer)):
            raise ModelwrightError(
                f"{self.folder}: its tokens are of another tokenizer (tokenizer.json of SHA-256 {theirs[:12]}…) than the model's "
                f"({tokenizer}: {own[:12]}…): run `prepare` with the model's tokenizer"
            )

    def __len__(self) -> int:
        """Examples."""
        return len(self.first_rows) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """[rows] tokens in each row."""
        return np.diff(self.begins)

    def row(self, row: int) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        """A row's tokens and its mask, both [its tokens]; mask 1: the token is a target."""
        here = slice(int(self.begins[row]), int(self.begins[row + 1]))
        return self.tokens[here], self.mask[here]

    def values_of(self, row: int) -> NDArray[np.float32]:
        """[its tokens] the label at each step's last token, NaN elsewhere; only where kind is "steps"."""
        if self.values is None:
            raise ValueError(f"kind is {self.kind}; only steps have values")
        return self.values[int(self.begins[row]) : int(self.begins[row + 1])]

    def rows_of(self, example: int) -> range:
        """The rows of an example, in the order of its replies."""
        return range(int(self.first_rows[example]), int(self.first_rows[example + 1]))

    def id_of(self, row: int) -> str:
        """Of the example that a row is of: the file and the line, where the example brought none."""
        example = int(np.searchsorted(self.first_rows, row, side="right")) - 1
        return str(next(islice(self.lines(), example, None))["id"])

    def lines(self) -> Iterator[dict[str, Any]]:
        """What is told of each example, in order: {"id", "group", "source"?, "answer"?}, of a prompt its turns as "prompt", and of
        others that are held out those before the last reply as "messages", with "tools"? of both."""
        with (self.folder / f"{self.part}.jsonl").open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)


class _Column:
    """A `.npy` file of one dimension, written piece by piece: its header is written again when its length is known."""

    def __init__(self, file: Path, name: str) -> None:
        self.type, self.length = np.dtype(TYPES[name]), 0
        self.out = file.open("wb", buffering=1 << 20)
        self._header()
        self.begin = self.out.tell()

    def _header(self) -> None:
        about = {"descr": npy.dtype_to_descr(self.type), "fortran_order": False, "shape": (self.length,)}
        npy.write_array_header_1_0(self.out, about)  # leaves room for a length of 21 digits

    def write(self, numbers: Any) -> None:
        array = np.asarray(numbers, dtype=self.type)
        self.out.write(array.tobytes())
        self.length += len(array)

    def close(self) -> None:
        self.out.seek(0)
        self._header()
        assert self.out.tell() == self.begin
        self.out.close()


class ExamplesWriter:
    """Writes one part of an `Examples` folder, an example at a time; `close` ends it and gives its counts. Memory stays flat."""

    def __init__(self, folder: Path, part: Part, kind: str) -> None:
        names = [name for name in TYPES if name != "values" or kind == "steps"]
        self.columns = {name: _Column(folder / f"{part}_{name}.npy", name) for name in names}
        self.lines = (folder / f"{part}.jsonl").open("w", encoding="utf-8")
        self.counts = {"examples": 0, "rows": 0, "tokens": 0, "targets": 0, "longest": 0}
        self.columns["rows"].write([0])
        self.columns["examples"].write([0])

    def write(
        self,
        line: Mapping[str, Any],
        rows: Sequence[tuple[Any, Any]],
        scores: Sequence[float] | None = None,
        values: Sequence[Any] | None = None,
    ) -> None:
        """An example: what is told of it, (tokens, mask) of each row, a score of each row, and for `steps` the values of each row."""
        for tokens, mask in rows:
            self.columns["tokens"].write(tokens)
            self.columns["mask"].write(mask)
            self.counts["tokens"] += len(tokens)
            self.counts["targets"] += int(np.sum(mask))
            self.counts["longest"] = max(self.counts["longest"], len(tokens))
            self.columns["rows"].write([self.counts["tokens"]])
        if "values" in self.columns:
            assert values is not None
            for row in values:
                self.columns["values"].write(row)
        self.columns["scores"].write([np.nan] * len(rows) if scores is None else scores)
        self.counts["rows"] += len(rows)
        self.counts["examples"] += 1
        self.columns["examples"].write([self.counts["rows"]])
        self.lines.write(json.dumps(line, ensure_ascii=False) + "\n")

    def close(self) -> dict[str, int]:
        """{"examples", "rows", "tokens", "targets", "longest"} of the part, which belongs into examples.json."""
        for column in self.columns.values():
            column.close()
        self.lines.close()
        return self.counts
