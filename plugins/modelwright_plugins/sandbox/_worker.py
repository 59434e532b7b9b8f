"""Inside the sandbox, after `_wire.py`: holds the program that is tested, and calls what the tests ask for. It never sees a test.

What comes back over the wire are values; the program can say what it likes, and only what is right will be equal.
"""

import builtins
import os
import sys
from typing import Any

from modelwright_plugins.sandbox._wire import Wire  # inside, its text stands here

OBJECTS: dict[int, Any] = {}  # what the tests may ask about, by number


def shown(x):
    if isinstance(x, type(sys)):
        return ["m", x.__name__]
    OBJECTS[id(x)] = x  # kept, so that its number stays its own
    return ["r", id(x)]


def hidden(mark, x):
    return OBJECTS[x] if mark == "r" else (lambda *words: asked_back(x, words))


def asked_back(number, words):
    wire.send(callback=number, words=[wire.packed(each) for each in words])
    return wire.unpacked(wire.receive()["value"])


def act(op, on, words, named):
    if op == "call":
        return on(*words, **named)
    if op == "get":
        return getattr(on, *words)
    if op == "set":
        return setattr(on, *words)
    if op == "item":
        return on[words[0]]
    if op == "put":
        on[words[0]] = words[1]
        return None
    return {"len": len, "iter": iter, "next": next, "str": str, "repr": repr, "bool": bool, "in": lambda x, y: y in x}[op](on, *words)


def served(message):
    try:
        words = [wire.unpacked(each) for each in message["words"]]
        named = {name: wire.unpacked(each) for name, each in message["named"].items()}
        answer = {"value": wire.packed(act(message["op"], OBJECTS[message["on"]], words, named))}
        # what was given may have been changed
        return answer | {"words": [wire.packed(each) if isinstance(each, list | dict | set | bytearray) else None for each in words]}
    except BaseException as error:  # also SystemExit: a test is told that the call did not return
        return {"raised": [cls.__name__ for cls in type(error).__mro__ if getattr(builtins, cls.__name__, 0) is cls], "text": str(error)}


def main():
    nowhere = os.open("/dev/null", os.O_RDWR)
    for each in range(3):
        os.dup2(nowhere, each)
    names = {"__name__": "program", "__builtins__": builtins}
    try:
        with open("tested.py") as file:  # noqa: PTH123
            exec(compile(file.read(), "tested.py", "exec"), names)
    except BaseException as error:
        wire.send(failed=f"{type(error).__name__}: {error}"[:200])
        return
    wire.send(names={name: wire.packed(each) for name, each in names.items() if not name.startswith("__")})
    while True:
        try:
            message = wire.receive()
        except EOFError:
            return
        wire.send(**served(message))


if __name__ == "__main__":
    wire = Wire(sys.argv[1:], shown, hidden)
    main()
