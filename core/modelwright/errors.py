"""Errors that a person can act on: one line, what is wrong, what was expected, the nearest right thing."""

import difflib
import errno
from collections.abc import Iterable


class ModelwrightError(Exception):
    """Bad input, told in one line. The command line prints it and exits with 2, without a traceback.
    `key` is the config key at fault where there is one: the door finds the override or the file that set it."""

    def __init__(self, message: str, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


class Pruned(Exception):
    """A run-time hook raises it: the run is not worth going on with. It ends neither finished nor failed."""


class RankFailure(Exception):
    """A rank failed; the message names the first one and where its traceback is."""


def nearest(word: str, options: Iterable[str]) -> str:
    """`; did you mean 'muon'?`, or the options when none is near and they are few enough to read."""
    known = sorted({*options})
    if close := difflib.get_close_matches(word, known, 1, 0.6):
        return f"; did you mean {close[0]!r}?"
    return f"; there are: {', '.join(known)}" if 0 < len(known) < 50 else ""


def disk_error(error: BaseException | None) -> ModelwrightError | None:
    """The one-line error for a disk that is full or a file that may not be used, wherever in the chain of causes; else None."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            return ModelwrightError(f"{error.filename or 'disk'}: {error.strerror}; free space, or name another folder: run.dir=PATH")
        if isinstance(error, (PermissionError, NotADirectoryError, FileExistsError, FileNotFoundError)) and error.filename:
            return ModelwrightError(f"{error.filename}: {error.strerror}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None
