"""Pages of WARC files: asked for or not, unpacked, decoded, extracted as the extractors do by themselves, and quarantined when broken."""

from __future__ import annotations

import gzip
import io
import os
import random
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import brotli
import pytest
import zstandard
from small_sources import page, pages, warc
from warcio.archiveiterator import ArchiveIterator
from warcio.bufferedreaders import ChunkedDataReader

from modelwright.errors import ModelwrightError
from modelwright_plugins.source import BadRecord
from modelwright_plugins.source import _extract as extract
from modelwright_plugins.source._http import dechunked, decoded, media_type, unpacked
from modelwright_plugins.source.warc import Warc

REAL = Path("/work/shared/data")
OK = "200 OK"
HTML = "text/html"


def read(source: Warc) -> tuple[list[Any], list[BadRecord]]:
    items = [item for file in source.files() for item in source.read(file)]
    return [i for i in items if not isinstance(i, BadRecord)], [i for i in items if isinstance(i, BadRecord)]


def written(folder: Path, answers: list[tuple[str, str, str, bytes]]) -> str:
    (file := folder / "x.warc.gz").write_bytes(warc(answers))
    return str(file)


def by_warcio(path: str) -> list[tuple[str, str]]:
    """Of each page: its address, and its bytes as UTF-8."""
    found = []
    with Path(path).open("rb") as file:
        for record in ArchiveIterator(file):
            if record.rec_type == "response" and record.http_headers.get_statuscode() == "200":
                found.append((record.rec_headers["WARC-Target-URI"], record.content_stream().read().decode()))
    return found


@pytest.mark.parametrize(("extractor", "favor"), [("trafilatura", "precision"), ("trafilatura", "recall"), ("resiliparse", "balance")])
def test_the_text_is_the_extractors_own(tmp_path: Path, extractor: Any, favor: Any) -> None:
    import trafilatura
    from resiliparse.extract.html2text import extract_plain_text

    real = str(REAL / "dolma-warcs" / "sample-0001.warc.gz")
    paths = [real if REAL.exists() else written(tmp_path, pages(5))]
    documents, bad = read(Warc(paths=paths, extractor=extractor, favor=favor))
    plain, _ = read(Warc(paths=paths, extractor="none"))
    assert [(d.metadata["url"], d.text) for d in plain] == [(u, t.replace("\r\n", "\n")) for u, t in by_warcio(paths[0])]
    wanted = []
    for url, text in by_warcio(paths[0]):
        if extractor == "trafilatura":
            precise = favor == "precision"
            wanted.append(trafilatura.extract(text, url=url, favor_precision=precise, favor_recall=not precise, include_comments=False))
        else:
            wanted.append(extract_plain_text(text, main_content=True, alt_texts=False, comments=False))
    assert len(documents) + len(bad) == len(wanted) and len(documents) > 4
    assert [d.text for d in documents] == [text.replace("\r\n", "\n") for text in wanted if text and text.strip()]


def test_what_is_read_and_what_is_passed_over(tmp_path: Path) -> None:
    answers = [
        ("http://www.a.example:80/1", OK, "Text/HTML; charset=UTF-8", page(1).encode()),
        ("http://a.example/2", "404 Not Found", HTML, page(2).encode()),
        ("https://b.example/3", OK, "image/png", b"\x89PNG"),
        ("https://b.example/4", OK, "text/plain", b"Plain <b>text</b> stays.\r\nTwo lines."),
        ("https://b.example/5", OK, "", b"\n<!DOCTYPE html>" + page(5).encode()),
        ("https://b.example/6", OK, "application/xhtml+xml", page(6).encode()),
        ("https://b.example/7", OK, HTML, b"<html><body></body></html>"),
        ("https://b.example/8", OK, HTML, b""),
    ]
    path = written(tmp_path, answers)
    documents, bad = read(Warc(paths=[path], extractor="resiliparse"))
    assert [d.metadata["url"][-1] for d in documents] == ["1", "4", "5", "6"]
    assert [d.metadata["group"] for d in documents] == ["a.example", "b.example", "b.example", "b.example"]
    assert documents[1].text == "Plain <b>text</b> stays.\nTwo lines."
    first = documents[0].metadata
    assert (first["content_type"], first["charset"], first["date"][:2]) == ("text/html", "utf-8", "20") and first["record"].startswith(
        "urn:uuid:"
    )
    assert [b.reason for b in bad] == ["no text in the page"] * 2
    offset = bad[0].offset
    with Path(path).open("rb") as file:
        file.seek(offset or 0)
        assert next(ArchiveIterator(file)).rec_headers["WARC-Target-URI"] == "https://b.example/7"
    others, _ = read(Warc(paths=[path], extractor="none", statuses=(404,)))
    assert [d.metadata["url"][-1] for d in others] == ["2"]
    for group, wanted in (("page", "https://b.example/4"), ("file", path)):
        documents, _ = read(Warc(paths=[path], extractor="none", content_types=("text/plain",), group=group))
        assert [d.metadata["group"] for d in documents] == [wanted]


