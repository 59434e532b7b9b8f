"""WARC records: those of warcio, at its offsets; and all that are whole, whatever is broken beside them."""

from __future__ import annotations

import gzip
import io
import random
import re
import zlib
from pathlib import Path

import pytest
from small_sources import pages, warc
from warcio.archiveiterator import ArchiveIterator

from modelwright_plugins.source._warc import Damage, Record, records

REAL = Path("/work/shared/data")
LIMIT = 10**7


def read(path: Path, limit: int = LIMIT) -> tuple[list[Record], list[Damage]]:
    found = list(records(path, limit))
    return [r for r in found if isinstance(r, Record)], [r for r in found if isinstance(r, Damage)]


def by_warcio(path: Path) -> list[tuple[int, str, str, bytes]]:
    found = []
    with path.open("rb") as file:
        archive = ArchiveIterator(file, no_record_parse=True)
        for record in archive:
            headers = record.rec_headers
            body = record.raw_stream.read()  # with no_record_parse: the whole block
            found.append((archive.get_record_offset(), record.rec_type, headers["WARC-Record-ID"], body))
    return found


def told(found: list[Record]) -> list[tuple[int, str, str, bytes | None]]:
    return [(r.offset, r.headers["warc-type"], r.headers["warc-record-id"], r.block) for r in found]


def members(data: bytes) -> list[bytes]:
    """The gzip members of a file, each as it is."""
    found = []
    while data:
        unpack = zlib.decompressobj(31)
        unpack.decompress(data)
        size = len(data) - len(unpack.unused_data)
        found.append(data[:size])
        data = data[size:]
    return found


@pytest.mark.parametrize("packed", [True, False])
def test_records_and_offsets_are_those_of_warcio(tmp_path: Path, packed: bool) -> None:
    big = ("http://mill.example/big", "200 OK", "text/plain", random.Random(0).randbytes(400_000))
    odd = (
        "http://mill.example/odd",
        "200 OK",
        "text/html",
        b"<p>A record in a page:\r\nWARC/1.0\r\nWARC-Type: response\r\n\r\n</p>\r\n\r\n",
    )
    (file := tmp_path / "a.warc").write_bytes(
        warc([*pages(20), big, odd, ("http://mill.example/none", "200 OK", "", b""), *pages(3)], packed=packed)
    )
    found, damage = read(file)
    assert not damage and len(found) == 1 + 2 * 26
    assert told(found) == by_warcio(file)
    assert all(r.within == 0 for r in found)
    short, damage = read(file, 100_000)
    assert not damage and [r.headers["warc-record-id"] for r in short] == [r.headers["warc-record-id"] for r in found]
    assert [r.block is None for r in short] == [len(r.block or b"") > 100_000 for r in found] and any(r.block is None for r in short)


@pytest.mark.parametrize("size", [1, 7, 100, 3001])
def test_gzip_members_that_are_no_records(tmp_path: Path, size: int) -> None:
    """bgzip cuts by bytes; gzip of a whole file makes one member. warcio reads neither."""
    plain = warc(pages(5), packed=False)
    (whole := tmp_path / "whole.warc").write_bytes(plain)
    cuts = [plain[i : i + size] for i in range(0, len(plain), size)]
    (cut := tmp_path / "cut.warc.gz").write_bytes(b"".join(map(gzip.compress, cuts)) + bytes(1000))
    (one := tmp_path / "one.warc.gz").write_bytes(gzip.compress(plain))
    wanted, _ = read(whole)
    for file in (cut, one):
        found, damage = read(file)
        assert not damage and [r.block for r in found] == [r.block for r in wanted]
        assert len({(r.offset, r.within) for r in found}) == len(found)
    assert [r.within for r in found] == [r.offset for r in wanted]  # of the one member, where plain text has it
    skipped, damage = read(cut, 10)
    assert not damage and len(skipped) == len(wanted)


@pytest.mark.parametrize("fault", ["flip", "zeros", "cut out", "insert", "truncate"])
def test_whatever_member_is_broken_all_others_are_read(tmp_path: Path, fault: str) -> None:
    good = members(warc(pages(6)))
    chance = random.Random(fault)
    for victim in range(len(good)):
        for _ in range(4):
            bad = bytearray(good[victim])
            at = chance.randrange(10, len(bad) - 9)  # zeros at the end may be right
            if fault == "flip":
                bad[at] ^= 1 << chance.randrange(8)
            elif fault == "zeros":
                bad[at:] = bytes(len(bad) - at)
            elif fault == "cut out":
                del bad[at : at + chance.randrange(1, 50)]
            elif fault == "insert":
                bad[at:at] = chance.randbytes(5)
            else:
                del bad[at:]
            (file := tmp_path / "bad.warc.gz").write_bytes(b"".join([*good[:victim], bytes(bad), *good[victim + 1 :]]))
            found, damage = read(file)
            offsets = [sum(map(len, good[:i])) + (len(bad) - len(good[victim])) * (i > victim) for i in range(len(good)) if i != victim]
            assert [r.offset for r in found] == offsets, (victim, at)
            assert damage and damage[0].offset == sum(map(len, good[:victim])), (victim, at)


