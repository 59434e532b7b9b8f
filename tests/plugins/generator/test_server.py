"""A client of OpenAI-compatible servers, held against one that misbehaves."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from modelwright.schema import conform, plain
from modelwright_plugins.generator import Reply
from modelwright_plugins.generator._http import ServerError
from modelwright_plugins.generator.server import Server

KEY = "sk-very-secret"


class Fake(ThreadingHTTPServer):
    """Answers by the protocol, after what `faults` says to do first, a fault a request."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.faults: list[Any] = []
        self.asked: list[tuple[str, dict[str, Any], str | None]] = []
        self.at_once = self.most_at_once = 0
        self.most_choices, self.pause = 100, 0.0
        self.lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None: ...


class Answering(BaseHTTPRequestHandler):
    server: Fake

    def log_message(self, *words: Any) -> None: ...

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.asked.append((self.path, asked, self.headers.get("Authorization")))
            fault = self.server.faults.pop(0) if self.server.faults else None
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        time.sleep(self.server.pause)
        with self.server.lock:  # before it answers: who reads the answer may ask the next at once
            self.server.at_once -= 1
        fault(self) if fault else self.send(200, answer(self.path, asked, self.server.most_choices))

    def send(self, code: int, body: Any, **headers: str) -> None:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        for name, value in {"Content-Length": str(len(text)), **{k.replace("_", "-"): v for k, v in headers.items()}}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)


def answer(path: str, asked: dict[str, Any], most: int) -> dict[str, Any]:
    assert path == "/v1/chat/completions"
    count = min(asked["n"], most)
    texts = [f"{asked['messages'][-1]['content']} {asked['seed'] + i}" for i in range(count)]
    return {"choices": [{"message": {"content": t}, "finish_reason": asked["messages"][0].get("name", "stop")} for t in texts]}


def failing(code: int, body: Any = b"", **headers: str) -> Any:
    return lambda handler: handler.send(code, body, **headers)


def closing(handler: Answering) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


def breaking_off(handler: Answering) -> None:
    handler.send(200, b'{"choices": [', Content_Length="1000")
    handler.connection.shutdown(socket.SHUT_RDWR)


def dribbling(handler: Answering) -> None:
    handler.send(200, b"", Content_Length="1000")
    for _ in range(1000):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.02)


@pytest.fixture
def fake() -> Iterator[Fake]:
    server = Fake()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def server(fake: Fake, **fields: Any) -> Server:
    return Server(**{"url": fake.url, "model": "small", "wait": 0.001, "retries": 3, "timeout": 30.0, **fields})


def test_replies_come_in_order_many_at_a_time(fake):
    fake.pause = 0.02
    texts = [f"text {i}" for i in range(20)]
    found = server(fake, concurrency=4).replies([said(text) for text in texts], 3, seed=5)
    seeds = [asked["seed"] for _, asked, _ in sorted(fake.asked, key=lambda each: int(each[1]["messages"][0]["content"].split()[1]))]
    assert found == [[f"{text} {seed + i}" for i in range(3)] for text, seed in zip(texts, seeds, strict=True)]
    assert len({*seeds}) == 20 and 2 <= fake.most_at_once <= 4
    assert found == server(fake).replies([said(text) for text in texts], 3, seed=5)
    assert found != server(fake).replies([said(text) for text in texts], 3, seed=6)
    assert server(fake).replies([], seed=1) == []


def test_what_is_asked(fake):
    asking = server(fake, temperature=0.5, top_p=0.9, max_new_tokens=7, stop=("\n",), url=fake.url + "/", concurrency=1)
    kettle = [{"type": "function", "function": {"name": "kettle"}}]
    asked = [{"messages": said("a")}, {"messages": [{**said("b")[0], "name": "length", "weight": 0}], "tools": kettle}]
    assert asking.said(asked, seeds=[0, 2**31]) == [Reply("a 0", True), Reply("b 1", False)]
    about = {"model": "small", "temperature": 0.5, "top_p": 0.9, "max_tokens": 7, "stop": ["\n"], "n": 1}
    assert [each for _, each, _ in fake.asked] == [
        {**about, "seed": 0, "messages": said("a")},
        {**about, "seed": 1, "messages": [{**said("b")[0], "name": "length"}], "tools": kettle},
    ]
    assert [key for *_, key in fake.asked] == [None, None]


@pytest.mark.parametrize(
    ("reason", "content", "wanted"),
    [
        ("stop", None, Reply("", True)),  # it calls a tool
        ("content_filter", "a", Reply("a", False)),
        (None, "a", Reply("a", True)),
        ("length", "\ud83d!", Reply("?!", False)),
    ],
)
def test_what_is_understood(fake, reason, content, wanted):
    fake.faults = [failing(200, {"choices": [{"message": {"content": content}, "finish_reason": reason}]})]
    assert server(fake).said([{"messages": said("a")}], seeds=[0]) == [wanted]


def test_nobody_is_asked_again_once_a_refusal_ended_it(fake):
    fake.faults = [failing(503, b"", Retry_After="0.3"), failing(400, b"bad")]
    with pytest.raises(ServerError, match="400"):
        server(fake, concurrency=2).replies([said("a"), said("b")], seed=0)
    time.sleep(0.5)
    assert len(fake.asked) == 2


def test_a_server_that_gives_one_at_a_time(fake):
    fake.most_choices = 1
    assert server(fake).replies([said("a")], 3, seed=0) == [["a 0", "a 1", "a 2"]]