def test_texts_that_were_extracted_before(tmp_path: Path) -> None:
    """WET files: conversion records hold plain text."""
    from warcio.warcwriter import WARCWriter

    writer = WARCWriter(out := io.BytesIO(), gzip=True)
    text = "HTTP/1.1 is a protocol.\nÜber Mühlen."
    writer.write_record(
        writer.create_warc_record("http://a.example/", "conversion", payload=io.BytesIO(text.encode()), warc_content_type="text/plain")
    )
    (file := tmp_path / "a.wet.gz").write_bytes(out.getvalue())
    documents, bad = read(Warc(paths=[str(tmp_path)]))
    assert [d.text for d in documents] == [text] and not bad and documents[0].id == f"{file}:0"


@pytest.mark.parametrize(
    ("charset", "header", "meta", "text"),
    [
        ("utf-8", "utf-8", None, "Grüße, 水"),
        ("utf-8", "iso-8859-1", None, "Grüße, 水"),  # a lie that is common
        ("utf-8-sig", None, None, "Grüße"),
        ("utf-16", None, None, "Grüße, 水"),
        ("utf-16-le", "utf-16le", None, "Grüße"),
        ("cp1252", "iso-8859-1", None, "„Grüße“ – 5 €"),  # as the web reads that label
        ("iso8859-2", None, "iso-8859-2", "Zażółć gęślą jaźń"),
        ("cp1251", "windows-1251", "utf-8", "Мельница у реки"),
        ("cp1251", None, None, "Мельница стоит у реки, и мельник считает мешки с мукой весь день."),  # found by its looks
        ("shift_jis", None, "Shift_JIS", "水車小屋"),
        ("iso2022_jp", "iso-2022-jp", None, "水車小屋"),
        ("gb18030", "gb2312", None, "水车 镕"),
        ("euc_kr", "no-such-charset", "euc-kr", "물레방아"),
    ],
)
def test_charsets(charset: str, header: str | None, meta: str | None, text: str) -> None:
    head = f'<meta http-equiv="Content-Type" content="text/html; charset={meta}">' if meta else "<p>"
    found, _ = decoded((head + text).encode(charset), header)
    assert found == head + text


def test_bytes_that_are_no_text() -> None:
    assert decoded("Grüße".encode()[:-3], None)[0] == "Grü"  # cut within a character
    for body in (b"\x89PNG\0\0\0", random.Random(0).randbytes(5000)):
        with pytest.raises(ValueError, match=r"no text|no charset"):
            decoded(body, "utf-8")
    worn = "Grüße. ".encode() * 3000 + b"\xff" + b"more"
    assert decoded(worn, "utf-8")[0].count("\ufffd") == 1
    assert media_type("text/HTML; Charset='UTF-8'; x=y") == ("text/html", "UTF-8")
    assert media_type("") == ("", None) and media_type(";;;=")[1] is None


