"""A server that speaks OpenAI's protocol (vLLM, SGLang, llama.cpp, OpenAI itself): replies by URL, where a user has one."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from modelwright_plugins.generator import Remote, Reply

SEEDS = 2**31 - 1  # what servers take


@dataclass(frozen=True, kw_only=True)
class Server(Remote):
    """Replies of an OpenAI-compatible server (vLLM, SGLang, llama.cpp), by its own chat template.

    Several requests are made at a time, and again where one fails for the moment. A key is never part of a config: `api_key_env` names
    the environment variable that holds it, and it goes over https or to this machine. Whether a server heeds a seed is its own matter.
    """

    url: str  # as far as its version, for example http://localhost:8000/v1
    model: str  # what the server calls it
    api_key_env: str | None = None  # the environment variable with the key; null: none is sent
    temperature: float = 1.0  # 0: the likeliest token each time
    top_p: float = 1.0  # the nucleus that tokens are drawn from
    max_new_tokens: int = 512  # tokens at most, a reply
    stop: tuple[str, ...] = ()  # texts that end a reply, and are not in it
    concurrency: int = 8  # requests at a time
    retries: int = 5  # times that a request is made again
    wait: float = 1.0  # seconds before the first of them; each next waits twice as long, a minute at most
    timeout: float = 120.0  # seconds that one request may take

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if "@" in self.url or parts.query or parts.fragment:
            raise ValueError("url holds a user, a password or a query; a key goes into the environment variable that api_key_env names")
        try:
            known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:  # the port is no number
            known = False
        if not known:
            raise ValueError(f"url is {self.url!r}; it begins with http:// or https://, for example http://localhost:8000/v1")
        if self.api_key_env is not None and parts.scheme == "http" and not _here(parts.hostname or ""):
            raise ValueError(
                f"url is {self.url}, where the key of {self.api_key_env} would be sent for all to read; it begins with https://"
            )
        if not self.model:
            raise ValueError("model is empty; it is what the server calls it")
        for name, least in (("max_new_tokens", 1), ("concurrency", 1), ("retries", 0), ("temperature", 0), ("wait", 0)):
            if not least <= (value := getattr(self, name)) < math.inf:
                raise ValueError(f"{name} is {value}; it is {least} or more")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; it is more than 0, and 1 at most")
        if not 0 < self.timeout < math.inf:
            raise ValueError(f"timeout is {self.timeout}; it is more than 0")

    def replies(self, conversations: Sequence[Sequence[Mapping[str, str]]], n: int = 1, *, seed: int | Sequence[int]) -> list[list[str]]:
        """n texts for each conversation ({"role": …, "content": …} messages), in their order.

        A conversation's place and `seed` make its seed, or each has its own. ServerError, in one line: it could not be reached, or does not
        speak the protocol.
        """
        found = self._all([{"messages": [dict(message) for message in each]} for each in conversations], n, seed)
        return [[reply.text for reply in each] for each in found]

    def said(self, conversations: Sequence[Mapping[str, Any]], *, seeds: Sequence[int]) -> list[Reply]:
        asked = []
        for each in conversations:
            messages = [{name: value for name, value in message.items() if name != "weight"} for message in each["messages"]]
            asked.append({"messages": messages, **({"tools": each["tools"]} if each.get("tools") else {})})
        return [one for (one,) in self._all(asked, 1, seeds)]

    def _all(self, asked: list[dict[str, Any]], n: int, seed: int | Sequence[int]) -> list[list[Reply]]:
        from modelwright_plugins.generator._http import Endpoint, ServerError

        if n < 1:
            raise ValueError(f"n is {n}; it is 1 or more")
        key = None
        if self.api_key_env is not None:
            key = os.environ.get(self.api_key_env, "").strip()
            if not key or not key.isascii() or not key.isprintable():
                raise ServerError(f"{self.url}: the environment variable {self.api_key_env} holds no key (api_key_env names it)")
        how: dict[str, Any] = {"retries": self.retries, "wait": self.wait, "timeout": self.timeout}
        here = _here(urlsplit(self.url).hostname or "")
        endpoint = Endpoint(f"{self.url.rstrip('/')}/chat/completions", key, here=here, **how)
        common: dict[str, Any] = {
            "model": self.model,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_new_tokens,
        }
        if self.stop:
            common["stop"] = list(self.stop)
        seeds = [(seed * 1_000_003 + number) % SEEDS for number in range(len(asked))] if isinstance(seed, int) else seed
        pool = ThreadPoolExecutor(self.concurrency)
        try:
            futures = [
                pool.submit(_drawn, endpoint.post, {**common, **each}, n, own % SEEDS) for each, own in zip(asked, seeds, strict=True)
            ]
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()  # the first error, before all others are waited for
            return [future.result() for future in futures]
        finally:
            endpoint.over.set()  # what is waiting to ask again does not
            pool.shutdown(wait=False, cancel_futures=True)


def _here(host: str) -> bool:
    """Whether it is this machine by its name or address, so that nothing is sent over a network."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")  # RFC 6761, section 6.3


def _drawn(post: Callable[[dict[str, Any]], list[Reply]], asked: dict[str, Any], n: int, seed: int) -> list[Reply]:
    """n replies to one request: of a server that gives fewer at a time, by more requests."""
    found: list[Reply] = []
    while len(found) < n:
        found += post({**asked, "n": n - len(found), "seed": (seed + len(found)) % SEEDS})
    return found[:n]