@pytest.mark.parametrize(
    "fault",
    [
        *(failing(code, {"error": {"message": "busy"}}) for code in (408, 429, 500, 502, 503, 504)),
        failing(429, b"", Retry_After="0.01"),
        failing(503, b"", Retry_After="Fri, 31 Dec 1999 23:59:59 GMT"),
        closing,
        breaking_off,
        failing(200, b"<html>"),
        failing(200, b"\xff\xfe"),
        failing(200, b"[" * 100_000),
        failing(200, {"error": "no"}),
        failing(200, {"choices": []}),
        failing(200, {"choices": [{"message": {"content": 5}}]}),
        failing(200, {"choices": [{"text": "b"}]}),
        failing(200, []),
        failing(200, None),
    ],
)
def test_what_goes_wrong_for_the_moment_is_tried_again(fake, fault):
    fake.faults = [fault, fault]
    assert server(fake).replies([said("a")], seed=0) == [["a 0"]]
    fake.faults = [fault] * 4
    with pytest.raises(ServerError, match=r"^http://127\.0\.0\.1:\d+/v1/chat/completions: after 4 tries: .+$") as caught:
        server(fake).replies([said("a")], seed=0)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_a_server_that_is_late(fake):
    fake.pause = 1.0
    with pytest.raises(ServerError, match=r"after one try: no answer within 0\.1 s"):
        server(fake, retries=0, timeout=0.1).replies([said("a")], seed=0)
    fake.pause, fake.faults = 0.0, [dribbling]
    began = time.monotonic()
    with pytest.raises(ServerError, match=r"after one try: no answer within 0\.2 s"):
        server(fake, retries=0, timeout=0.2).replies([said("a")], seed=0)
    assert time.monotonic() - began < 5


def test_nobody_is_there():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with pytest.raises(ServerError, match=r"after 2 tries: .*refused"):
            Server(url=url, model="m", retries=1, wait=0.01).replies([said("a")], seed=0)


def test_refusals_are_told_at_once_and_the_key_is_not(fake, monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY + "\n")
    asking = server(fake, api_key_env="MY_KEY")
    assert asking.replies([said("a")], seed=0) == [["a 0"]]
    assert fake.asked[-1][2] == f"Bearer {KEY}"
    assert KEY not in repr(asking) + str(plain(asking))
    for code, body in ((401, {"error": {"message": f"wrong key {KEY}"}}), (404, {"detail": "no such\nmodel"}), (400, b"bad"), (302, b"")):
        fake.faults, before = [failing(code, body, Location="http://elsewhere.invalid/")], len(fake.asked)
        with pytest.raises(ServerError, match=f"completions: {code} ") as caught:
            asking.replies([said("a")], seed=0)
        assert KEY not in str(caught.value) and "\n" not in str(caught.value) and len(fake.asked) == before + 1
    for wrong in ("", "ключ", "a\x00b"):
        monkeypatch.setenv("MY_KEY", wrong) if "\x00" not in wrong else monkeypatch.delenv("MY_KEY")
        with pytest.raises(ServerError, match="the environment variable MY_KEY holds no key"):
            asking.replies([said("a")], seed=0)


def test_a_proxy_is_not_asked_for_this_machine(fake, monkeypatch):
    proxy = Fake()
    for name in ("no_proxy", "NO_PROXY", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/v1"))
    monkeypatch.setenv("MY_KEY", KEY)
    threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        assert server(fake, api_key_env="MY_KEY").replies([said("a")], seed=0)[0][0].startswith("a ")
        assert fake.asked[-1][2] == f"Bearer {KEY}" and not proxy.asked
        with pytest.raises(ServerError):  # the proxy is none that could
            Server(url="http://models.invalid/v1", model="m", retries=0).replies([said("b")], seed=0)
        assert len(proxy.asked) == 1
    finally:
        proxy.shutdown()
        proxy.server_close()


def test_the_first_refusal_ends_the_rest(fake):
    fake.pause, fake.faults = 0.05, [failing(400, b"bad")]
    with pytest.raises(ServerError, match="400"):
        server(fake, concurrency=2).replies([said(str(i)) for i in range(100)], seed=0)
    assert len(fake.asked) < 20


def test_parameters():
    fine = {"url": "https://example.org/v1", "model": "m"}
    for wrong in (
        *(
            {"url": url}
            for url in (
                "example.org",
                "ftp://a",
                "http://user:secret@a/v1",
                "http://:secret@",
                "http://a:port/v1",
                "http://a/v1?key=secret",
                "http://",
            )
        ),
        *({name: -1} for name in ("max_new_tokens", "concurrency", "retries", "temperature", "wait", "timeout", "top_p")),
        {"model": ""},
        {"temperature": float("nan")},
    ):
        with pytest.raises(ValueError, match=f"^{next(iter(wrong))} ") as caught:
            Server(**{**fine, **wrong})
        assert "secret" not in str(caught.value)
    assert conform(plain(Server(**fine)), Server, "") == Server(**fine)
    with pytest.raises(ValueError, match="n is 0"):
        Server(**fine).replies([], 0, seed=1)


def test_a_key_goes_over_no_network_in_plain_text():
    keyed = {"model": "m", "api_key_env": "MY_KEY"}
    for away in ("http://node7:8000/v1", "http://10.0.0.2/v1", "http://localhost.example.org/v1", "http://[2001:db8::1]:8000/v1"):
        with pytest.raises(
            ValueError, match=r"^url is http://.*, where the key of MY_KEY would be sent for all to read; it begins with https"
        ):
            Server(url=away, **keyed)
        assert Server(url=away, model="m").api_key_env is None  # without a key there is nothing to lose
    for safe in ("https://node7/v1", "http://localhost:8000/v1", "http://127.0.0.2/v1", "http://[::1]:8000/v1", "http://LocalHost/v1"):
        assert Server(url=safe, **keyed).url == safe
