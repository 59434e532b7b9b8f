"""Web pages as crawlers archive them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from modelwright.errors import ModelwrightError
from modelwright_plugins.source import BadRecord, Source, SourceFile
from modelwright_plugins.source.paths import find

if TYPE_CHECKING:
    from datatrove.data import Document

    from modelwright_plugins.source._extract import Extraction
    from modelwright_plugins.source._warc import Record

KINDS = ("response", "conversion", "resource")
SHARE = 0.5  # text in the bytes of an archive, about: pages are packed 5 to 1, and a tenth of a page is text


@dataclass(frozen=True, kw_only=True)
class Warc(Source):
    """WARC files, plain or .gz (Common Crawl, wget, Heritrix): the text of each HTML page and of each plain text.

    What isn't asked for (requests, images, pages not found) is passed over; a record that is broken is quarantined with its offset in the
    file, that of its gzip member where there is one, and reading goes on at the next. metadata: url, date, content_type, charset, record.
    """

    paths: list[str]  # files, folders (their .warc, .warc.gz, .wet.gz) or globs
    extractor: Literal["trafilatura", "resiliparse", "none"] = "trafilatura"  # of text from HTML; none: a document is a page's HTML
    favor: Literal["precision", "balance", "recall"] = "precision"  # less text, and right; or more. FineWeb: precision
    comments: bool = False  # of readers too, where the extractor knows them
    content_types: tuple[str, ...] = ("text/html", "application/xhtml+xml", "text/plain")  # that are read
    statuses: tuple[int, ...] = (200,)  # of HTTP, that are read
    records: tuple[str, ...] = ("response", "conversion")  # types of record: also resource; conversion is text (WET)
    max_bytes: int = 5_000_000  # of a page unpacked; Common Crawl cuts pages at 5 MiB
    timeout: float = 30.0  # seconds for the extraction of a page
    group: Literal["host", "page", "file"] = "host"  # what is never split between training and held-out data

    def __post_init__(self) -> None:
        for name in self.records:
            if name not in KINDS:
                raise ValueError(f"records is {name!r}; it is some of {', '.join(KINDS)}")
        if not self.timeout > 0:
            raise ValueError(f"timeout is {self.timeout}; it is a number of seconds above 0")
        if self.max_bytes < 1:
            raise ValueError(f"max_bytes is {self.max_bytes}; it is at least 1")

    def files(self) -> list[SourceFile]:
        if self.extractor != "none":
            from modelwright_plugins.source._extract import missing

            if why := missing(self.extractor):
                raise ModelwrightError(f"source.extractor={self.extractor}: {why}", "source.extractor")
        paths = find(self.paths, (".warc.gz", ".warc", ".wet.gz", ".wet"), "source.paths")
        return [
            SourceFile(path=p, name=str(p), bytes=int(p.stat().st_size * (SHARE if p.suffix == ".gz" else SHARE / 5)), group=str(p))
            for p in paths
        ]

    def read(self, file: SourceFile) -> Iterator[Document | BadRecord]:
        from modelwright_plugins.source._extract import Extraction
        from modelwright_plugins.source._warc import Damage, records

        with (
            nullcontext() if self.extractor == "none" else Extraction(self.extractor, self.favor, self.comments, self.timeout) as extraction
        ):
            for record in records(file.path, self.max_bytes + (1 << 17)):
                if isinstance(record, Damage):
                    yield BadRecord(record.reason, offset=record.offset)
                elif found := self._document(record, file, extraction):
                    yield found

    def _document(self, record: Record, file: SourceFile, extraction: Extraction | None) -> Document | BadRecord | None:
        from datatrove.data import Document

        from modelwright_plugins.source._extract import ExtractionError
        from modelwright_plugins.source._http import decoded

        kind = record.headers.get("warc-type", "").lower()
        if kind not in self.records:
            return None
        try:
            found = self._body(record, kind)
            if found is None:
                return None
            body, content_type, charset = found
            text, charset = decoded(body, charset)
            url = record.headers.get("warc-target-uri", "").strip("<>") or None  # old wget writes <>
            if extraction is not None and content_type != "text/plain":
                text = extraction(text, url)
            elif not text.strip():
                raise ValueError("no text in the page")
        except (ValueError, ExtractionError) as error:
            return BadRecord(str(error), offset=record.offset)
        text = text.replace("\r\n", "\n").encode("utf-8", "replace").decode()  # a lone surrogate is no text
        metadata: dict[str, Any] = {"url": url, "date": record.headers.get("warc-date"), "content_type": content_type, "charset": charset}
        metadata |= {"record": record.headers.get("warc-record-id", "").strip("<>")}
        name = f"{file.name}:{record.offset}" + (f"+{record.within}" if record.within else "")
        metadata["group"] = {"host": _host(url), "page": url or name, "file": file.group}[self.group] or file.group
        return Document(text=text, id=name, metadata=metadata)

    def _body(self, record: Record, kind: str) -> tuple[bytes, str, str | None] | None:
        """The bytes, content type and charset; None: not asked for. ValueError: broken, or too long."""
        from modelwright_plugins.source._http import media_type, response, unpacked

        content_type, charset = media_type(record.headers.get("content-type", ""))
        if record.block is None:
            if kind != "response" and content_type not in self.content_types:
                return None
            raise ValueError("a page longer than max_bytes")
        body, headers = record.block, {}
        if content_type == "application/http" or (kind == "response" and body[:5] == b"HTTP/"):
            answer = response(record.block)
            if answer.status not in self.statuses:
                return None
            body, headers = answer.body, answer.headers
            content_type, charset = media_type(headers.get("content-type", ""))
        content_type = record.headers.get("warc-identified-payload-type", content_type).lower()
        if not content_type and body[:512].lstrip().lower().startswith((b"<!doctype html", b"<html")):
            content_type = "text/html"
        if content_type not in self.content_types:
            return None
        found = unpacked(headers, body, self.max_bytes)
        if found is None:
            raise ValueError("a page longer than max_bytes")
        return found, content_type, charset


def _host(url: str | None) -> str:
    try:
        return (urlsplit(url or "").hostname or "").removeprefix("www.")
    except ValueError:
        return ""
