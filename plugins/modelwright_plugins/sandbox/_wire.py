"""Plain data between two programs that don't trust each other: what is read can be nothing but plain data.

Its text is put before that of `_worker.py` and of `_tester.py`: it runs inside the sandbox, with the standard library only.
"""

import json
import os

MOST = 1 << 24  # bytes of one message


class Wire:
    """Messages over two descriptors. `given` makes [mark, data] of an object that is not plain, and `taken` an object of those."""

    def __init__(self, channel, given, taken):
        self.reads, self.writes = os.fdopen(int(channel[0]), "rb"), os.fdopen(int(channel[1]), "wb")
        self.given, self.taken = given, taken

    def send(self, **message):
        self.writes.write(json.dumps(message).encode() + b"\n")
        self.writes.flush()

    def receive(self):
        line = self.reads.readline(MOST)
        if not line.endswith(b"\n"):
            raise EOFError("the program has ended" if len(line) < MOST else "the program sent too much")
        return json.loads(line)

    def packed(self, x):
        """Subclasses of plain types (named tuples, counters, enumerations of numbers) become the plain type."""
        if x is None or isinstance(x, bool):
            return x
        for kind, mark, inner in (
            (int, "i", lambda: hex(int.__index__(x))),
            (float, "f", lambda: float.hex(x)),
            (complex, "j", lambda: [x.real.hex(), x.imag.hex()]),
            (str, "s", lambda: str.__str__(x)),
            (bytes, "b", lambda: bytes(x).hex()),
            (bytearray, "B", lambda: bytes(x).hex()),
            (list, "l", lambda: [self.packed(each) for each in list.__iter__(x)]),
            (tuple, "t", lambda: [self.packed(each) for each in tuple.__iter__(x)]),
            (set, "S", lambda: [self.packed(each) for each in set.__iter__(x)]),
            (frozenset, "F", lambda: [self.packed(each) for each in frozenset.__iter__(x)]),
            (dict, "d", lambda: [[self.packed(key), self.packed(dict.__getitem__(x, key))] for key in dict.__iter__(x)]),
        ):
            if isinstance(x, kind):
                return [mark, inner()]
        return self.given(x)

    def unpacked(self, found):
        if found is None or isinstance(found, bool):
            return found
        mark, x = found
        for marked, made in (
            ("i", lambda: int(x, 16)),
            ("f", lambda: float.fromhex(x)),
            ("j", lambda: complex(*map(float.fromhex, x))),
            ("s", lambda: str(x)),
            ("b", lambda: bytes.fromhex(x)),
            ("B", lambda: bytearray.fromhex(x)),
            ("l", lambda: [self.unpacked(each) for each in x]),
            ("t", lambda: tuple(self.unpacked(each) for each in x)),
            ("S", lambda: {self.unpacked(each) for each in x}),
            ("F", lambda: frozenset(self.unpacked(each) for each in x)),
            ("d", lambda: {self.unpacked(key): self.unpacked(each) for key, each in x}),
        ):
            if mark == marked:
                return made()
        return self.taken(mark, x)