def test_a_checksum_that_is_wrong_is_damage(tmp_path: Path) -> None:
    good = members(warc(pages(2)))
    bad = good[2][:-8] + bytes([good[2][-8] ^ 1]) + good[2][-7:]
    (file := tmp_path / "bad.warc.gz").write_bytes(b"".join([*good[:2], bad, *good[3:]]))
    found, damage = read(file)
    assert len(found) == 4 and damage == [Damage(len(good[0] + good[1]), "a damaged gzip member: incorrect data check")]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (b"Content-Length: 99999999999", "the file ends within the record|before its Content-Length"),
        (b"Content-Length: 10", "goes on after its Content-Length"),
        (b"Content-Length: 400", "goes on after its Content-Length|before its Content-Length"),
        (b"Content-Length: -5", "Content-Length is '-5'"),
        (b"Content-Length: many", "Content-Length is 'many'"),
        (b"X: y", "Content-Length is 'not there'"),
    ],
)
def test_a_wrong_length_costs_one_record(tmp_path: Path, packed: bool, wrong: bytes, reason: str) -> None:
    def one(number: int, length: bytes, body: bytes) -> bytes:
        head = b"WARC/1.0\r\nWARC-Type: resource\r\nWARC-Record-ID: <urn:x:%d>\r\n" % number
        return head + (length or b"Content-Length: %d" % len(body)) + b"\r\n\r\n" + body + b"\r\n\r\n"

    body = b"Some text of thirty two letters.\r\n" * 5
    parts = [one(i, wrong if i == 2 else b"", body) for i in range(5)]
    (file := tmp_path / "bad.warc").write_bytes(b"".join(map(gzip.compress, parts) if packed else parts))
    for limit in (LIMIT, 100):
        found, damage = read(file, limit)
        assert [r.headers["warc-record-id"][-2] for r in found] == ["0", "1", "3", "4"]
        before = sum(len(gzip.compress(part) if packed else part) for part in parts[:2])
        assert [d.offset for d in damage] == [before] and re.search(reason, damage[0].reason)


def test_a_length_that_takes_in_the_next_member_whole_is_no_record(tmp_path: Path) -> None:
    def one(number: int, length: int, body: bytes) -> bytes:
        return b"WARC/1.0\r\nWARC-Record-ID: <urn:x:%d>\r\nContent-Length: %d\r\n\r\n" % (number, length) + body

    end = b"\r\n\r\n"
    last = one(2, 3, b"abc")
    parts = [one(0, 3, b"abc") + end, one(1, 3 + len(last), b"abc"), last + end, one(3, 3, b"abc") + end]
    for count in (0, 300):  # within one chunk, and over several
        (file := tmp_path / "bad.warc").write_bytes(b"".join(map(gzip.compress, parts + parts[:1] * count)))
        for limit in (LIMIT, 1):
            found, damage = read(file, limit)
            assert [r.headers["warc-record-id"][7:-1] for r in found] == ["0", "2", "3", *["0"] * count]
            assert damage == [Damage(len(gzip.compress(parts[0])), "the record ends before its Content-Length")]


def test_what_is_no_warc(tmp_path: Path) -> None:
    for name, content, reason in [
        ("empty", b"", "the file is empty"),
        ("text", b"hello\n" * 50_000, "no WARC record begins here"),
        ("gzip", gzip.compress(b"hello\n" * 500), "no WARC record begins here"),
        ("header", b"WARC/1.0\r\n" + b"A: b\r\n" * 50_000, "the record's header has no end"),
        ("garbage behind", warc(pages(1)) + b"garbage", "a damaged gzip member: incorrect header check"),
    ]:
        (file := tmp_path / name).write_bytes(content)
        found, damage = read(file)
        assert [d.reason for d in damage] == [reason], name
        assert len(found) == (3 if name == "garbage behind" else 0)


@pytest.mark.skipif(not REAL.exists(), reason="no shared data here")
def test_real_and_deliberately_broken_files() -> None:
    for file in sorted(REAL.glob("dolma-warcs/*.warc.gz")):
        found, damage = read(file)
        assert not damage and told(found) == by_warcio(file)
    folder = REAL / "warcio-warcs"
    for name in ("example-digest.warc", "example-iana.org-chunked.warc", "example-resource.warc.gz", "example.warc", "example.warc.gz"):
        found, damage = read(folder / name)
        assert not damage and told(found) == by_warcio(folder / name)
    found, damage = read(folder / "example-trunc.warc")  # one record is cut short
    assert [r.offset for r in found] == [0, 488, 2566] and [d.offset for d in damage] == [1197]
    for name in ("example-bad-non-chunked.warc.gz", "example-bad.warc.gz.bad"):  # warcio reads the first record and raises
        assert [len(part) for part in read(folder / name)] == [6, 0]
        plain = gzip.decompress((folder / name).read_bytes())
        with io.BytesIO(plain) as file:
            assert len([None for _ in ArchiveIterator(file)]) == 6
    for name in ("bad.arc", "example.arc", "example.arc.gz"):
        assert [len(part) for part in read(folder / name)] == [0, 1]
