"""Which positions each position of a sequence sees: an interval, from the first up to before the second.

One pair of numbers a position says all that objectives need: documents that stand in one sequence and must not see each other, a prefix
that is seen from everywhere, full or causal attention, padding that nobody sees. Every core attention reads it (as Megatron's
`attention_mask`), in any layout: the numbers count positions of the whole sequence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.integer[Any]]


def documents(text: Numbers, end_of_document: int) -> NDArray[np.int64]:
    """The number of each token's document within `text` [length] -> [length]. An end-of-document token begins the document that comes
    after it: the first token of a text is predicted from it, as in generation."""
    import numpy as np

    return np.cumsum(text == end_of_document)


def seen(groups: Numbers, *, causal: bool) -> NDArray[np.int64]:
    """What each position sees of its own group, whose positions stand together: groups [length] -> [length, 2]. Causal: up to itself."""
    import numpy as np

    length = len(groups)
    starts = np.flatnonzero(np.diff(groups, prepend=groups[:1] - 1) != 0)
    ends = np.append(starts[1:], length)
    which = np.searchsorted(starts, np.arange(length), side="right") - 1
    return np.stack([starts[which], np.arange(length) + 1 if causal else ends[which]], 1).astype(np.int64)


def positions(visible: Numbers) -> NDArray[np.int64]:
    """Where each position stands in its document: [length, 2] -> [length]."""
    import numpy as np

    return np.arange(len(visible)) - visible[:, 0]
