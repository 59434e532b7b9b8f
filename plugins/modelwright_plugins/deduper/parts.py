"""Lines, paragraphs and sentences that repeat, within a document and from one to another."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.deduper.normalized import Normalized, equal_rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

END, PASSED_OVER = 0, 1  # signatures (0, n): behind a document's last unit; of a unit that is not compared


@dataclass(frozen=True, kw_only=True)
class Parts(Normalized):
    """Takes out parts of documents, several in a row, that stood before. A document of which too little is left goes."""

    across: bool = True  # compare parts of all documents; false: of each document with itself only
    min_left: int = 1  # characters, without blanks at the ends, that must be left of a document that lost something

    window: ClassVar[int] = 1  # parts in a row that repeat together
    ends: ClassVar[re.Pattern[str]]  # what the last part of a document doesn't need: the end of a part, with the blanks behind it

    def __post_init__(self) -> None:
        if self.min_left < 1:
            raise ValueError(f"min_left is {self.min_left}; it is at least 1")

    def spans(self, text: str) -> NDArray[np.int64]:
        """Parts, and one of no characters that is the end."""
        import numpy as np

        bounds = [found.end() for found in self.ends.finditer(text)]
        blanks = len(text) - len(text.lstrip())  # before the first part; they are its
        begins = [0, *(at for at in bounds if blanks < at < len(text))]
        edges = [*begins, len(text), len(text)] if text else [0, 0]
        return np.array([edges[:-1], edges[1:]], dtype=np.int64).T

    def compared(self, part: str) -> bool:
        """Whether a part may repeat another."""
        return not part.isspace()

    def sign(self, texts: Sequence[str]) -> NDArray[np.uint64]:
        """(parts, 2): hashes, and marks that begin with 0."""

        parts = [text[begin:end] for text in texts for begin, end in self.spans(text).tolist()]
        signed = self.hashes([part.rstrip() for part in parts]).copy()
        for place, part in enumerate(parts):
            if not part or not self.compared(part):
                signed[place] = 0, PASSED_OVER if part else END
        return signed

    def first(self, signatures: NDArray[np.unsignedinteger]) -> NDArray[np.int64]:
        """Windows are `window` parts, or a whole document that has fewer; in none is a part that is passed over."""
        import numpy as np

        from modelwright_plugins.deduper._windows import stand_ins

        rows = np.asarray(signatures, dtype=np.uint64)
        count = len(rows)
        mark = rows[:, 0] == 0
        end = mark & (rows[:, 1] == END)
        ends = np.flatnonzero(end)
        document = np.cumsum(end) - end
        places = np.arange(count)
        left = np.append(ends, 0)[document] - places  # parts from here to the document's end
        begins = np.append(-1, ends)[document] + 1
        length = np.where(places == begins, np.minimum(left, self.window), self.window)
        passed = np.append(0, np.cumsum(mark & ~end))
        whole = (left > 0) & (length <= left) & (passed[np.minimum(places + length, count)] == passed[:-1])
        starts = np.flatnonzero(whole)
        columns = [length[starts].astype(np.uint64)]  # so that a short document is no window's beginning
        for offset in range(self.window):
            inside = offset < length[starts]
            columns += [np.where(inside, rows[np.minimum(starts + offset, count - 1), half], np.uint64(0)) for half in (0, 1)]
        if not self.across:
            columns.append(document[starts].astype(np.uint64))
        window_first = places.astype(np.int64)
        if len(starts):
            window_first[starts] = starts[equal_rows(np.stack(columns, axis=1))]
        return stand_ins(window_first, length).astype(np.int64)

    def cut(self, text: str, stays: NDArray[np.bool_]) -> str:
        left = super().cut(text, stays)
        return left if len(left.strip()) >= self.min_left else ""


@dataclass(frozen=True, kw_only=True)
class Lines(Parts):
    """Takes out lines that stood before, in the same document or an earlier one, when both are normalised."""

    min_chars: int = 1  # characters, without blanks at the ends, of a line that is compared; shorter ones always stay

    reason: ClassVar[str] = "duplicate_lines"
    ends: ClassVar[re.Pattern[str]] = re.compile(r"\n(?:[^\S\n]*\n)*+")

    def compared(self, part: str) -> bool:
        return len(part.strip()) >= max(self.min_chars, 1)


@dataclass(frozen=True, kw_only=True)
class Paragraphs(Lines):
    """Takes out paragraphs, which blank lines part, that stood before, in the same document or an earlier one."""

    min_chars: int = 1  # characters, without blanks at the ends, of a paragraph that is compared; shorter ones always stay

    reason: ClassVar[str] = "duplicate_paragraphs"
    ends: ClassVar[re.Pattern[str]] = re.compile(r"\n[^\S\n]*\n(?:[^\S\n]*\n)*+")


@dataclass(frozen=True, kw_only=True)
class Sentences(Parts):
    """Takes out spans of three sentences that stood before (C4: Raffel et al. 2020, arXiv:1910.10683, section 2.2).

    Spans begin at every sentence. A sentence ends at . ! ? … or their full-width forms, and at a blank line. A document of fewer than
    `sentences` is a span of its own, which only such a document repeats.
    """

    sentences: int = 3  # in a row that repeat together

    reason: ClassVar[str] = "duplicate_sentences"
    ends: ClassVar[re.Pattern[str]] = re.compile(
        r"(?<![.!?…])[.!?…]++[\"'”’»)\]]*+\s++|(?<![。！？])[。！？]++[”’」』）]*+\s*+|\n[^\S\n]*\n\s*+"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sentences < 1:
            raise ValueError(f"sentences is {self.sentences}; it is at least 1")

    @property
    def window(self) -> int:  # type: ignore[override]
        return self.sentences
