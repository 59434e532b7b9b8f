"""Programs and tests: honest ones pass as they do in plain Python, and no trick does."""

from __future__ import annotations

import pytest

from modelwright_plugins.sandbox import Limits, NoSandbox, wrapping
from modelwright_plugins.sandbox.examined import Cases, Verdict, examined, examined_all, read

try:
    wrapping()
except NoSandbox as error:
    pytest.skip(str(error), allow_module_level=True)

LIMITS = Limits(seconds=30)
SQUARES = "assert f(2) == 4\nassert f(3) == 9\nassert f(0) == 0"
STACK = """
from collections import Counter, namedtuple
import math
Point = namedtuple("Point", "x y")
class Stack:
    size = 0
    def __init__(self): self.held = []
    def push(self, x): self.held.append(x); self.size += 1; return self
    def pop(self): return self.held.pop()
    def __len__(self): return len(self.held)
    def __getitem__(self, i): return self.held[i]
def point(): return Point(1, 2.5)
def counts(text): return Counter(text)
def sort(x): x.sort()
def add(d): d["a"] = {1, 2}
def each(g, xs): return [g(x) for x in xs]
def numbers(n): yield from range(n)
def big(): return 2 ** 20000
def odd(): return [None, True, b"a", float("inf"), 1j, frozenset({1}), bytearray(b"b"), {(1, "ä"): "\\ud800"}]
def wrong(): raise KeyError("no")
def area(r): return math.pi * r * r
LIMIT = 7
"""
HONEST = """
s = Stack()
assert s.push(3) is s and len(s) == 1 and s[0] == 3 and s.size == 1
assert s.pop() == 3
def fails(f, kind):
    try:
        f()
    except kind:
        return True
    return False
assert fails(s.pop, IndexError) and fails(wrong, KeyError) and not fails(point, KeyError)
assert point() == (1, 2.5)
assert counts("aab") == {"a": 2, "b": 1}
x = [3, 1]
sort(x)
assert x == [1, 3]
d = {}
add(d)
assert d == {"a": {1, 2}}
assert each(lambda v: v + 1, [1, 2]) == [2, 3]
assert list(numbers(3)) == [0, 1, 2]
assert big() == 2 ** 20000
assert odd() == [None, True, b"a", float("inf"), 1j, frozenset({1}), bytearray(b"b"), {(1, "ä"): "\\ud800"}]
assert abs(area(2) - 4 * math.pi) < 1e-12
assert LIMIT == 7
"""


def test_what_holds_in_plain_python_holds_here():
    plain: dict = {}
    exec(STACK + HONEST, plain)
    count = HONEST.count("\nassert ")
    assert examined(STACK, HONEST, limits=LIMITS) == Verdict(count, count, None)


WIRE = """
import os
for fd in range(3, 60):
    try:
        os.write(fd, b"passed\\npassed\\npassed\\n")
    except OSError:
        pass
def f(x): return 5
"""
FRAMES = """
import sys
def f(x):
    frame = sys._getframe()
    while frame:
        for value in [*frame.f_globals.values(), *frame.f_locals.values()]:
            if x == 3 and value == 9:
                return value
        frame = frame.f_back
    return 5
"""
TRICKS = {
    "sys.exit": "import sys\nsys.exit(0)",
    "os._exit": "import os\nos._exit(0)",
    "exit in a call": "import os\ndef f(x): os._exit(0)",
    "SystemExit in a call": "def f(x): raise SystemExit(0)",
    "equal to everything": "class A(int):\n    def __eq__(self, other): return True\n    __hash__ = None\ndef f(x): return A(5)",
    "an object equal to everything": "class A:\n    def __eq__(self, other): return True\ndef f(x): return A()",
    "AssertionError": "import builtins\nbuiltins.AssertionError = type(None)\ndef f(x): return 5",
    "the verdict": "print('of 3')\nprint('passed\\n' * 3)\ndef f(x):\n    print('passed\\n' * 3)\n    return 5",
    "the wire": WIRE,
    "frames": FRAMES,
    "garbage": "import gc\ndef f(x): return next((o for o in gc.get_objects() if isinstance(o, str) and 'assert' in o and 'f(2)' in o), 5)",
    "the parent": "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\ndef f(x): return 5",
    "files": "def f(x): return open('tests.py').read()",
    "built-in names": "def all(x): return True\ndef f(x): return 5",
    "fork": "import os\nif os.fork(): os._exit(0)\ndef f(x): return 5",
    "lies of the wire": "import sys\nw = sys.modules['__main__'].wire\nw.packed = lambda x: ['r', {}]\ndef f(x): return 5",
    "too much": "def f(x): return 'x' * 20_000_000",
    "too deep": "x = []\nfor i in range(100000): x = [x]\ndef f(n): return x",
    "syntax": "def f(x) return 5",
    "nothing": "",
}  # fmt: skip


