"""Programs that try to get out, to stay, or to take everything: none does, in either wrapping."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import get_args

import pytest

from modelwright_plugins.sandbox import Limits, NoSandbox, Outcome, _wrapped, cores, run, run_all, wrapping
from modelwright_plugins.sandbox._process import Started

SAID = {each: _wrapped.tried(each) for each in get_args(_wrapped.Wrapping)}
WORKING = [pytest.param(each, marks=pytest.mark.skipif(said is not None, reason=f"{each}: {said}")) for each, said in SAID.items()]
KILLER = """
import os, signal
for i in range(2, 40000):
    if i != os.getpid():
        try:
            os.kill(i, signal.SIGKILL)
        except ProcessLookupError:
            pass
raise SystemExit("none but me")
"""
CALLER = """
import ctypes
c = ctypes.CDLL(None, use_errno=True)
for call in (101, 272, 321, 425, 165, 58):
    assert c.syscall(call, 0, 0, 0, 0, 0) == -1 and ctypes.get_errno() == 1, call
raise SystemExit("refused")
"""
DEAF = """
import signal, time
for s in range(1, 65):
    try:
        signal.signal(s, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
time.sleep(1000)
"""
pytestmark = [pytest.mark.parametrize("how", WORKING), pytest.mark.slow]


def ended(code: str, how: _wrapped.Wrapping, stdin: str = "", **limits: float) -> Outcome:
    return Started(code, stdin=stdin, limits=Limits(**{"seconds": 20, **limits}), wrapping=how).outcome()  # type: ignore[arg-type]


def test_an_honest_program(how):
    done = ended("import sys, math\nprint(sys.stdin.read().upper(), math.pi)\nsys.exit(3)", how, "grüße")
    assert (done.status, done.exit_code, done.stdout, done.stderr) == ("failed", 3, "GRÜSSE 3.141592653589793\n", "")
    done = ended("import threading\nt = threading.Thread(target=print, args=('thread',))\nt.start()\nt.join()", how)
    assert (done.status, done.exit_code, done.stdout) == ("ok", 0, "thread\n")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import os\nwhile True: os.fork()", "Operation not permitted"),
        ("import subprocess\nsubprocess.run(['/bin/ls'])", "Operation not permitted"),
        ("import multiprocessing as m\nm.Process(target=print).start()", "Operation not permitted"),
        ("x = bytearray(10**10)", "MemoryError"),
        ("x = []\nwhile True: x.append(bytearray(10**7))", "MemoryError"),
        ("import mmap\nm = []\nwhile True: m.append(mmap.mmap(-1, 10**8))", "Cannot allocate memory"),
        ("import os\nos.memfd_create('x')", "Operation not permitted"),
        ("open('big', 'wb').write(bytes(20 << 20))", "File too large"),
        ("for i in range(40): open(str(i), 'wb').write(bytes(1 << 20))", "No space left on device"),
        ("files = [open(str(i), 'w') for i in range(200)]", "Too many open files"),
        ("open('/etc/shadow')", "No such file"),
        ("open('/etc/passwd')", "No such file"),
        ("import os\nos.listdir('/proc')", "No such file"),
        ("import os\nos.listdir('/sys')", "No such file"),
        ("open('/escaped', 'w')", "Read-only file system"),
        ("open('/usr/escaped', 'w')", "Read-only file system"),
        ("import os\nos.symlink('/etc/shadow', 'link')\nopen('link')", "No such file"),
        ("import os\nos.link('/usr/bin/env', 'hard')", "Invalid cross-device link"),
        ("import os\nos.chmod('/usr/bin/env', 0o777)", "Read-only file system"),
        ("import socket\nsocket.create_connection(('127.0.0.1', 22), 1)", "Operation not permitted"),
        ("import socket\nsocket.socket(socket.AF_UNIX)", "Operation not permitted"),
        ("import os\nos.setuid(0)", "Invalid argument"),
        ("import os\nos.chroot('.')", "Operation not permitted"),
        ("import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))", "not allowed to raise maximum limit"),
        (KILLER, "none but me"),
        (CALLER, "refused"),
    ],
)  # fmt: skip
def test_refused(how, code, error):
    done = ended(code, how, memory_mb=256)
    assert done.status == "failed" and error in done.stderr.strip().splitlines()[-1], done


def test_other_ways_to_call_the_kernel_kill_the_program(how):
    assert ended("import ctypes\nctypes.CDLL(None).syscall(0x40000000 + 39)", how).exit_code == 128 + 31  # x32; SIGSYS


def test_it_sees_no_home_no_environment_and_no_other_process(how, tmp_path, monkeypatch):
    secret = tmp_path / "secret"
    secret.write_text("42")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    code = f"""
import os
print(os.path.exists({str(secret)!r}), os.path.exists({str(Path.home() / ".ssh")!r}), os.path.exists({str(Path(__file__))!r}))
print("OPENAI_API_KEY" in os.environ, os.getuid(), os.getpid() < 10, os.uname().nodename == {os.uname().nodename!r})
for fd in range(3, 64):
    try:
        os.fstat(fd)
        print("open", fd)
    except OSError:
        pass
"""
    assert ended(code, how).stdout == "False False False\nFalse 65534 True False\n"


def test_a_program_that_never_ends_is_ended_and_so_is_all_that_it_started(how):
    for code in (
        "while True: pass",
        "import time\ntime.sleep(1000)",
        DEAF,
        "import os\nos.close(1)\nos.close(2)\nwhile True: pass",
        "import os, time, sys\nos.closerange(0, 3)\ntime.sleep(1000)",
        "import threading, time\n[threading.Thread(target=time.sleep, args=(1000,)).start() for _ in range(8)]",
    ):
        began = time.monotonic()
        done = ended(code, how, seconds=0.5)
        assert (done.status, done.exit_code) == ("timeout", None), code
        assert time.monotonic() - began < 5
    started = Started("print(1, flush=True)\nwhile True: pass", limits=Limits(seconds=20), wrapping=how)
    group = started.process.pid
    assert started.process.stdout and started.process.stdout.read(1) == b"1"
    started.end()
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)


@pytest.mark.parametrize("where", ["stdout", "stderr"])
def test_endless_output_is_cut(how, where):
    done = ended(f"import sys\nwhile True: sys.{where}.write('x' * 10000)", how, output_kb=32)
    assert done.status == "output" and len(getattr(done, where)) == 32 << 10


def test_it_need_not_read_what_it_is_given(how):
    assert ended("print(1)", how, "x" * 10**6).stdout == "1\n"
    assert ended("import sys\nprint(len(sys.stdin.read()))", how, "x" * 10**6).stdout == "1000000\n"


def test_output_that_is_no_text(how):
    assert ended("import os\nos.write(1, b'\\xff\\x00ok')", how).stdout == "�\x00ok"


def test_an_honest_end_by_a_signal_is_told(how):
    assert ended("import os\nos.kill(os.getpid(), 11)", how).exit_code == 128 + 11


def test_many_at_a_time(how, monkeypatch):
    monkeypatch.setattr(_wrapped, "wrapping", lambda: how)
    codes = [f"print({i} ** 2)" for i in range(12)]
    assert [each.stdout for each in run_all(codes, limits=Limits(seconds=60))] == [f"{i**2}\n" for i in range(12)]
    assert cores() >= 1
    assert run("print(open('a').read())", files={"a": "b"}, limits=Limits(seconds=60)).stdout == "b\n"


def test_nothing_runs_without_a_sandbox(how, monkeypatch):
    wrapping.cache_clear()
    monkeypatch.setattr(_wrapped.shutil, "which", lambda name: None)
    monkeypatch.setattr(_wrapped, "tried", lambda each: "Operation not permitted")
    try:
        with pytest.raises(
            NoSandbox, match=r"^programs are run.*bubblewrap is not installed \(apt install bubblewrap\); namespaces failed: Op.*$"
        ):
            run("print(1)")
    finally:
        wrapping.cache_clear()


def test_limits_are_checked(how):
    for wrong in ({"seconds": 0.0}, {"seconds": float("nan")}, {"memory_mb": 10}, {"output_kb": 0}, {"file_mb": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Limits(**wrong)  # type: ignore[arg-type]
