"""Errors that a person can act on: one line, what is wrong, what was expected, the nearest right thing."""

import difflib
import errno
from collections.abc import Iterable


class ModelwrightError(Exception):
    """Bad input, told in one line. The command line prints it and exits with 2, without a traceback.

    `key` is the config key at fault where there is one: composing finds the override or the file that set it.
    """

    def __init__(self, message: str, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


def near(word: str, options: Iterable[str]) -> str:
    """`; did you mean 'muon'?`, or nothing when none of the options is near."""
    return "".join(f"; did you mean {close!r}?" for close in difflib.get_close_matches(word, sorted({*options}), 1, 0.6))


def nearest(word: str, options: Iterable[str]) -> str:
    """The same, or the list of the options when none is near, or nothing when there are none."""
    known = sorted({*options})
    return near(word, known) or (f"; there are: {', '.join(known)}" if known else "")


def disk_error(error: BaseException | None) -> ModelwrightError | None:
    """The one-line error for a disk that is full or can't be written, wherever in the chain of causes it is; None for any other."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (
            errno.ENOSPC,
            errno.EDQUOT,
            errno.EROFS,
            errno.EACCES,
            errno.EPERM,
            errno.ENOTDIR,
        ):
            what = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "it can't be written"
            return ModelwrightError(
                f"{error.filename or 'disk'}: {what} ({error.strerror}); free space or name another folder: run.dir=PATH"
            )
        error = error.__cause__ or error.__context__
    return None