def test_bodies_are_unpacked_once_and_never_past_the_limit() -> None:
    body = page(0).encode() * 20
    raw = zlib.compressobj(wbits=-15)
    packs = {
        "gzip": gzip.compress(body),
        "x-gzip": gzip.compress(body),
        "deflate": zlib.compress(body),
        "Deflate": raw.compress(body) + raw.flush(),
        "br": brotli.compress(body),
        "zstd": zstandard.compress(body),
        "gzip, br": brotli.compress(gzip.compress(body)),
        "identity": body,
    }
    for name, packed in packs.items():
        headers = {"content-encoding": name}
        assert unpacked(headers, packed, len(body)) == body, name
        assert unpacked(headers, packed, len(body) - 1) is None, name
        if name != "identity":
            with pytest.raises(ValueError, match="damaged body"):
                unpacked(headers, packed[: len(packed) // 2], len(body))
    assert unpacked({"content-encoding": "gzip"}, body, len(body)) == body  # unpacked by the crawler
    bomb = gzip.compress(bytes(200_000_000), 1)
    start = time.process_time()
    assert unpacked({"content-encoding": "gzip"}, bomb, 1_000_000) is None and time.process_time() - start < 1


def test_chunks_are_those_of_warcio() -> None:
    good = b"5\r\nHello\r\n7;x=y\r\n, mill!\r\n0\r\n\r\n"
    cases = [good, good[:4], good[:12], b"<html>no chunks", b"5\r\nHello\r\nzz\r\nrest", b"", b"0\r\n\r\n", b"ff\r\nshort"]
    for body in cases:
        assert dechunked(body) == ChunkedDataReader(io.BytesIO(body)).read(), body
    assert dechunked(good) == b"Hello, mill!"


def hang(page: str, url: str | None, favor: Any, comments: bool) -> str | None:
    if "number 1." in page:
        time.sleep(600)
    if "number 2." in page:
        os._exit(9)
    if "number 3." in page:
        raise RecursionError
    return "text"


def test_an_extractor_that_hangs_or_crashes_costs_one_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extract.EXTRACTORS, "resiliparse", hang)
    start = time.monotonic()
    documents, bad = read(Warc(paths=[written(tmp_path, pages(6))], extractor="resiliparse", timeout=1.0))
    assert time.monotonic() - start < 40
    assert [d.metadata["url"][-1] for d in documents] == ["0", "4", "5"]
    assert [b.reason for b in bad] == ["the extractor took too long", "the extractor crashed", "the extractor failed: RecursionError"]


def test_the_extractor_goes_with_its_reader() -> None:
    """Also where the reader is killed: nobody is left to end it."""
    code = """
import os, signal
from modelwright_plugins.source._extract import Extraction
extraction = Extraction("resiliparse", "precision", False, 10)
extraction("<p>Some text.</p>", None)
print(extraction.process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    stat, start = Path(f"/proc/{done.stdout.strip()}/stat"), time.monotonic()
    while time.monotonic() < start + 10 and stat.exists() and " Z " not in stat.read_text():
        time.sleep(0.05)
    assert done.returncode == -9 and done.stdout.strip() and time.monotonic() < start + 10


@pytest.mark.slow
def test_a_page_nested_too_deep_and_one_that_is_too_long(tmp_path: Path) -> None:
    deep = ("http://a.example/deep", OK, HTML, b"<html><body>" + b"<div>" * 100_000 + b"text")
    long = ("http://a.example/long", OK, HTML, page(0).encode() * 200)
    path = written(tmp_path, [deep, long, *pages(1)])
    for extractor in ("trafilatura", "resiliparse"):
        documents, bad = read(Warc(paths=[path], extractor=extractor, max_bytes=600_000, timeout=3))  # type: ignore[arg-type]
        assert documents[-1].metadata["url"] == "http://mill0.example/0" and len(documents) + len(bad) == 3
    documents, bad = read(Warc(paths=[path], extractor="none", max_bytes=100_000))
    assert [b.reason for b in bad] == ["a page longer than max_bytes"] * 2 and len(documents) == 1


def test_broken_records_and_bad_responses_are_told_where_they_are(tmp_path: Path) -> None:
    good = warc(pages(3))
    broken = bytearray(good)
    broken[len(good) // 2] ^= 0xFF
    (tmp_path / "x.warc.gz").write_bytes(bytes(broken))
    documents, bad = read(Warc(paths=[str(tmp_path)], extractor="none"))
    assert len(documents) in (2, 3) and len(bad) == 1 and bad[0].offset is not None and "gzip" in bad[0].reason
    record = b"WARC/1.0\r\nWARC-Type: response\r\nContent-Type: application/http\r\nContent-Length: 11\r\n\r\nno response\r\n\r\n"
    (tmp_path / "x.warc.gz").write_bytes(gzip.compress(record))
    assert read(Warc(paths=[str(tmp_path)], extractor="none")) == ([], [BadRecord("no HTTP response in the record", offset=0)])


def test_settings_that_are_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="records is 'respnse'; it is some of response"):
        Warc(paths=["x"], records=("respnse",))
    with pytest.raises(ValueError, match=r"timeout is 0"):
        Warc(paths=["x"], timeout=0)
    with pytest.raises(ValueError, match=r"max_bytes is 0"):
        Warc(paths=["x"], max_bytes=0)
    path = written(tmp_path, pages(1))
    real = extract.importlib.util.find_spec
    monkeypatch.setattr(extract.importlib.util, "find_spec", lambda name: None if name == "resiliparse" else real(name))
    with pytest.raises(ModelwrightError, match=r"source\.extractor=resiliparse: .* pip install -e '\.\[web\]'"):
        Warc(paths=[path], extractor="resiliparse").files()
    assert len(Warc(paths=[path], extractor="none").files()) == 1


@pytest.mark.skipif(not REAL.exists(), reason="no shared data here")
def test_deliberately_broken_files_go_on() -> None:
    documents, bad = read(Warc(paths=[str(REAL / "warcio-warcs")], extractor="resiliparse"))
    texts = [d.text for d in documents]
    assert sum("This domain is established" in text for text in texts) == 5  # of them one with chunks that are wrong, and one in one member
    assert any("DNS Root" in text for text in texts)
    assert [(b.offset, b.reason) for b in bad] == [(1197, "the record goes on after its Content-Length")]
