"""A server that speaks OpenAI's protocol and says what `says` makes of a request; it counts what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Asked = dict[str, Any]


@contextmanager
def serving(says: Callable[[Asked], tuple[str, str]], code: int = 200) -> Iterator[tuple[str, list[Asked]]]:
    """Its URL, and requests so far. `says`: (text, finish_reason) of a request."""
    asked: list[Asked] = []

    class Answering(BaseHTTPRequestHandler):
        def log_message(self, *words: Any) -> None: ...

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(request)
            text, reason = says(request)
            found = {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": reason}]}
            body = json.dumps(found if code == 200 else {"error": {"message": text}}).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", asked
        server.shutdown()
