"""Substrings that repeat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.deduper import Deduper

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

END = 0xFF  # the signature behind a text; no byte of UTF-8 is that


@dataclass(frozen=True, kw_only=True)
class Substring(Deduper):
    """Takes out every run of bytes, of at least `min_bytes`, that stood before, wherever it begins (ExactSubstr).

    By a suffix array of all texts (libdivsufsort) and the common prefixes of its neighbours: equal bytes, not hashes. Lee et al. 2021,
    arXiv:2107.06499, section 4.1, with 50 tokens of BPE, about 4 bytes each. Of a run of one repeated period the beginning stays, until
    it has `min_bytes`. Characters stay whole. Where two ends meet, a new repeat can come about: it stays. It takes
    about 25 bytes of memory for a byte of text.
    """

    min_bytes: int = 200  # bytes in UTF-8 that repeat together
    min_left: int = 1  # characters, without blanks at the ends, that must be left of a document that lost something

    reason: ClassVar[str] = "duplicate_substrings"

    def __post_init__(self) -> None:
        for name, least in (("min_bytes", 2), ("min_left", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it is at least {least}")

    def spans(self, text: str) -> NDArray[np.int64]:
        """Bytes, of which the first has its whole character, and the end: (bytes + 1, 2)."""
        import numpy as np

        begins = _begins(text)
        behind = np.append(np.cumsum(begins, dtype=np.int64), len(text))
        return np.stack([behind - np.append(begins, False), behind], axis=1)

    def sign(self, texts: Sequence[str]) -> NDArray[np.uint8]:
        """(bytes + texts, 1): the bytes, and behind each text the end."""
        import numpy as np

        end = bytes([END])
        return np.frombuffer(b"".join(text.encode("utf-8", "surrogatepass") + end for text in texts), dtype=np.uint8).reshape(-1, 1)

    def first(self, signatures: NDArray[np.unsignedinteger]) -> NDArray[np.int64]:
        import numpy as np

        from modelwright_plugins.deduper._windows import stand_ins

        return stand_ins(self._windows(np.array(signatures[:, 0], dtype=np.uint8)), self.min_bytes).astype(np.int64)

    def _windows(self, text: NDArray[np.uint8]) -> NDArray[np.signedinteger]:
        """Where the first window of `min_bytes` begins that is equal to the one that begins at each byte, itself if there is none before.
        32-bit below 2 GiB."""
        import numpy as np
        from pydivsufsort import divsufsort, kasai

        window_first: NDArray[np.signedinteger] = np.arange(len(text), dtype=np.int32 if len(text) < 2**31 else np.int64)
        if len(text) < 2:
            return window_first
        suffixes = divsufsort(text)
        alike = kasai(text, suffixes)[:-1] >= self.min_bytes  # the window at a place of the array, and the one at the next
        ends = np.flatnonzero(text == END)
        inside = np.zeros(len(text), dtype=bool)  # windows that do not reach over into the next text
        for begin, end in zip([0, *(ends[:-1] + 1)], ends, strict=True):
            inside[begin : max(end - self.min_bytes + 1, begin)] = True
        alike &= inside[suffixes[:-1]]
        some = np.append(alike, False) | np.append(False, alike)
        places = suffixes[some]
        begins = np.flatnonzero(~np.append(False, alike)[some])
        if len(begins):
            sizes = np.diff(np.append(begins, len(places)))
            window_first[places] = np.repeat(np.minimum.reduceat(places, begins), sizes)
        return window_first

    def cut(self, text: str, stays: NDArray[np.bool_]) -> str:
        import numpy as np

        begins = np.flatnonzero(_begins(text))
        if not len(begins):
            return ""
        kept = np.logical_or.reduceat(stays[:-1], begins)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], kept, [False]]).astype(np.int8)))
        left = "".join(text[begin:end] for begin, end in edges.reshape(-1, 2).tolist())
        return left if len(left.strip()) >= self.min_left else ""


def _begins(text: str) -> NDArray[np.bool_]:
    """Which bytes of UTF-8 begin a character."""
    import numpy as np

    return (np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8) & 0xC0) != 0x80
