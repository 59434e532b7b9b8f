"""A server with a judge that rates by what it is asked: the number of characters, from 1 to 10, after a first thought."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Rating(BaseHTTPRequestHandler):
    def log_message(self, *words: Any) -> None: ...

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = asked["messages"][-1]["content"]
        said = f"Not [[3]]. Rating: [[{1 + len(text) % 10}]]" if "no rating" not in text else "I would rather not."
        body = json.dumps({"choices": [{"message": {"content": said}, "finish_reason": "stop"}] * asked["n"]}).encode()
        self.server.asked.append(asked)  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def judging() -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The fields of a Server that asks it, and what it was asked."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Rating) as server:
        server.asked = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield {"url": f"http://127.0.0.1:{server.server_address[1]}/v1", "model": "judge"}, server.asked  # type: ignore[attr-defined]
        server.shutdown()
