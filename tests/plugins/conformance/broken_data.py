"""Components of data that break one promise each. Each class is registered by `breaks` with what is said of it."""

from __future__ import annotations

import itertools
import json
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from broken_table import breaks

from modelwright.component import Component
from modelwright.errors import ModelwrightError
from modelwright_plugins.conformance.examples.deduper.deduper import SameLetters
from modelwright_plugins.conformance.examples.executor.executor import InProcess
from modelwright_plugins.conformance.examples.filter.filter import DistinctWords
from modelwright_plugins.conformance.examples.source.source import Table
from modelwright_plugins.conformance.examples.tokenizer.tokenizer import Bytes
from modelwright_plugins.source import BadRecord, SourceFile

COUNT = itertools.count()

# ---- any component


@breaks("component", "has no @dataclass of its own")
class Undecorated(Component):
    """It is no dataclass."""


@breaks("component", "parameters ['x'] are not keyword-only")
@dataclass(frozen=True)
class Positional(Component):
    """Its parameter has a place."""

    x: int = 1  # a number


@breaks("component", "it has no docstring")
@dataclass(frozen=True, kw_only=True)
class Silent(Component):
    x: int = 1  # a number


@breaks("component", "it has 140 characters")
@dataclass(frozen=True, kw_only=True)
class Talkative(Component):
    x: int = 1  # a number


Talkative.__doc__ = "x" * 140


@breaks("component", "there is none beside y")
@dataclass(frozen=True, kw_only=True)
class Unexplained(Component):
    """A parameter is not documented."""

    x: int = 1  # a number
    y: int = 2


@breaks("component", "survive being written to a config")
@dataclass(frozen=True, kw_only=True)
class Doubling(Component):
    """Doubles its parameter each time."""

    x: int = 1  # a number

    def __post_init__(self) -> None:
        object.__setattr__(self, "x", 2 * self.x)


@breaks("component", "equal configs give equal components")
@dataclass(frozen=True, kw_only=True)
class Overlooking(Component):
    """A parameter does not count."""

    x: int = field(default=1, compare=False)  # a number


@breaks("component", "it can be pickled")
@dataclass(frozen=True, kw_only=True)
class Unpicklable(Component):
    """Won't be pickled."""

    def __reduce__(self) -> Any:
        raise pickle.PicklingError("no")


@breaks("component", "is a string, the same twice")
@dataclass(frozen=True, kw_only=True)
class Restless(Component):
    """Reads something else each time."""

    def fingerprint(self) -> str:
        return str(next(COUNT))


@breaks("component", "it is None")
@dataclass(frozen=True, kw_only=True)
class Unprinted(Component):
    """Has no fingerprint."""

    def fingerprint(self) -> Any:
        return None


@breaks("component", "words are paths, and it has no fingerprint of its own")
@dataclass(frozen=True, kw_only=True)
class Unwatched(Component):
    """Reads a file that may have changed since the last run."""

    words: Path | None = None  # a list of words


# ---- sources


class Broken(Table):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder=folder)


@breaks("source", "there is no file")
class Nothing(Broken):
    def files(self) -> list[SourceFile]:
        return []


@breaks("source", "in another order")
class Shuffled(Broken):
    def files(self) -> list[SourceFile]:
        found = super().files()
        return found[::-1] if next(COUNT) % 2 else found


@breaks("source", "two files have one name")
class Namesakes(Broken):
    def files(self) -> list[SourceFile]:
        return [replace(file, name="same") for file in super().files()]


@breaks("source", "does not exist")
class Ghost(Broken):
    def files(self) -> list[SourceFile]:
        return [replace(file, path=file.path / "gone") for file in super().files()]


class Editing(Broken):
    def edit(self, document: Any, number: int) -> None: ...

    def read(self, file: SourceFile) -> Iterator[Any]:
        for number, item in enumerate(super().read(file)):
            if not isinstance(item, BadRecord):
                self.edit(item, number)
            yield item


@breaks("source", 'metadata["group"] is None')
class Groupless(Editing):
    def edit(self, document: Any, number: int) -> None:
        del document.metadata["group"]


@breaks("source", "has no text")
class Textless(Editing):
    def edit(self, document: Any, number: int) -> None:
        document.text = " "


@breaks("source", "is not a string")
class Numbered(Editing):
    def edit(self, document: Any, number: int) -> None:
        document.id = number


@breaks("source", "metadata that JSON can hold")
class Unjson(Editing):
    def edit(self, document: Any, number: int) -> None:
        document.metadata["path"] = Path()


@breaks("source", "two documents have the id")
class Twins(Editing):
    def edit(self, document: Any, number: int) -> None:
        document.id = "same"


