"""The text of a web page, by an extractor in a process of its own: pages hang parsers, and end them."""

from __future__ import annotations

import importlib
import importlib.util
import multiprocessing
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Literal

START = 120  # seconds that a process may take to import its extractor, on a busy machine
PAGES = 5_000  # that one process extracts: lxml and Trafilatura keep memory

Favor = Literal["precision", "balance", "recall"]


def trafilatura(page: str, url: str | None, favor: Favor, comments: bool) -> str | None:
    """Trafilatura (Barbaresi 2021, ACL demonstrations). Its own deduplication stays off: it remembers earlier pages, so that what
    comes out would depend on how pages are shared out to tasks."""
    from trafilatura import extract

    found = extract(page, url=url, favor_precision=favor == "precision", favor_recall=favor == "recall", include_comments=comments)
    return found if found is None or isinstance(found, str) else str(found)


def resiliparse(page: str, url: str | None, favor: Favor, comments: bool) -> str | None:
    """Resiliparse (Bevendorff et al. 2018, ECIR), as DCLM uses it (Li et al. 2024, arXiv:2406.11794)."""
    from resiliparse.extract.html2text import extract_plain_text

    return str(extract_plain_text(page, main_content=favor != "recall", alt_texts=False, comments=comments))


EXTRACTORS: dict[str, Callable[[str, str | None, Favor, bool], str | None]] = {"trafilatura": trafilatura, "resiliparse": resiliparse}


def missing(name: str) -> str:
    """What to install for this extractor; empty where it is there."""
    if importlib.util.find_spec(name) is None:
        return f"{name} is not installed; in Modelwright's folder: pip install -e '.[web]'"
    if name == "trafilatura" and not (importlib.util.find_spec("lxml_html_clean")):
        return "trafilatura lacks lxml_html_clean: pip install lxml_html_clean"
    return ""


class ExtractionError(Exception):
    """Why a page gave no text, in a few words."""


@dataclass
class Extraction:
    """`with Extraction("trafilatura", "precision", False, 10) as extraction: extraction(page, url)`."""

    name: str  # of an extractor
    favor: Favor
    comments: bool
    timeout: float  # seconds for a page
    process: Any = field(default=None, init=False)
    pipe: Any = field(default=None, init=False)
    pages: int = field(default=0, init=False)

    def __enter__(self) -> Extraction:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def __call__(self, page: str, url: str | None) -> str:
        """ExtractionError: there is no text in it, or it can't be had."""
        if self.process is None or self.pages == PAGES or not self.process.is_alive():
            self.stop()
            self._start()
        self.pages += 1
        try:
            self.pipe.send((page, url))
            if not self.pipe.poll(self.timeout):
                self.stop()
                raise ExtractionError("the extractor took too long")
            done, text = self.pipe.recv()
        except (EOFError, OSError):
            self.stop()
            raise ExtractionError("the extractor crashed") from None
        if not done:
            raise ExtractionError(f"the extractor failed: {text}")
        if not text or not text.strip():
            raise ExtractionError("no text in the page")
        return str(text)

    def _start(self) -> None:
        if self.name == "trafilatura":
            importlib.import_module("trafilatura")  # once, here: each process has it then
        context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else None)
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, self.pipe, self.name, self.favor, self.comments), daemon=True)
        self.process.start()
        theirs.close()
        self.pages = 0
        if not self.pipe.poll(START) or self.pipe.recv() != "ready":
            self.stop()
            raise OSError(f"{self.name} did not start in {START} seconds")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.pipe.close()
            self.process = None


def _work(pipe: Connection, other: Connection, name: str, favor: Favor, comments: bool) -> None:
    other.close()  # the reader's end: when the reader is gone, this process sees it
    _first_to_go()
    with suppress(EOFError, OSError, KeyboardInterrupt):
        extract = EXTRACTORS[name]
        extract("<html><body><p>Warm.</p></body></html>", None, favor, comments)
        pipe.send("ready")
        while True:
            page, url = pipe.recv()
            try:
                said = (True, extract(page, url, favor, comments))
            except (Exception, RecursionError) as error:
                said = (False, type(error).__name__)
            pipe.send(said)


def _first_to_go() -> None:
    """Where memory runs out, Linux ends this process, and one page is lost, not the run."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123
        score.write("1000")
