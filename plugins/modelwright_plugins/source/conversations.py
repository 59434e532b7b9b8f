"""Trees of replies, such as Reddit's, as dialogues."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from modelwright_plugins.source import BadRecord, Source, SourceFile
from modelwright_plugins.source.paths import find

if TYPE_CHECKING:
    from datatrove.data import Document

PACKED = 4  # text packs about this well; only for shares of work and the progress bar


@dataclass(frozen=True, kw_only=True)
class Conversations(Source):
    """Comments that answer one another, in JSON Lines (plain, .gz, .zst): a document of each way from a root to a leaf.

    `metadata["messages"]` has the turns as chat templates take them, {"role", "content"}, and the text has them with a blank line between;
    what several comments of one author in a row say is one turn. (Paths from root to leaf: Zhang et al. 2019, DialoGPT, arXiv:1911.00536,
    section 2.) A tree is within one file, in any order. Comments wait in a database in the temporary folder (TMPDIR): memory stays flat.
    What is in no dialogue is quarantined with its line: deleted comments, replies to them or to what isn't there, circles.
    Reddit's own names are understood: `t1_…` is a comment and `t3_…` a submission, whose comments begin trees when it isn't in the file.
    """

    paths: list[str]  # files, folders or globs
    text_keys: tuple[str, ...] = ("title", "selftext", "body")  # the keys that hold what is said, joined; those that are there
    id_key: str = "id"  # the key that holds a comment's id
    parent_key: str = "parent_id"  # the key that holds the id that it answers; null or absent: it begins a tree
    author_key: str = "author"  # the key that holds who says it
    score_key: str = "score"  # the key that holds the votes for it
    role_key: str | None = None  # the key that holds system, user or assistant (or prompter); none: user and assistant in turns
    min_turns: int = 2  # dialogues with fewer are left out
    max_turns: int = 32  # replies after so many are left out
    max_replies: int | None = None  # to one comment, those with the best scores; none: all
    orphans: Literal["quarantine", "root"] = "quarantine"  # replies to what is not in the file: left out, or they begin trees
    unescape: bool = False  # &gt; &lt; &amp; as Reddit's dumps have them

    def __post_init__(self) -> None:
        if not self.text_keys:
            raise ValueError("text_keys is empty; it names the keys that hold what is said")
        if not 1 <= self.min_turns <= self.max_turns:
            raise ValueError(f"min_turns is {self.min_turns}; it is at least 1, and at most max_turns={self.max_turns}")
        if self.max_replies is not None and self.max_replies < 1:
            raise ValueError(f"max_replies is {self.max_replies}; it is at least 1, or null")

    def example_kind(self) -> str:
        return "conversation"

    def files(self) -> list[SourceFile]:
        paths = find(self.paths, (".jsonl", ".jsonl.gz", ".jsonl.zst"), "source.paths")
        packed = (".gz", ".zst")
        return [
            SourceFile(path=p, name=str(p), bytes=p.stat().st_size * (PACKED if p.suffix in packed else 1), group=str(p)) for p in paths
        ]

    def read(self, file: SourceFile) -> Iterator[Document | BadRecord]:
        from modelwright_plugins.source._trees import Trees

        with Trees(self) as trees:
            yield from trees.load(file.path)
            yield from trees.dialogues(file.name)
