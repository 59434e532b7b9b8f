"""One request to an OpenAI-compatible server, and what may go wrong with it."""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from email.message import Message
from typing import IO, Any

from modelwright.errors import ModelwrightError
from modelwright_plugins.generator import Reply

MOMENTARY = (408, 409, 425, 429, 500, 502, 503, 504)  # what is worth another try
LONGEST_WAIT, LONGEST_SAID, MOST = 60.0, 200, 1 << 26  # seconds; characters of what a server says; bytes of an answer


class ServerError(ModelwrightError):
    """A server that could not be reached, refused, or does not speak the protocol."""


class _Again(Exception):
    """What is worth another try, after so many seconds if the server says how many."""

    def __init__(self, said: str, after: float | None = None) -> None:
        super().__init__(said)
        self.after = after


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A key goes where the config says, and nowhere else."""

    def redirect_request(self, req: Any, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str) -> None:
        return None


class Endpoint:
    """`here`: it is on this machine, and asked past the proxy that http_proxy names, which would have the key, and knows no such server."""

    def __init__(self, url: str, key: str | None, *, retries: int, wait: float, timeout: float, here: bool = False) -> None:
        self.url, self.key, self.retries, self.wait, self.timeout = url, key, retries, wait, timeout
        self.over = threading.Event()  # nobody waits for it any more
        self.opener = urllib.request.build_opener(_NoRedirect, *([urllib.request.ProxyHandler({})] if here else []))

    def post(self, asked: dict[str, Any]) -> list[Reply]:
        """Its replies, one at least. ServerError, in one line without the key, after the last try."""
        pause = self.wait
        for left in range(self.retries, -1, -1):
            try:
                return _replies(self._answer(asked))
            except _Again as error:
                if not left or self.over.wait(min(LONGEST_WAIT, pause if error.after is None else error.after)):
                    tries = f"{self.retries + 1} tries" if self.retries else "one try"
                    raise ServerError(f"{self.url}: after {tries}: {self._clean(str(error))}") from None
                pause *= 2
        raise AssertionError("unreachable")

    def _answer(self, asked: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(self.url, data=json.dumps(asked).encode(), headers=headers)
        until = time.monotonic() + self.timeout
        try:
            with self.opener.open(request, timeout=self.timeout) as answer:
                return json.loads(self._all_of(answer, until))
        except urllib.error.HTTPError as error:
            with error:
                said = f"{error.code} {error.reason}: {_said(error)}"
            if error.code in MOMENTARY:
                raise _Again(said, _seconds(error.headers.get("Retry-After"))) from None
            raise ServerError(f"{self.url}: {self._clean(said)}") from None
        except (ValueError, RecursionError) as error:
            raise _Again(f"its answer is no JSON: {error}") from None
        except TimeoutError:
            raise _Again(f"no answer within {self.timeout:g} s") from None
        except urllib.error.URLError as error:
            late = isinstance(error.reason, TimeoutError)
            raise _Again(f"no answer within {self.timeout:g} s" if late else str(error.reason)) from None
        except (OSError, http.client.HTTPException) as error:
            raise _Again(f"{type(error).__name__}: {error}") from None

    def _all_of(self, answer: Any, until: float) -> bytes:
        """A server that sends a byte now and then is late, too."""
        found = bytearray()
        while piece := answer.read1(1 << 16):
            found += piece
            if len(found) > MOST:
                raise ServerError(f"{self.url}: an answer is longer than {MOST >> 20} MiB")
            if time.monotonic() > until:
                raise TimeoutError(f"{self.timeout} s")
        if answer.length:
            raise http.client.IncompleteRead(b"", answer.length)
        return bytes(found)

    def _clean(self, said: str) -> str:
        """One short line; some servers repeat the key that they refuse."""
        line = " ".join(said.split())
        return (line.replace(self.key, "[key]") if self.key else line)[:LONGEST_SAID]


def _said(error: urllib.error.HTTPError) -> str:
    """The message in a refusal, as OpenAI's, vLLM's and others' servers write it."""
    try:
        text = error.read(1 << 16).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return ""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    inner = found.get("error", found) if isinstance(found, dict) else found
    return str(inner.get("message", inner.get("detail", inner)) if isinstance(inner, dict) else inner)


def _seconds(text: str | None) -> float | None:
    try:
        return max(0.0, float(text)) if text else None
    except ValueError:
        return None  # a date


def _replies(answer: Any) -> list[Reply]:
    try:
        found = [_reply(choice) for choice in answer["choices"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _Again(f"its answer is none of OpenAI's protocol: {type(error).__name__}: {error}; {json.dumps(answer)[:80]}") from None
    if not found:
        raise _Again("its answer holds no choices")
    return found


def _reply(choice: Any) -> Reply:
    text = choice["message"].get("content")  # null: it says nothing, but calls a tool
    if not isinstance(text, str | None):
        raise ValueError(f"a reply is {text!r}")
    text = (text or "").encode("utf-8", "replace").decode()  # half of a surrogate pair is no text
    return Reply(text, choice.get("finish_reason") not in ("length", "content_filter"))
