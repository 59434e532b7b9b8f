"""Records of WARC files (ISO 28500), plain or gzip, and how to go on after one that is broken.

warcio's iterator ends at the first damage; and one gzip member with many records, or one record over many members (bgzip), it doesn't read.
"""

from __future__ import annotations

import re
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

CHUNK, LONGEST_HEADER = 1 << 16, 1 << 16  # bytes
MAGIC, MEMBER = b"WARC/", b"\x1f\x8b\x08"  # what a record begins with, and a gzip member
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


class _BrokenError(Exception):
    """The record that begins at the front is broken; the next may stand in what was read already."""


class _ShortError(_BrokenError):
    """The record is broken, and the next is at the front."""


class _PackError(Exception):
    """The gzip member can't be unpacked: the next record is the next member's."""


class _Plain:
    """The bytes of a file from the next record on. The end of a record is looked at before it is taken away."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.buffer, self.position = file, bytearray(), 0  # position: of the buffer, in the stream of unpacked bytes
        self.start = 0  # of the gzip member that is being unpacked, in the file
        self.size = file.seek(0, 2)
        file.seek(0)

    def more(self) -> bool:
        """Reads a bit; False at the end. _PackError: it can't be unpacked."""
        data = self.file.read(CHUNK)
        self.buffer += data
        return bool(data)

    def drop(self, count: int) -> None:
        del self.buffer[:count]
        self.position += count

    def place(self) -> tuple[int, int]:
        """Record.offset and Record.within of what is at the front."""
        return self.position, 0

    def edge(self, before: int) -> int | None:
        """Where in the buffer, before this index, another member begins with a record."""
        return None

    def checked(self, stop: int) -> bool:
        """Whether the gzip members that what is before this index came from are unpacked whole, so that their checksums are right."""
        return False

    def skip(self, count: int) -> None:
        """Past so many bytes. _BrokenError: the stream ends before."""
        if self.position + count > self.size:
            raise _BrokenError("the file ends within the record")
        rest = count - len(self.buffer)
        if rest > 0:
            self.file.seek(rest, 1)
        del self.buffer[:count]
        self.position += count

    def back(self, position: int) -> None:
        """To where a record began, to look for the next behind it."""
        if position != self.position:
            self.position = position
            self.buffer.clear()
            self.file.seek(position)

    def next_member(self) -> bool:
        raise AssertionError("a plain file has no members")


class _Gzip(_Plain):
    """The same of gzip members, of which each may hold a record, several, or a part of one."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.raw, self.at = b"", 0  # packed bytes that wait; where they are in the file
        self.unpack: zlib._Decompress | None = None
        self.members: deque[tuple[int, int]] = deque()  # positions of members in the stream, and in the file

    def more(self) -> bool:
        while True:
            if not self.raw:
                self.raw = self.file.read(CHUNK)
            if self.unpack is None:
                while self.raw and not self.raw.strip(b"\0"):  # padding, as tape has it
                    self.at, self.raw = self.at + len(self.raw), self.file.read(CHUNK)
                if not self.raw:
                    return False
                self.start, self.unpack = self.at, zlib.decompressobj(31)
                self.members.append((self.position + len(self.buffer), self.at))
            elif not self.raw:
                raise _PackError("the file ends within a gzip member")
            try:
                data = self.unpack.decompress(self.raw, CHUNK * 4)
            except zlib.error as error:
                raise _PackError(f"a damaged gzip member: {str(error).rpartition(': ')[2]}") from error
            rest = self.unpack.unused_data if self.unpack.eof else self.unpack.unconsumed_tail
            self.at, self.raw = self.at + len(self.raw) - len(rest), rest
            if self.unpack.eof:
                self.unpack = None
            if data:
                self.buffer += data
                return True

    def place(self) -> tuple[int, int]:
        while len(self.members) > 1 and self.members[1][0] <= self.position:
            self.members.popleft()
        position, offset = self.members[0]
        return offset, self.position - position

    def edge(self, before: int) -> int | None:
        for position, _ in self.members:
            at = position - self.position
            if 0 < at < before and self.buffer[at : at + len(MAGIC)] == MAGIC:
                return at
        return None

    def checked(self, stop: int) -> bool:
        return self.unpack is None or self.members[-1][0] - self.position >= stop

    def skip(self, count: int) -> None:
        while count > len(self.buffer):
            if (at := self.edge(count)) is not None:
                self.drop(at)
                raise _ShortError("the record ends before its Content-Length")
            keep = len(MAGIC)  # a member's first bytes may come in two parts
            ready = max(len(self.buffer) - keep, 0)
            self.drop(ready)
            count -= ready
            self.place()
            if not self.more():
                raise _BrokenError("the file ends within the record")
        self.drop(count)

    def back(self, position: int) -> None:
        """What was unpacked and skipped is gone: the next record is looked for from here."""

    def next_member(self) -> bool:
        """To the next member behind this one's beginning that begins with a record; False: there is none."""
        self.file.seek(self.start + 1)
        at, tail = self.start + 1, b""
        while data := self.file.read(CHUNK):
            window, base, found = tail + data, at - len(tail), -1
            while (found := window.find(MEMBER, found + 1)) >= 0:
                if self._holds_record(base + found):
                    self.file.seek(base + found)
                    self.position += len(self.buffer)
                    self.buffer.clear()
                    self.members.clear()
                    self.raw, self.at, self.unpack = b"", base + found, None
                    return True
            at, tail = at + len(data), window[-2:]
            self.file.seek(at)
        return False

    def _holds_record(self, offset: int) -> bool:
        self.file.seek(offset)
        try:
            return zlib.decompressobj(31).decompress(self.file.read(512), len(MAGIC)) == MAGIC
        except zlib.error:
            return False


