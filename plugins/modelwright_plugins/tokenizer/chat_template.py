"""Chat templates: how a conversation becomes text, in Hugging Face's convention (`tokenizer_config.json`, `chat_template.jinja`).

The template is Jinja with `trim_blocks`, `lstrip_blocks`, loop controls and `{% generation %}`; it sees `messages`,
`add_generation_prompt`, `tools`, `documents`, the special tokens (`bos_token`, `eos_token` …) and whatever else is passed, and may call
`raise_exception(text)` and `strftime_now(format)`; `tojson` leaves < and > as they are.
"""

from __future__ import annotations

import functools
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.errors import ModelwrightError

SECONDS, MEMORY = 5, 1 << 29  # of processor time that rendering one conversation may take, however busy the machine; bytes
PATIENCE = 300  # seconds by the clock, for a renderer that does nothing
START = 60  # seconds that Python and Jinja may take to start, on a busy machine or a slow disk
BATCH, MANY = 1_000_000, 64  # characters and conversations that are asked at once
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Rendered:
    """A conversation as text."""

    text: str
    spans: tuple[tuple[int, int], ...]  # characters, from and to, of each `{% generation %}` block


def render(template: str, messages: Sequence[Mapping[str, Any]], **variables: Any) -> str:
    """The text of a conversation: messages such as {"role": "user", "content": "Hi"}; keys that are None are left out.

    The template is run in a process of its own, with nothing but what it is given here, which must be plain values (JSON).
    Raises ModelwrightError, in one line, for a template that is wrong, refuses the conversation, or is not done in SECONDS and MEMORY.
    """
    (found,) = render_all(template, [{**variables, "messages": messages}])
    if isinstance(found, ModelwrightError):
        raise found
    return found.text


def render_all(template: str, conversations: Sequence[Mapping[str, Any]]) -> list[Rendered | ModelwrightError]:
    """Many conversations, each {"messages", and other variables}, asked of the process at once (BATCH characters at a time); in place of
    one that can't be rendered, the error that `render` raises. SECONDS are for each: those of a batch that is late are asked again."""
    found: list[Rendered | ModelwrightError] = []
    batch: list[str] = []
    for conversation in conversations:
        said = [{key: value for key, value in message.items() if value is not None} for message in conversation["messages"]]
        given = {"tools": None, "documents": None, "add_generation_prompt": False, **conversation, "messages": said}
        try:
            batch.append(json.dumps(given))
        except (TypeError, ValueError) as e:
            found += _rendered(template, batch)
            batch = []
            found.append(ModelwrightError(f"chat template: the conversation is not plain values: {e}"))
        if sum(map(len, batch)) > BATCH or len(batch) >= MANY:
            found += _rendered(template, batch)
            batch = []
    return found + _rendered(template, batch)


def _rendered(template: str, batch: Sequence[str]) -> list[Rendered | ModelwrightError]:
    if not batch:
        return []
    with _LOCK:
        answer = _ask(f'{{"template": {json.dumps(template)}, "all": [{", ".join(batch)}]}}')
    if isinstance(answer, str) and len(batch) > 1:  # one of them is to blame
        return [each for one in batch for each in _rendered(template, [one])]
    answers: list[dict[str, Any]] = [{"error": answer}] if isinstance(answer, str) else answer
    return [
        ModelwrightError(f"chat template: {' '.join(one['error'].split())}")
        if "error" in one
        else Rendered(one["text"], tuple((begin, end) for begin, end in one["spans"]))
        for one in answers
    ]


def _ask(line: str) -> list[dict[str, Any]] | str:
    """What the process answers, or why it doesn't."""
    for _ in range(2):  # again when the process had left before it was asked
        process = _process(os.getpid())
        if process.poll() is not None:  # somebody ended it
            _stop(process)
            continue
        assert process.stdin is not None
        answer, late = "", False
        try:
            with suppress(BrokenPipeError):
                process.stdin.write(line + "\n")
                process.stdin.flush()
            answer, late = _line(process, PATIENCE)
        finally:  # Ctrl-C between question and answer: the next question must not get this answer
            if not answer:
                _stop(process)
        if answer:
            return list(json.loads(answer))
        if late or process.returncode == -signal.SIGXCPU:
            return f"it is not done after {PATIENCE if late else SECONDS} seconds"
        if process.returncode:
            break
    if process.returncode < 0:
        return f"it takes more than a template may ({signal.strsignal(-process.returncode)})"
    return f"the process that renders it ended without an answer (exit status {process.returncode})"


def _line(process: subprocess.Popen[str], seconds: float) -> tuple[str, bool]:
    """What the process says next, nothing when it ended or is late; whether it is late. One that has closed its output has ended."""
    assert process.stdout is not None
    late = not select.select([process.stdout], [], [], seconds)[0]
    answer = "" if late else process.stdout.readline()
    if not late and not answer:
        with suppress(subprocess.TimeoutExpired):
            process.wait(START)  # so that it has the exit status of its own end, not that of being stopped
    return answer, late


def _stop(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    _process.cache_clear()


@functools.cache
def _process(parent: int) -> subprocess.Popen[str]:
    """One for this process; a fork of it starts its own. Raises ModelwrightError when it does not start."""
    words = [sys.executable, "-I", str(Path(__file__).with_name("_chat.py")), str(SECONDS), str(MEMORY)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True, encoding="utf-8", errors="replace", env={})
    assert process.stderr is not None
    ready, late = "", False
    try:
        ready, late = _line(process, START)
    finally:
        if not ready:
            _stop(process)
    with process.stderr as errors:
        if ready:
            return process
        why = errors.read().strip().rpartition("\n")[2] or f"exit status {process.returncode}"
    why = f"not after {START} seconds" if late else why
    raise ModelwrightError(f"chat template: the process that renders it did not start: {why}")
