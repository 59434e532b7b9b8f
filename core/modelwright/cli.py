"""The command line: a thin door. Every command is a registered component, so that plugins can add their own."""

import inspect
import os
import signal
import sys
import traceback
from collections.abc import Iterable

from modelwright import __version__
from modelwright.errors import ModelwrightError, RankFailure, disk_error
from modelwright.hooks import discover


def main() -> None:
    """The entry point. Exits with 0; with 2 on bad input, in one line; with 1 when a run fails."""
    debug = "--debug" in sys.argv
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # preempted: stop the ranks and write down how far it came
    try:
        sys.exit(command([word for word in sys.argv[1:] if word != "--debug"]))
    except KeyboardInterrupt:
        complain(["stopped"])
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # `modelwright list | head` says no more
        sys.exit(141)
    except Exception as e:
        if debug:
            traceback.print_exc()
        ours = e if isinstance(e, ModelwrightError) else disk_error(e)
        failed = e if isinstance(e, RankFailure) else f"{type(e).__name__}: {e} (--debug shows where)"
        complain(str(ours or failed).splitlines())
        sys.exit(2 if ours else 1)


def command(words: list[str]) -> int:
    """Do what the words say and return the exit code."""
    name, rest = (words[0], words[1:]) if words and words[0] not in {"-h", "--help"} else ("help", [])
    if name == "--version":
        print(f"modelwright {__version__}")
        return 0
    asked = discover().registry.load("command", name)()
    if {"-h", "--help"} & set(rest):
        print(inspect.getdoc(asked))
        return 0
    return int(asked.run(rest))


def complain(lines: Iterable[str]) -> None:
    """Print errors, a line each, on standard error."""
    sys.stderr.writelines(f"modelwright: {line}\n" for line in lines)
