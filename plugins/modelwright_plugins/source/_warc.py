"""Records of WARC files (ISO 28500), plain or gzip, and how to go on after one that is broken.

warcio's iterator ends at the first damage; and one gzip member with many records, or one record over many members (bgzip), it doesn't read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modelwright_plugins.source._members import MAGIC, MEMBER, BrokenError, Gzip, PackError, Plain, ShortError

LONGEST_HEADER = 1 << 16  # bytes
BLANK = re.compile(rb"\r?\n\r?\n")
RECORD = re.compile(rb"\n(?=WARC/\d\.\d+\r?\n[A-Za-z-]+[ \t]*:)")


@dataclass(frozen=True)
class Record:
    """A record that is whole: its bytes are as many as it says, and what follows it is a record or the end."""

    offset: int  # bytes from the beginning of the file, of the gzip member where there is one
    within: int  # bytes from the beginning of the unpacked member; 0 where each record has its own
    headers: dict[str, str]  # names in lower case
    block: bytes | None  # None: longer than the limit


@dataclass(frozen=True)
class Damage:
    """What could not be read; reading goes on behind it."""

    offset: int  # bytes from the beginning of the file
    reason: str


def records(path: Path, limit: int) -> Iterator[Record | Damage]:
    """The records of a file in order; blocks longer than `limit` bytes are passed over. Holds one record at a time.

    After damage the next record is the next that can be found: of gzip the next member that begins with one, of plain text the next
    line that reads like the beginning of one. OSError: the file can't be read."""
    with path.open("rb") as file:
        packed = file.read(2) == MEMBER[:2]
        stream = Gzip(file) if packed else Plain(file)
        if not stream.size:
            yield Damage(0, "the file is empty")
        while True:
            position = -1
            try:
                if not _front(stream):
                    return
                position = stream.position
                offset = stream.place()[0]
                yield _record(stream, limit)
            except ShortError as broken:
                yield Damage(offset, str(broken))
            except BrokenError as broken:
                yield Damage(offset, str(broken))
                try:
                    stream.back(position)
                    if not _found(stream):
                        return
                except PackError:  # of the same stretch, which is told already
                    if not stream.next_member():
                        return
            except PackError as broken:
                yield Damage(offset if position >= 0 else stream.start, str(broken))
                if not stream.next_member():
                    return


def _front(stream: Plain) -> bool:
    """Past the ends of lines between records; False at the end of the file."""
    while True:
        blank = len(stream.buffer) - len(stream.buffer.lstrip(b"\r\n"))
        stream.drop(blank)
        if stream.buffer:
            return True
        if not stream.more():
            return False


def _record(stream: Plain, limit: int) -> Record:
    offset, within = stream.place()
    while not (end := BLANK.search(stream.buffer)) and len(stream.buffer) < LONGEST_HEADER and stream.more():
        pass
    if not stream.buffer.startswith(MAGIC):
        raise BrokenError("no WARC record begins here")
    if end is None:
        raise BrokenError("the record's header has no end")
    headers = fields(bytes(stream.buffer[: end.start()]))
    try:
        length = int(headers["content-length"])
        assert length >= 0
    except (KeyError, ValueError, AssertionError):
        raise BrokenError(f"the record's Content-Length is {headers.get('content-length', 'not there')!r:.60}") from None
    start, block = end.end(), None
    if length > limit:
        stream.skip(start + length)
        stop = 0
    else:
        stop = start + length
        while len(stream.buffer) < stop + len(MAGIC) and stream.edge(stop) is None:
            if (len(stream.buffer) >= stop and stream.border(stop) is not None) or not stream.more():
                break
        if (at := stream.edge(stop)) is not None:
            stream.drop(at)
            raise ShortError("the record ends before its Content-Length")
        if len(stream.buffer) < stop:
            raise BrokenError("the file ends within the record")
        block = bytes(stream.buffer[start:stop])
    _followed(stream, stop)
    stream.drop(stop)
    return Record(offset, within, headers, block)


def _followed(stream: Plain, stop: int) -> None:
    """BrokenError: behind the record is neither another nor the end. PackError: its gzip member's checksum is wrong."""
    while True:
        end = stream.border(stop)
        rest = bytes(stream.buffer[stop : stop + 64 if end is None else min(end, stop + 64)]).lstrip(b"\r\n")
        if end is not None or len(rest) >= len(MAGIC) or len(stream.buffer) >= stop + 64 or not stream.more():
            break
    if not rest.startswith(MAGIC) and not MAGIC.startswith(rest):
        raise BrokenError("the record goes on after its Content-Length")


def _found(stream: Plain) -> bool:
    """To the next beginning of a record behind the front; False: there is none."""
    while True:
        found = RECORD.search(stream.buffer, 1)
        places = [found.end() if found else None, stream.edge(len(stream.buffer) - len(MAGIC))]
        if at := min((place for place in places if place is not None), default=0):
            stream.drop(at)
            return True
        stream.drop(max(len(stream.buffer) - 256, 0))
        stream.place()
        if not stream.more():
            return False


def fields(header: bytes) -> dict[str, str]:
    """`Name: value` lines after the first line, names in lower case; a line that begins with a space goes on with the one before."""
    found: dict[str, str] = {}
    name = ""
    for line in re.split(r"\r?\n", header.decode("utf-8", "replace"))[1:]:
        if line[:1] in (" ", "\t") and name:
            found[name] += " " + line.strip()
        else:
            name, colon, value = line.partition(":")
            name = name.strip().lower()
            if colon:
                found[name] = value.strip()
            else:
                name = ""
    return found
