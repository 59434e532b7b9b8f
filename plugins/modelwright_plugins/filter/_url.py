"""A datatrove filter by URL."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from datatrove.utils._import_utils import ASSETS_PATH

from modelwright_plugins.filter._keywords import Keywords
from modelwright_plugins.filter.measured import Bounds, Measured

if TYPE_CHECKING:
    from datatrove.data import Document

APART = re.compile(r"[^a-z0-9]+")  # what divides the words of a URL


class Blocklist(Measured):
    """datatrove's URLFilter without tldextract, which fetches the list of public suffixes and waits for it.

    Its reasons: `domain` where the blocked one is the page's host, or the host is a `www.` of it; `subdomain` where it is above.
    """

    name = "URL blocklist"
    statistic = "soft words of the URL"

    def __init__(self, lists: dict[str, list[str]], soft: int, integrated: bool, without_url: str) -> None:
        super().__init__()
        self.lists, self.soft, self.integrated, self.without_url = lists, soft, integrated, without_url

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_blocked"}

    @cached_property
    def _blocked(self) -> tuple[set[str], set[str], set[str], set[str], Keywords]:
        lists = {name: list(entries) for name, entries in self.lists.items()}
        if self.integrated:
            assets = Path(ASSETS_PATH)
            with tarfile.open(assets / "url_filterblacklistsv0_3_0.tar.gz") as packed:
                for name in ("domains", "urls"):
                    file = packed.extractfile(name)
                    assert file is not None
                    lists[name] += file.read().decode("utf-8", "replace").splitlines()
            for name, asset in (("words", "banned_words"), ("subwords", "banned_subwords"), ("soft_words", "soft_banned_words")):
                lines = (assets / f"{asset}.txt").read_text(encoding="utf-8").splitlines()
                lists[name] += [line for line in lines if line and not line.startswith("#")]
        domains = {domain.strip().rstrip(".").lower() for domain in lists["domains"]} - {""}
        words, soft, subwords = ({APART.sub("", entry.lower()) for entry in lists[name]} for name in ("words", "soft_words", "subwords"))
        return domains, {*lists["urls"]}, words, soft, Keywords((), subwords)

    def bounds(self) -> Mapping[str, Bounds]:
        return {self.statistic: Bounds(most=self.soft)} if self.integrated or self.lists["soft_words"] else {}

    def measure(self, document: Document) -> Mapping[str, float]:
        url = document.metadata.get("url")
        if not self.bounds() or not isinstance(url, str) or not url:
            return {}
        return {self.statistic: len(self._blocked[3] & ({*APART.split(url.lower())} - {""}))}

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        url = doc.metadata.get("url")
        if not isinstance(url, str) or not url:
            return True if self.without_url == "keep" else (False, "no_url")
        domains, urls, words, soft, subwords = self._blocked
        host = _host(url)
        if host in domains or host.removeprefix("www.") in domains:
            return False, "domain"
        above = host.split(".")
        if any(".".join(above[n:]) in domains for n in range(1, len(above))):
            return False, "subdomain"
        if url in urls:
            return False, "url"
        lower = url.lower()
        found = {*APART.split(lower)} - {""}
        if not words.isdisjoint(found):
            return False, "word"
        if len(soft & found) > self.soft:
            return False, "soft_words"
        if subwords.any(APART.sub("", lower)):
            return False, "subword"
        return True


def _host(url: str) -> str:
    try:
        host = urlsplit(url if "//" in url else f"//{url}").hostname
    except ValueError:  # brackets that are no IPv6 address
        host = None
    return (host or "").rstrip(".")
