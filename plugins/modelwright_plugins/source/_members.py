"""The bytes of a WARC file, plain or of gzip members, from the next record on: they stay until the record is known to be whole."""

from __future__ import annotations

import zlib
from collections import deque
from typing import BinaryIO

CHUNK = 1 << 16  # bytes read at once
MAGIC, MEMBER = b"WARC/", b"\x1f\x8b\x08"  # what a record begins with, and a gzip member


class BrokenError(Exception):
    """The record that begins at the front is broken; the next may stand in what was read already."""


class ShortError(BrokenError):
    """The record is broken, and the next is at the front."""


class PackError(Exception):
    """The gzip member can't be unpacked: the next record is the next member's."""


class Plain:
    """The bytes of a file from the next record on. The end of a record is looked at before it is taken away."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.buffer, self.position = file, bytearray(), 0  # position: of the buffer, in the stream of unpacked bytes
        self.start = 0  # of the gzip member that is being unpacked, in the file
        self.size = file.seek(0, 2)
        file.seek(0)

    def more(self) -> bool:
        """Reads a bit; False at the end. PackError: it can't be unpacked."""
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

    def border(self, stop: int) -> int | None:
        """Where in the buffer, from this index on, a gzip member ends, so that its checksum is right; None: that is not read yet."""
        return None

    def skip(self, count: int) -> None:
        """Past so many bytes. BrokenError: the stream ends before."""
        if self.position + count > self.size:
            raise BrokenError("the file ends within the record")
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


class Gzip(Plain):
    """The same of gzip members, of which each may hold a record, several, or a part of one."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.raw, self.at = b"", 0  # packed bytes that wait; where they are in the file
        self.unpack: zlib._Decompress | None = None
        self.members: deque[tuple[int, int]] = deque()  # positions of members in the stream, and in the file
        self.fresh: list[int] = []  # positions of members of which too little is unpacked to see whether they begin with a record
        self.heads: deque[int] = deque()  # positions of those that do

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
                self.fresh.append(self.position + len(self.buffer))
            elif not self.raw:
                raise PackError("the file ends within a gzip member")
            try:
                data = self.unpack.decompress(self.raw, CHUNK * 4)
            except zlib.error as error:
                raise PackError(f"a damaged gzip member: {str(error).rpartition(': ')[2]}") from error
            rest = self.unpack.unused_data if self.unpack.eof else self.unpack.unconsumed_tail
            self.at, self.raw = self.at + len(self.raw) - len(rest), rest
            if self.unpack.eof:
                self.unpack = None
            if data:
                self.buffer += data
                self._judge()
                return True

    def _judge(self) -> None:
        while self.fresh and (at := self.fresh[0] - self.position) + len(MAGIC) <= len(self.buffer):
            if self.buffer[at : at + len(MAGIC)] == MAGIC:
                self.heads.append(self.fresh[0])
            del self.fresh[0]

    def place(self) -> tuple[int, int]:
        while len(self.members) > 1 and self.members[1][0] <= self.position:
            self.members.popleft()
        position, offset = self.members[0]
        return offset, self.position - position

    def edge(self, before: int) -> int | None:
        while self.heads and self.heads[0] <= self.position:
            self.heads.popleft()
        at = self.heads[0] - self.position if self.heads else before
        return at if at < before else None

    def border(self, stop: int) -> int | None:
        found = len(self.buffer) if self.unpack is None else None
        for position, _ in reversed(self.members):
            if position - self.position < stop:
                break
            found = position - self.position
        return found

    def skip(self, count: int) -> None:
        while True:
            if (at := self.edge(min(count, len(self.buffer)))) is not None:
                self.drop(at)
                raise ShortError("the record ends before its Content-Length")
            if count <= len(self.buffer):
                break
            keep = len(MAGIC)  # a member's first bytes may come in two parts
            ready = max(len(self.buffer) - keep, 0)
            self.drop(ready)
            count -= ready
            self.place()
            if not self.more():
                raise BrokenError("the file ends within the record")
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
                    self.heads.clear()
                    self.fresh.clear()
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
