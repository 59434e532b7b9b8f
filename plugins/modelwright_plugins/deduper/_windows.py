"""Units that repeat together: windows of several units in a row, each taken out where it stands again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def stand_ins(window_first: NDArray[np.signedinteger], length: NDArray[np.int64] | int) -> NDArray[np.signedinteger]:
    """For each unit the one that stands for it, itself where it stays: (units,), of the same type as `window_first`.

    `window_first`: (units,), the first window equal to the one that begins at a unit, named by its beginning (itself: none before).
    `length`: (units,) or one number, of units in it.

    A unit goes when it is in a window that stood before. Windows that overlap the first of their kind don't count: of a run of equal units
    one window must stay. What goes is always equal to an earlier unit, which may go too, for one before it: the last of them stays.
    """
    import numpy as np

    units = np.arange(len(window_first), dtype=window_first.dtype)
    lengths = np.broadcast_to(np.asarray(length, dtype=window_first.dtype), units.shape)
    again = np.flatnonzero(window_first + lengths <= units)
    again = again[window_first[again] != again]
    reach = np.zeros_like(units)  # where the windows that begin up to here end
    reach[again] = again + lengths[again]
    np.maximum.accumulate(reach, out=reach)
    last = np.zeros_like(units)  # the last window that begins up to here, and so covers it if any does
    last[again] = again
    np.maximum.accumulate(last, out=last)
    gone = np.flatnonzero(reach > units)
    first = units
    first[gone] -= last[gone] - window_first[last[gone]]
    while len(gone):  # from stand-in to stand-in's stand-in, twice as far each time
        further = first[first[gone]]
        changed = further != first[gone]
        first[gone] = further
        gone = gone[changed]
    return first
