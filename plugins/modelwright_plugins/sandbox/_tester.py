"""Inside a sandbox of its own, after `_wire.py` and `_tests.py`: runs the tests, and asks the program, in the other sandbox, for what
it computes.

Writes a line for each test that holds. Only names that the tests don't define are the program's, and never a built-in one.
"""

import ast
import builtins
import importlib
import sys
from collections.abc import Callable
from typing import Any

from modelwright_plugins.sandbox._tests import cases, functions, modules, own_call, statements  # inside, their texts stand here
from modelwright_plugins.sandbox._wire import Wire

THINGS: dict[int, Any] = {}  # the program's objects, by their number there
CALLBACKS: list[Callable[..., Any]] = []  # functions of the tests that the program may call


class Remote:
    """An object of the program that is no plain data. It is equal to nothing but itself, whatever its own class says."""

    def __init__(self, number):
        object.__setattr__(self, "_number", number)

    def __call__(self, *words, **named):
        return asked("call", self, words, named)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return asked("get", self, (name,))

    def __setattr__(self, name, value):
        asked("set", self, (name, value))

    def __getitem__(self, key):
        return asked("item", self, (key,))

    def __setitem__(self, key, value):
        asked("put", self, (key, value))

    def __contains__(self, value):
        return asked("in", self, (value,)) is True

    def __len__(self):
        return asked("len", self)

    def __iter__(self):
        return asked("iter", self)

    def __next__(self):
        return asked("next", self)

    def __bool__(self):
        return asked("bool", self) is True

    def __str__(self):
        return asked("str", self)

    def __repr__(self):
        return asked("repr", self)


def given(x):
    if isinstance(x, Remote):
        return ["r", object.__getattribute__(x, "_number")]
    if callable(x):
        CALLBACKS.append(x)
        return ["c", len(CALLBACKS) - 1]
    raise TypeError(f"a test gives the program a {type(x).__name__}; plain data and functions can be given")


def taken(mark, x):
    if mark == "r" and isinstance(x, int):
        return THINGS.setdefault(x, Remote(x))
    raise ValueError("the program sent what is no data")


def asked(op, on, words=(), named=None):
    packed = {name: wire.packed(each) for name, each in (named or {}).items()}
    wire.send(op=op, on=object.__getattribute__(on, "_number"), words=[wire.packed(each) for each in words], named=packed)
    while "callback" in (answer := wire.receive()):
        value = CALLBACKS[answer["callback"]](*(wire.unpacked(each) for each in answer["words"]))
        wire.send(value=wire.packed(value))
    if "raised" in answer:
        raise raised(answer["raised"], str(answer["text"]))
    for mine, theirs in zip(words, answer["words"], strict=True):
        changed(mine, wire.unpacked(theirs))
    return wire.unpacked(answer["value"])


def raised(names, text):
    for name in names:
        cls = getattr(builtins, name, None)
        if isinstance(cls, type) and issubclass(cls, Exception):
            try:
                return cls(text)
            except TypeError:
                continue
    return RuntimeError(f"the program ended itself: {text}")


def changed(mine, theirs):
    """What the program does to a list, a set or a mapping that it is given is seen by the test that gave it."""
    if type(mine) is not type(theirs) or not isinstance(mine, list | dict | set | bytearray):
        return
    if isinstance(mine, list | bytearray):
        mine[:] = theirs
    else:
        mine.clear()
        mine.update(theirs)


def said(word, text=""):
    out.write(f"{word} {' '.join(str(text).split())[:200]}\n")
    out.flush()


def names_of_the_program(found):
    names = {}
    for name, packed in found.items():
        if hasattr(builtins, name):
            continue
        if isinstance(packed, list) and packed[0] == "m":
            if packed[1] == name and name in sys.stdlib_module_names:
                names[name] = importlib.import_module(name)  # our own, not the program's
        else:
            names[name] = wire.unpacked(packed)
    return names


def held(run):
    """Whether this returns, and something else than False."""
    try:
        if run() is False:
            raise AssertionError("it returned False")
    except BaseException as error:  # also SystemExit, of a test
        said("why", f"{type(error).__name__}: {error}")
        return False
    return True


def executed(node, names, a_call):
    """A statement of the tests; what it returns, where it is a call of theirs."""
    if a_call:
        return eval(compile(ast.Expression(node.value), "tests.py", "eval"), names)
    return exec(compile(ast.Module([node], []), "tests.py", "exec"), names)


def run_case(names, case, test):
    import unittest

    unittest.TestSuite([names[case](test)]).debug()  # with the class's own setting up; what is wrong is raised


def main():
    with open("tests.py") as file:  # noqa: PTH123
        tree = ast.parse(file.read())
    body, tests = tree.body, statements(tree.body)
    later = [(node.name, None) for node in functions(body)] + [
        (node.name, test.name) for node in cases(body) for test in functions(node.body)
    ]
    whole = not tests and not later
    said("of", len(tests) + len(later) + whole)
    hello = wire.receive()
    if "failed" in hello:
        return said("why", hello["failed"])
    names = {"__name__": "tests", "__builtins__": builtins, **names_of_the_program(hello["names"]), **modules(tree)}
    for node in body:
        if held(lambda node=node: executed(node, names, own_call(node, body))):
            if node in tests:
                said("passed")
        elif node not in tests:
            return said("broken")  # what stands behind it was never run
    for name, test in later:
        if held(lambda name=name, test=test: run_case(names, name, test) if test else names[name]()):
            said("passed")
    return said("passed") if whole else None


if __name__ == "__main__":
    out = sys.stdout
    sys.stdout = open("/dev/null", "w")  # noqa: PTH123, SIM115 - of the tests' own prints
    wire = Wire(sys.argv[1:], given, taken)
    held(main)
