"""Docstrings, which are plain text, as Markdown."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator


def prose(text: str) -> str:
    """Text in which nothing but `code` is markup; arXiv numbers become links."""
    parts = re.split(r"(``.+?``|`[^`]+`)", text)
    return "".join(part if i % 2 else _escaped(part) for i, part in enumerate(parts))


def docstring(text: str) -> Iterator[str]:
    """The lines of a docstring: paragraphs as prose, those that are indented or set in columns as they are, in a fence."""
    for paragraph in re.split(r"\n\s*\n", text):
        lines = paragraph.strip("\n").splitlines()
        if all(line.startswith(" ") for line in lines) or any(re.search(r"\S {3,}\S", line) for line in lines):
            yield from ("```text", *textwrap.dedent("\n".join(lines)).splitlines(), "```", "")
        else:
            yield from (*prose("\n".join(lines)).splitlines(), "")


def fence(text: str, language: str) -> Iterator[str]:
    """Code in a fence that is longer than any in it."""
    marks = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    yield from (marks + language, *text.rstrip().splitlines(), marks, "")


def code(text: str) -> str:
    """A code span that may hold backticks."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _escaped(text: str) -> str:
    text = (
        re.sub(r"([\\*\[\]{}]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|^#)", r"\\\1", text, flags=re.M).replace("&", "&amp;").replace("<", "&lt;")
    )
    text = re.sub(r"(?m)^(\s*)([-+]|\d+[.)])(?=\s)", lambda m: f"{m[1]}{m[2][:-1]}\\{m[2][-1]}", text)
    return re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)
