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
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modelwright.errors import ModelwrightError

SECONDS, MEMORY = 5, 1 << 29  # that rendering one conversation may take, bytes
_LOCK = threading.Lock()


def render(template: str, messages: Sequence[Mapping[str, Any]], **variables: Any) -> str:
    """The text of a conversation: messages such as {"role": "user", "content": "Hi"}; keys that are None are left out.

    The template is run in a process of its own, with nothing but what it is given here, which must be plain values (JSON).
    Raises ModelwrightError, in one line, for a template that is wrong, refuses the conversation, or is not done in SECONDS and MEMORY.
    """
    said = [{key: value for key, value in message.items() if value is not None} for message in messages]
    given = {"tools": None, "documents": None, "add_generation_prompt": False, **variables, "messages": said}
    try:
        asked = json.dumps({"template": template, "variables": given})
    except (TypeError, ValueError) as e:
        raise ModelwrightError(f"chat template: the conversation is not plain values: {e}") from e
    with _LOCK:
        found = _ask(asked)
    if "error" in found:
        raise ModelwrightError(f"chat template: {' '.join(found['error'].split())}")
    return found["text"]


def _ask(line: str) -> dict[str, str]:
    process = _process(os.getpid())
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(line + "\n")
        process.stdin.flush()
        if select.select([process.stdout], [], [], SECONDS)[0] and (answer := process.stdout.readline()):
            return dict(json.loads(answer))
        late = process.poll() is None
    except BrokenPipeError:
        late = False
    except BaseException:  # Ctrl-C between question and answer: the next question must not get this answer
        _stop(process)
        raise
    _stop(process)
    return {"error": f"it is not done after {SECONDS} seconds" if late else "it takes more than a template may"}


def _stop(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    _process.cache_clear()


@functools.cache
def _process(parent: int) -> subprocess.Popen[str]:
    """One for this process; a fork of it starts its own."""
    words = [sys.executable, "-I", str(Path(__file__).with_name("_chat.py")), str(SECONDS), str(MEMORY)]
    return subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, encoding="utf-8", env={}
    )
