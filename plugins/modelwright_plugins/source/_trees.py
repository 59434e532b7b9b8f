"""Comments in a database on disk, and the dialogues that their trees hold."""

from __future__ import annotations

import html
import re
import sqlite3
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Any

import orjson
from datatrove.data import Document

from modelwright_plugins.source import BadRecord
from modelwright_plugins.source.jsonl import _lines

if TYPE_CHECKING:
    from modelwright_plugins.source.conversations import Conversations

DELETED = {"", "[deleted]", "[removed]", "[ removed by reddit ]", "[deleted by user]"}
NOBODY = {None, "", "[deleted]"}  # authors who may be several
ROLES = {"system": "system", "user": "user", "assistant": "assistant", "prompter": "user", "human": "user"}
FULL = re.compile(r"t\d_")  # Reddit's names: t1_ a comment, t3_ a submission
AT_ONCE = 1000  # comments put into the database
TABLE = "comments(line INTEGER PRIMARY KEY, id TEXT, speaker TEXT, thread TEXT, score REAL, text TEXT, bad TEXT, parent TEXT, up INTEGER)"
BELOW = """WITH RECURSIVE below(line) AS (
    SELECT line FROM comments WHERE up = ? UNION ALL SELECT c.line FROM comments c JOIN below ON c.up = below.line)"""
ANSWERED = "UPDATE comments SET up = (SELECT line FROM comments p WHERE p.id = {}) WHERE up IS NULL AND {}"
LOST = "a reply to a comment that is left out"

Comment = tuple[int, str, str | None, str | None, float, str, str | None]
"""Line, id, speaker (an author, or a role), thread, score, text, why it is left out (None: it is not)."""


@dataclass
class _Step:
    """A comment on the way from a root."""

    comment: Comment
    turns: int  # up to here
    replies: Iterator[tuple[int, bool]]  # that are not yet looked at
    leaf: bool = True  # none of them was followed