def records(path: Path, limit: int) -> Iterator[Record | Damage]:
    """The records of a file in order; blocks longer than `limit` bytes are passed over. Holds one record at a time.

    After damage the next record is the next that can be found: of gzip the next member that begins with one, of plain text the next
    line that reads like the beginning of one. OSError: the file can't be read."""
    with path.open("rb") as file:
        packed = file.read(2) == MEMBER[:2]
        stream = _Gzip(file) if packed else _Plain(file)
        if not stream.size:
            yield Damage(0, "the file is empty")
        while True:
            position = None
            try:
                if not _front(stream):
                    return
                position = stream.position
                offset = stream.place()[0]
                yield _record(stream, limit)
            except _ShortError as broken:
                yield Damage(offset, str(broken))
            except _BrokenError as broken:
                yield Damage(offset, str(broken))
                try:
                    stream.back(position)
                    if not _found(stream):
                        return
                except _PackError:  # of the same stretch, which is told already
                    if not stream.next_member():
                        return
            except _PackError as broken:
                yield Damage(offset if position is not None else stream.start, str(broken))
                if not stream.next_member():
                    return


def _front(stream: _Plain) -> bool:
    """Past the ends of lines between records; False at the end of the file."""
    while True:
        blank = len(stream.buffer) - len(stream.buffer.lstrip(b"\r\n"))
        stream.drop(blank)
        if stream.buffer:
            return True
        if not stream.more():
            return False


def _record(stream: _Plain, limit: int) -> Record:
    offset, within = stream.place()
    while not (end := BLANK.search(stream.buffer)) and len(stream.buffer) < LONGEST_HEADER and stream.more():
        pass
    if not stream.buffer.startswith(MAGIC):
        raise _BrokenError("no WARC record begins here")
    if end is None:
        raise _BrokenError("the record's header has no end")
    headers = fields(bytes(stream.buffer[: end.start()]))
    try:
        length = int(headers["content-length"])
        assert length >= 0
    except (KeyError, ValueError, AssertionError):
        raise _BrokenError(f"the record's Content-Length is {headers.get('content-length', 'not there')!r:.60}") from None
    start, block = end.end(), None
    if length > limit:
        stream.skip(start + length)
        stop = 0
    else:
        stop = start + length
        while len(stream.buffer) < stop + len(MAGIC) and stream.edge(stop) is None:
            if (len(stream.buffer) >= stop and stream.checked(stop)) or not stream.more():
                break
        if (at := stream.edge(stop)) is not None:
            stream.drop(at)
            raise _ShortError("the record ends before its Content-Length")
        if len(stream.buffer) < stop:
            raise _BrokenError("the file ends within the record")
        block = bytes(stream.buffer[start:stop])
    _followed(stream, stop)
    stream.drop(stop)
    return Record(offset, within, headers, block)


def _followed(stream: _Plain, stop: int) -> None:
    """_BrokenError: behind the record is neither another nor the end. _PackError: its gzip member's checksum is wrong."""
    while not stream.checked(stop):
        rest = bytes(stream.buffer[stop : stop + 64]).lstrip(b"\r\n")
        if len(rest) < len(MAGIC) and len(stream.buffer) < stop + 64 and stream.more():
            continue
        if not rest or rest.startswith(MAGIC):
            return
        raise _BrokenError("the record goes on after its Content-Length")


def _found(stream: _Plain) -> bool:
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
