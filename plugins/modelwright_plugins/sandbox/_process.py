"""One program in the sandbox: started, fed, listened to and ended."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from modelwright_plugins.sandbox import _wrapped

PIECE = 1 << 16  # bytes read or written at a time


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a program gets. It never gets the network, the environment, other processes, or files but those of /usr and Python."""

    seconds: float = 5.0  # by the clock, from its start on; of the processor one more
    memory_mb: int = 512  # MiB of address space; Python itself takes about 30
    file_mb: int = 16  # MiB of all files together, in memory
    output_kb: int = 64  # KiB of stdout, and as many of stderr; a program that writes more is ended

    def __post_init__(self) -> None:
        if not 0 < self.seconds <= 86400:
            raise ValueError(f"seconds is {self.seconds}; it is more than 0, and a day at most")
        if self.memory_mb < 64:
            raise ValueError(f"memory_mb is {self.memory_mb}; Python does not start with less than 64")
        for name in ("file_mb", "output_kb"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is 1 or more")


@dataclass(frozen=True)
class Outcome:
    """How a program ended, and what it wrote (bytes that are no UTF-8 are replaced)."""

    status: Literal["ok", "failed", "timeout", "output"]  # ok: exit code 0, which proves nothing; output: it wrote too much
    exit_code: int | None  # 128 and more: ended by the signal of that number less 128; None: it was ended from outside
    stdout: str
    stderr: str
    seconds: float  # by the clock, with what the sandbox takes to start


class Started:
    """A program that runs. `channel`: descriptors (to read, to write) that it is told in sys.argv, and this process closes."""

    def __init__(
        self,
        code: str,
        *,
        stdin: str = "",
        files: Mapping[str, str] | None = None,
        limits: Limits,
        channel: Sequence[int] = (),
        wrapping: _wrapped.Wrapping | None = None,
    ) -> None:
        words = _wrapped.command(wrapping or _wrapped.wrapping(), work_mb=limits.file_mb)
        asked = {"code": code, "files": dict(files or {}), "limits": asdict(limits), "channel": list(channel)}
        self.limits, self.stdin = limits, stdin.encode("utf-8", "surrogateescape")
        with tempfile.TemporaryFile() as given:
            given.write(json.dumps(asked).encode())
            given.seek(0)
            self.began = time.monotonic()
            self.process = subprocess.Popen(
                [*words, _wrapped.inside(), str(given.fileno())],
                pass_fds=(given.fileno(), *channel),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={},
                cwd="/",
                start_new_session=True,
                bufsize=0,
            )
        for end in channel:
            os.close(end)

    def outcome(self) -> Outcome:
        """Wait until it ends, or end it."""
        try:
            status, written = self._listened()
        finally:
            self.end()
        code = None if status else self.process.returncode
        stdout, stderr = (bytes(each).decode("utf-8", "replace") for each in written)
        return Outcome(
            status or ("failed" if code else "ok"),
            128 - code if code is not None and code < 0 else code,
            stdout,
            stderr,
            time.monotonic() - self.began,
        )

    def _listened(self) -> tuple[Literal["timeout", "output"] | None, tuple[bytearray, bytearray]]:
        """Feed stdin and read what is written, until it ends: (why it has to be ended, (stdout, stderr))."""
        pipes = self.process
        assert pipes.stdin and pipes.stdout and pipes.stderr
        written = {pipes.stdout.fileno(): bytearray(), pipes.stderr.fileno(): bytearray()}
        both = (written[pipes.stdout.fileno()], written[pipes.stderr.fileno()])
        most, fed, until = self.limits.output_kb << 10, 0, self.began + self.limits.seconds
        with selectors.DefaultSelector() as ready:
            for each in (pipes.stdout, pipes.stderr):
                ready.register(each, selectors.EVENT_READ)
            os.set_blocking(pipes.stdin.fileno(), False)
            ready.register(pipes.stdin, selectors.EVENT_WRITE)
            while ready.get_map():  # stdin leaves it, too, when it is fed or its reader is gone
                if (left := until - time.monotonic()) <= 0:
                    return "timeout", both
                for key, _ in ready.select(left):
                    if key.fileobj is pipes.stdin:
                        with suppress(BlockingIOError):
                            try:
                                fed += os.write(key.fd, self.stdin[fed : fed + PIECE])
                            except (BrokenPipeError, ConnectionResetError):
                                fed = len(self.stdin)
                        if fed >= len(self.stdin):
                            ready.unregister(pipes.stdin)
                            pipes.stdin.close()
                        continue
                    piece = os.read(key.fd, PIECE)
                    if not piece:
                        ready.unregister(key.fileobj)
                    written[key.fd] += piece
                    if len(written[key.fd]) > most:
                        del written[key.fd][most:]
                        return "output", both
        try:
            self.process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            return "timeout", both
        return None, both

    def end(self) -> None:
        """Nothing of it is left: with the namespace's first process all that is in it is killed, then the wrapper itself.

        In this order the wrapper takes its own dead away; orphans would be left to whatever process is the machine's first.
        """
        if self.process.poll() is None:
            with suppress(OSError, subprocess.TimeoutExpired):
                first = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
                for child in first:
                    os.kill(int(child), signal.SIGKILL)
                if first:
                    self.process.wait(2)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
