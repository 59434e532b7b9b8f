"""What a program is wrapped in: bubblewrap where it is installed, else namespaces of our own making."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Literal, get_args

Wrapping = Literal["bubblewrap", "namespaces"]
WORK = "/work"  # the program's folder: empty, in memory, forgotten


class NoSandbox(RuntimeError):
    """There is nothing here that keeps a program in; programs are not run without."""


def _python() -> Path:
    """The interpreter itself, not a virtual environment's link to it."""
    return Path(getattr(sys, "_base_executable", None) or sys.executable).resolve()


def _shown() -> tuple[list[str], dict[str, str]]:
    """Folders of the host that a program may read, and links."""
    read = ["/usr"]
    prefix = Path(sys.base_prefix).resolve()
    if not prefix.is_relative_to("/usr"):
        if prefix in (Path("/"), Path.home().resolve()):
            raise NoSandbox(f"Python is installed in {prefix} itself: showing it to a program would show everything")
        read.append(str(prefix))
    links = {}
    for name in ("/bin", "/lib", "/lib64"):
        place = Path(name)
        if place.is_symlink():
            links[name] = str(place.readlink())
        elif place.is_dir():
            read.append(name)
    return [*read, *(path for path in ("/etc/ld.so.cache", "/dev/null", "/dev/zero", "/dev/urandom") if Path(path).exists())], links


def command(wrapping: Wrapping, *, work_mb: int) -> list[str]:
    """The words before `-c`'s text: the interpreter, inside. The environment there is empty."""
    read, links = _shown()
    inner = [str(_python()), "-I", "-S", "-B", "-X", "utf8"]
    if wrapping == "namespaces":
        return [*inner, "-c", _text("_namespaces.py"), json.dumps({"read": read, "links": links, "megabytes": work_mb}), *inner, "-c"]
    words = [shutil.which("bwrap") or "bwrap", "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session"]
    words += ["--clearenv", "--uid", "65534", "--gid", "65534", "--cap-drop", "ALL", "--hostname", "sandbox"]
    for path in read:
        words += ["--dev-bind" if path.startswith("/dev/") else "--ro-bind", path, path]
    for link, target in links.items():
        words += ["--symlink", target, link]
    return [*words, "--size", str(work_mb << 20), "--tmpfs", WORK, "--remount-ro", "/", "--chdir", WORK, *inner, "-c"]


@cache
def _text(name: str) -> str:
    return Path(__file__).with_name(name).read_text()


def inside() -> str:
    """The text of what runs inside."""
    return _text("_inside.py")


@cache
def wrapping() -> Wrapping:
    """The strongest wrapping that works here. NoSandbox, in one line: none does."""
    why = []
    for each in get_args(Wrapping):
        if each == "bubblewrap" and not shutil.which("bwrap"):
            why.append("bubblewrap is not installed (apt install bubblewrap)")
        elif said := tried(each):
            why.append(f"{each} failed: {said}")
        else:
            found: Wrapping = each
            return found
    raise NoSandbox(f"programs are run in a sandbox only, and there is none here: {'; '.join(why)}")


def tried(each: Wrapping) -> str | None:
    """What goes wrong when a program that does nothing is wrapped so; None: nothing."""
    from modelwright_plugins.sandbox._process import Limits, Started

    if not sys.platform.startswith("linux"):
        return f"it is for Linux, and this is {sys.platform}"
    try:
        outcome = Started("print('here')", limits=Limits(seconds=20), wrapping=each).outcome()
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return None if outcome.stdout == "here\n" else (outcome.stderr.strip().splitlines() or [outcome.status])[-1]