@pytest.mark.slow
def test_no_trick_passes():
    found = examined_all([(code, SQUARES) for code in TRICKS.values()], limits=LIMITS)
    for name, verdict in zip(TRICKS, found, strict=True):
        assert verdict.passed == 0 and verdict.of in (1, 3) and verdict.why, (name, verdict)


def test_a_part_of_the_tests():
    verdict = examined("def f(x): return 4 if x == 2 else x * x if x else 1 / x", SQUARES, limits=LIMITS)
    assert verdict == Verdict(2, 3, "ZeroDivisionError: division by zero")
    verdict = examined("def f(x):\n    while x == 3: pass\n    return x * x", SQUARES, limits=Limits(seconds=3))
    assert verdict == Verdict(1, 3, "timeout")
    functions = "def test_a():\n    assert f(1) == 1\ndef test_b():\n    assert f(1) == 2\ndef other(): pass"
    assert (examined("def f(x): return x", functions, limits=LIMITS)).passed == 1
    check = "def check(candidate):\n    for x in range(3):\n        assert candidate(x) == x\ncheck(f)"
    assert examined("def f(x): return x", check, limits=LIMITS) == Verdict(1, 1, None)
    assert examined("def f(x): return 0", check, limits=LIMITS).passed == 0
    assert examined("def f(x): return x", "if f(1) != 1:\n    raise ValueError", limits=LIMITS) == Verdict(1, 1, None)


CASE = (
    "import unittest\nclass T(unittest.TestCase):\n    def setUp(self): self.x = 1\n    def test_a(self): self.assertEqual(f(self.x), 1)\n"
)
DEFINED = {  # tests that define, and what is right of 1, and how many they are
    CASE: 1,
    CASE + "    def test_b(self): self.assertEqual(f(2), 2)\nif __name__ == '__main__':\n    unittest.main()": 2,
    "def check(c): return c(1) == 1\ncheck(f)": 1,
    "def test_a(): return f(1) == 1": 1,
    "def check(c):\n    assert c(1) == 1\nassert True\ncheck(f)": 2,
    "import math\nassert True\nx = 1 // (f(1) == 1)": 1,  # what breaks after the last assert is no pass
    "assert math.isclose(f(1), 1.0)": 1,  # though the program has a math of its own
}
OWN = "class M:\n    isclose = lambda self, *words, **named: True\nmath = M()\n"


def test_tests_that_define_things_are_run():
    found = examined_all(
        [(OWN + program, tests) for tests in DEFINED for program in ("def f(x): return x", "def f(x): return 99")], limits=LIMITS
    )
    for (tests, of), right, wrong in zip(DEFINED.items(), found[::2], found[1::2], strict=True):
        assert right == Verdict(of, of, None), (tests, right)
        assert wrong.passed < wrong.of == of, (tests, wrong)


def test_a_function_called_like_a_module_is_the_programs():
    program = "def bisect(x): return x\nclass Q:\n    def pushed(self): return 1\nqueue = Q()"
    assert examined(program, "assert bisect(3) == 3 and queue.pushed() == 1", limits=LIMITS) == Verdict(1, 1, None)


def test_inputs_and_outputs():
    tests = '{"inputs": ["1 2\\n", "3 4"], "outputs": ["3", "7\\n\\n"]}'
    assert read(tests) == Cases(("1 2\n", "3 4"), ("3", "7\n\n"))
    assert examined("print(sum(map(int, input().split())), ' ')", tests, limits=LIMITS) == Verdict(2, 2, None)
    assert examined("print(3)", tests, limits=LIMITS) == Verdict(1, 2, "it wrote '3\\n'")
    assert examined("print(3)\nraise SystemExit(1)", tests, limits=LIMITS).why == "failed: "


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        ("assert (", "neither Python nor"),
        ("", "run nothing"),
        ("'only a text'", "run nothing"),
        ("CASES = [(1, 1)]", "run nothing"),
        (
            "METADATA = {}\ndef check(candidate):\n    assert candidate(1) == 1",
            r"run nothing: they define check\(…\) and do not call it; add",
        ),
        ("def check(c):\n    assert c(1)\nif __name__ == '__main__':\n    check(f)", "run nothing"),
        ("class Test:\n    def test_a(self):\n        assert f(1) == 1", "run nothing"),
        ("async def test_a():\n    assert f(1) == 1", "test_a is async"),
        ("def test_a():\n    yield\n    assert f(1) == 1", "test_a is async or a generator"),
        ("from unittest import TestCase\nclass A(TestCase):\n    async def test_a(self):\n        assert f(1)", "test_a is async"),
        ("def test_a(fixture):\n    assert f(1) == 1", "test_a wants arguments"),
        ("print(f(1) == 1)", "hold whatever is computed"),
        ('{"inputs": ["1"], "outputs": []}', "not lists of as many strings"),
        ('{"inputs": [1], "outputs": ["1"]}', "not lists of as many strings"),
        ('{"inputs": [], "outputs": []}', "have no inputs"),
        ("\x00", "neither Python nor"),
    ],
)
def test_tests_that_are_none(tests, said):
    with pytest.raises(ValueError, match=said):
        read(tests)