@breaks("source", "the second time there were others")
class Forgetful(Editing):
    def edit(self, document: Any, number: int) -> None:
        document.text += str(next(COUNT))


@breaks("source", "after pickle there were others")
class Tired(Editing):
    def edit(self, document: Any, number: int) -> None:
        document.text += getattr(self, "said", "")

    def __setstate__(self, state: Any) -> None:
        object.__setattr__(self, "__dict__", {**state, "said": "!"})


@breaks("source", "nothing was said of it")
class Forgiving(Broken):
    def read(self, file: SourceFile) -> Iterator[Any]:
        if file.path.exists():
            yield from super().read(file)


@breaks("source", "bytes that are no text: KeyError")
class Fragile(Broken):
    def read(self, file: SourceFile) -> Iterator[Any]:
        try:
            yield from super().read(file)
        except UnicodeDecodeError:
            raise KeyError("text") from None


# ---- filters


class Edited(DistinctWords):
    def build(self) -> Any:
        from broken_datatrove import Changed

        return Changed(type(self).__name__)


FILTERS = {
    "Crash": "copes with any text: empty",
    "LongReason": "reasons are short strings",
    "ManyReasons": "gave",
    "Renames": "a document is now called",
    "Regroups": "group 'other'",
    "Dice": "built again",
    "Seen": "with the texts in another order",
    "Lambda": "can be pickled",
    "Hash": "in another process",
}
for name, said in FILTERS.items():
    globals()[name] = breaks("filter", said)(type(name, (Edited,), {"__module__": __name__}))


# ---- dedupers


@breaks("deduper", "its type is int64")
class Signed(SameLetters):
    def sign(self, texts: Any) -> Any:
        return super().sign(texts).astype("i8")


@breaks("deduper", "of no texts its shape is")
class Empty(SameLetters):
    def sign(self, texts: Any) -> Any:
        return super().sign(texts) if texts else super().sign(["", ""])


@breaks("deduper", "signed one by one")
class Together(SameLetters):
    def sign(self, texts: Any) -> Any:
        return super().sign([f"{len(texts)}{text}" for text in texts])


@breaks("deduper", "there it has another")
class Hashed(SameLetters):
    def sign(self, texts: Any) -> Any:
        return super().sign([str(hash(text)) for text in texts])


@breaks("deduper", "it is float64")
class Floating(SameLetters):
    def first(self, signatures: Any) -> Any:
        return super().first(signatures).astype(float)


@breaks("deduper", "a later document stands for an earlier one")
class Last(SameLetters):
    def first(self, signatures: Any) -> Any:
        return len(signatures) - 1 - super().first(signatures[::-1])[::-1]


@breaks("deduper", "is a copy of")
class Lenient(SameLetters):
    def first(self, signatures: Any) -> Any:
        import numpy as np

        return np.arange(len(signatures), dtype=np.int64)


@breaks("deduper", "has nothing in common")
class Eager(SameLetters):
    def sign(self, texts: Any) -> Any:
        return super().sign([text[:1] for text in texts])


@breaks("deduper", "no documents at all are no error")
class Some(SameLetters):
    def first(self, signatures: Any) -> Any:
        assert len(signatures)
        return super().first(signatures)


@breaks("deduper", "they are [")
class Overlapping(SameLetters):
    def spans(self, text: str) -> Any:
        import numpy as np

        return np.array([[0, len(text)], [0, len(text)]], dtype=np.int64)


@breaks("deduper", "isn't empty")
class Whole(SameLetters):
    def cut(self, text: str, stays: Any) -> str:
        return text


@breaks("deduper", "it is ''")
class Reasonless(SameLetters):
    reason = ""


# ---- executors


@breaks("executor", "were written, not")
class Lazy(InProcess):
    def run(self, steps: Any, *, tasks: int, **how: Any) -> None:
        super().run(steps, tasks=tasks - 1, **how)


@breaks("executor", "task 0 wrote")
class Twice(InProcess):
    def run(self, steps: Any, *, logs: Path, **how: Any) -> None:
        for _ in range(2):
            super().run(steps, logs=logs / f"run{next(COUNT)}", **how)


@breaks("executor", "tasks that an earlier call with the same logs has finished are not run again; task 0 wrote")
class Starting(InProcess):
    def run(self, steps: Any, *, logs: Path, **how: Any) -> None:
        super().run(steps, logs=logs / f"run{next(COUNT)}", **how)


@breaks("executor", "failed: ValueError: this is the first time")
class Discouraged(InProcess):
    def run(self, steps: Any, **how: Any) -> None:
        InProcess(retries=0).run(steps, **how)


