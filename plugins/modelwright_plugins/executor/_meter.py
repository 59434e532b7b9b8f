"""The bytes of text that pass in all tasks, and the progress bar that follows them."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datatrove.pipeline.base import PipelineStep

from modelwright_plugins.progress import progress

if TYPE_CHECKING:
    from datatrove.data import Document


def size(text: str) -> int:
    """Bytes of UTF-8; Python knows at once that a text is ASCII."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


class Meter(PipelineStep):
    """Counts bytes of text that pass, for the progress bar: eight bytes in a file of each task, which the process that leads reads."""

    type, name = "METER", "bytes"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        count, last = 0, 0.0
        with (self.folder / f"{rank:05d}").open("wb", buffering=0) as out:
            for document in data or ():
                count += size(document.text)  # as it came: later steps edit it
                yield document
                if (now := time.monotonic()) - last > 0.25:
                    last = now
                    os.pwrite(out.fileno(), count.to_bytes(8, "little"), 0)
            os.pwrite(out.fileno(), count.to_bytes(8, "little"), 0)

    def read(self) -> int:
        return sum(int.from_bytes(file.read_bytes(), "little") for file in self.folder.iterdir())


@contextlib.contextmanager
def shown(meter: Meter, title: str, total: int) -> Iterator[None]:
    """A bar that follows `meter` from a thread."""
    over = threading.Event()
    with progress(title, total, "B") as bar:
        bar.initial = bar.n = meter.read()  # what an earlier run had finished

        def watch() -> None:
            pause = 0.3
            while not over.wait(pause):
                began = time.monotonic()
                bar.update(meter.read() - bar.n)
                pause = max(0.3, 10 * (time.monotonic() - began))  # thousands of files on a shared disk

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
            bar.total = max(meter.read(), 1)  # `total` was an estimate
        finally:
            over.set()
            watcher.join()
            bar.update(meter.read() - bar.n)