class Trees:
    """`with Trees(settings) as trees`: load a file once, then take its dialogues."""

    def __init__(self, settings: Conversations) -> None:
        self.settings = settings

    def __enter__(self) -> Trees:
        self.folder = TemporaryDirectory(prefix="modelwright-conversations-")
        self.db = sqlite3.connect(Path(self.folder.name) / "comments.sqlite", isolation_level=None)
        for setting in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-16384", "temp_store=FILE", "locking_mode=EXCLUSIVE"):
            self.db.execute(f"PRAGMA {setting}")
        self.db.execute(f"CREATE TABLE {TABLE}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.db.close()
        self.folder.cleanup()

    def load(self, path: Path) -> Iterator[BadRecord]:
        """Puts comments into the database; yields lines that hold none. OSError: the file can't be read."""
        number, rows = 0, []
        self.db.execute("BEGIN")
        try:
            for number, line in enumerate(_lines(path), 1):
                if not line.strip():
                    continue
                try:
                    rows.append(self._row(line, number))
                except ValueError as error:
                    yield BadRecord(str(error), number)
                if len(rows) == AT_ONCE:
                    self._put(rows)
        except (EOFError, zlib.error) as error:
            yield BadRecord(f"the compressed file is damaged: {error}", number + 1)
        self._put(rows)
        self.db.execute("CREATE INDEX ids ON comments(id, line)")
        again = "FROM comments WHERE line > (SELECT MIN(line) FROM comments same WHERE same.id = comments.id)"
        for (line,) in self.db.execute(f"SELECT line {again}").fetchall():
            yield BadRecord("the id of an earlier comment", line)
            self.db.execute("DELETE FROM comments WHERE line = ?", (line,))
        self.db.execute(ANSWERED.format("comments.parent", "parent IS NOT NULL"))
        self.db.execute(ANSWERED.format("substr(comments.parent, 4)", "parent GLOB 't[0-9]_*'"))
        self.db.execute("CREATE INDEX ups ON comments(up, line)")
        self.db.execute("COMMIT")

    def _put(self, rows: list[tuple[Any, ...]]) -> None:
        self.db.executemany("INSERT INTO comments VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)", rows)
        rows.clear()

    def _row(self, line: bytes, number: int) -> tuple[Any, ...]:
        keys = self.settings
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise ValueError(f"not JSON: {error}") from error
        if not isinstance(record, dict):
            raise ValueError(f"expected a JSON object, found {type(record).__name__}")
        name, parent = record.get(keys.id_key), record.get(keys.parent_key)
        if name in (None, "") or isinstance(name, (dict, list)):
            raise ValueError(f"no id under key {keys.id_key!r}")
        if isinstance(parent, (dict, list)):
            raise ValueError(f"a {type(parent).__name__} under key {keys.parent_key!r}")
        name, parent, thread = str(name), None if parent in (None, "") else str(parent), record.get("link_id")
        if not FULL.match(name):
            if thread is not None or (parent and FULL.match(parent)):
                name = f"t1_{name}"
            elif parent is None and "selftext" in record:
                name = f"t3_{name}"
        said = [record.get(key) for key in keys.text_keys]
        if not any(isinstance(part, str) for part in said):
            raise ValueError(f"no text under {' or '.join(map(repr, keys.text_keys))}")
        parts = [part.replace("\r\n", "\n").strip() for part in said if isinstance(part, str)]
        text = "\n\n".join(part for part in parts if part.lower() not in DELETED)
        if keys.unescape:
            text = html.unescape(text)
        bad, speaker = None if text.strip() else "a deleted comment", record.get(keys.author_key)
        if keys.role_key is not None:
            speaker = ROLES.get(str(record.get(keys.role_key)).lower())
            if speaker is None:
                bad = bad or f"the role {str(record.get(keys.role_key))!r:.40}, which is none of {', '.join(ROLES)}"
        score = record.get(keys.score_key)
        score = float(score) if isinstance(score, (int, float)) else 0.0
        speaker = None if speaker is None else str(speaker)
        return number, name, speaker, None if thread is None else str(thread), score, text, bad, parent

    def dialogues(self, file: str) -> Iterator[Document | BadRecord]:
        """Tree by tree, in the order of their roots; then what hangs on no root."""
        count, starts = 0, "SELECT line, parent FROM comments WHERE up IS NULL ORDER BY line"
        for line, parent in self.db.execute(starts):
            orphan = parent is not None and not parent.startswith("t3_") and self.settings.orphans == "quarantine"
            for item, comments in self._left_out(line, "a reply to what is not in the file") if orphan else self._tree(line, file):
                count += comments
                if item is not None:
                    yield item
        if count < self.db.execute("SELECT COUNT(*) FROM comments").fetchone()[0]:
            reached = BELOW.replace("WHERE up = ?", "WHERE up IS NULL")
            for (line,) in self.db.execute(f"{reached} SELECT line FROM comments WHERE line NOT IN below ORDER BY line"):
                yield BadRecord("in a circle of replies, or below one", line)

    def _left_out(self, line: int, why: str) -> Iterator[tuple[BadRecord, int]]:
        """A comment and all replies below it."""
        yield BadRecord(why, line), 1
        for (below,) in self.db.execute(f"{BELOW} SELECT line FROM below", (line,)):
            yield BadRecord(LOST, below), 1

    def _tree(self, root: int, file: str) -> Iterator[tuple[Document | BadRecord | None, int]]:
        """Depth first, with one open query for each comment on the way; items with how many comments were seen for the first time."""
        first = self._comment(root)
        if first[6] is not None:
            yield from self._left_out(root, first[6])
            return
        yield None, 1
        way = [_Step(first, 1, self._replies(root))]
        while way:
            last = way[-1]
            reply = next(last.replies, None)
            if reply is None:
                if last.leaf:
                    yield self._dialogue([step.comment for step in way], last.turns, file), 0
                way.pop()
                continue
            line, followed = reply
            comment = self._comment(line)
            turns = last.turns + (not _same(last.comment, comment))
            why = comment[6] or (None if followed else "not among the max_replies of the best scores")
            why = why or ("deeper than max_turns" if turns > self.settings.max_turns else None)
            if why:
                yield from self._left_out(line, why)
                continue
            yield None, 1
            last.leaf = False
            way.append(_Step(comment, turns, self._replies(line)))

    def _comment(self, line: int) -> Comment:
        found: Comment = self.db.execute(
            "SELECT line, id, speaker, thread, score, text, bad FROM comments WHERE line = ?", (line,)
        ).fetchone()
        return found

    def _replies(self, line: int) -> Iterator[tuple[int, bool]]:
        """The lines of replies, and whether each is followed."""
        best = None
        if self.settings.max_replies is not None:
            query = "SELECT line FROM comments WHERE up = ? AND bad IS NULL ORDER BY score DESC, line LIMIT ?"
            best = {found for (found,) in self.db.execute(query, (line, self.settings.max_replies))}
        for (reply,) in self.db.execute("SELECT line FROM comments WHERE up = ? ORDER BY line", (line,)):
            yield reply, best is None or reply in best

    def _dialogue(self, path: list[Comment], turns: int, file: str) -> Document | BadRecord:
        root, leaf = path[0], path[-1]
        if turns < self.settings.min_turns:
            return BadRecord("fewer turns than min_turns", leaf[0])
        messages: list[dict[str, str]] = []
        for place, comment in enumerate(path):
            role = str(comment[2]) if self.settings.role_key else ("user", "assistant")[len(messages) % 2]
            if messages and _same(path[place - 1], comment):
                messages[-1]["content"] += f"\n\n{comment[5]}"
            else:
                messages.append({"role": role, "content": comment[5]})
        metadata = {"messages": messages, "comments": [comment[1] for comment in path], "score": leaf[4], "group": root[3] or root[1]}
        return Document(text="\n\n".join(message["content"] for message in messages), id=f"{file}:{leaf[1]}", metadata=metadata)


def _same(one: Comment, other: Comment) -> bool:
    return one[2] == other[2] and one[2] not in NOBODY