@breaks("executor", "are not lines")
class Rambling(InProcess):
    def problems(self) -> list[str]:
        return ["one\ntwo"]


@breaks("executor", "task 1 wrote")
class Sharing(InProcess):
    def run(self, steps: Any, *, tasks: int, logs: Path, **how: Any) -> None:
        logs.mkdir()
        for rank in range(tasks):
            list(steps[1].run(steps[0].run(None, rank, tasks), rank, tasks))


@breaks("executor", "it printed")
class Loud(InProcess):
    def run(self, steps: Any, **how: Any) -> None:
        print("done")
        super().run(steps, **how)


@breaks("executor", "there is no file in logs")
class Logless(InProcess):
    def run(self, steps: Any, *, logs: Path, **how: Any) -> None:
        super().run(steps, logs=logs.with_name(f"elsewhere{next(COUNT)}"), **how)


@breaks("executor", "and nothing was said")
class Hushed(InProcess):
    def run(self, steps: Any, **how: Any) -> None:
        try:
            super().run(steps, **how)
        except ModelwrightError:
            return


@breaks("executor", "the error is: it failed")
class Vague(InProcess):
    def run(self, steps: Any, **how: Any) -> None:
        try:
            super().run(steps, **how)
        except ModelwrightError:
            raise ModelwrightError("it failed") from None


@breaks("executor", "task 0 ran 2 times")
class Again(InProcess):
    def run(self, steps: Any, **how: Any) -> None:
        try:
            super().run(steps, **how)
        except ModelwrightError as error:
            if "no good" in str(error):
                super().run(steps, **how | {"logs": how["logs"].with_name("more")})
            raise


@breaks("executor", "a progress bar over `total` bytes is no error")
class Barless(InProcess):
    def run(self, steps: Any, *, total: Any, **how: Any) -> None:
        assert total is None
        super().run(steps, total=total, **how)


@breaks("executor", "it is 0")
class Taskless(InProcess):
    tasks: Any = property(lambda self: 0, lambda self, value: None)

    def __init__(self) -> None:
        object.__setattr__(self, "locals", False)


# ---- tokenizers


@breaks("tokenizer", "and the encoder reads them")
class Unwritten(Bytes):
    def train(self, texts: Any, folder: Path) -> None: ...


@breaks("tokenizer", "the second time tokenizer_config.json are others")
class Dated(Bytes):
    def train(self, texts: Any, folder: Path) -> None:
        super().train(texts, folder)
        (file := folder / "tokenizer_config.json").write_text(file.read_text() + "\n" * next(COUNT))


@breaks("tokenizer", "there tokenizer_config.json are others")
class Seeded(Bytes):
    def train(self, texts: Any, folder: Path) -> None:
        super().train(texts, folder)
        (file := folder / "tokenizer_config.json").write_text(json.dumps({**json.loads(file.read_text()), "x": hash("a")}))


class Rewritten(Bytes):
    def edit(self, spec: Any) -> None: ...

    def train(self, texts: Any, folder: Path) -> None:
        super().train(texts, folder)
        (file := folder / "tokenizer.json").write_text(json.dumps(self.edit(spec := json.loads(file.read_text())) or spec))


@breaks("tokenizer", "text comes back as it was")
class Lossy(Rewritten):
    def edit(self, spec: Any) -> None:
        spec["normalizer"] = {"type": "Lowercase"}


@breaks("tokenizer", "eos_token is '<|endoftext|>', token 256")
class Last0(Rewritten):
    def edit(self, spec: Any) -> None:
        spec["model"]["vocab"] = {token: (256 - number) for token, number in spec["model"]["vocab"].items()}
        spec["added_tokens"][0]["id"] = 256


@breaks("tokenizer", "makes it")
class Letter(Bytes):
    def train(self, texts: Any, folder: Path) -> None:
        super().train(texts, folder)
        spec = json.loads((folder / "tokenizer.json").read_text())
        spec["model"]["vocab"] = {t: n - 1 for t, n in spec["model"]["vocab"].items() if n}
        spec["added_tokens"] = []
        (folder / "tokenizer.json").write_text(json.dumps(spec))
        first = next(t for t, n in spec["model"]["vocab"].items() if n == 0)
        (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": first}))


@breaks("tokenizer", "there are 257 tokens, and vocab_size=100")
class Bigger(Bytes):
    def __init__(self) -> None:
        object.__setattr__(self, "vocab_size", 100)


@dataclass(frozen=True, kw_only=True)
class Defaulting(Component):
    """Its default is no list."""

    x: list[int] = field(default_factory=lambda: (1, 2))  # type: ignore[assignment, return-value]  # numbers
