"""Dialogues: every way from a root to a leaf, as a slow walk finds them; and each comment that is in none is told, once."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from modelwright.errors import ModelwrightError
from modelwright_plugins.source import BadRecord
from modelwright_plugins.source.conversations import Conversations
from modelwright_plugins.tokenizer.chat_template import render

DELETED = "[deleted]"


def written(folder: Path, comments: list[Any]) -> Path:
    (file := folder / "comments.jsonl").write_text("".join((c if isinstance(c, str) else json.dumps(c)) + "\n" for c in comments))
    return file


def read(file: Path, **settings: Any) -> tuple[list[Any], list[BadRecord]]:
    source = Conversations(paths=[str(file)], **settings)
    items = [item for one in source.files() for item in source.read(one)]
    return [i for i in items if not isinstance(i, BadRecord)], [i for i in items if isinstance(i, BadRecord)]


def comment(name: str, parent: str | None, author: str = "", body: str = "", score: int = 0) -> dict[str, Any]:
    return {"id": name, "parent_id": parent, "author": author or name, "body": body or f"Says {name}.", "score": score}


def walk(comments: list[dict[str, Any]], max_turns: int, min_turns: int, max_replies: int | None) -> list[list[tuple[str, str]]]:
    """The dialogues, by trying every comment as a leaf and going up from it: slow, and another way."""
    by_id = {c["id"]: c for c in comments}
    place = {c["id"]: i for i, c in enumerate(comments)}

    def chain(name: str) -> list[dict[str, Any]] | None:
        found, seen = [], set()
        while True:
            if name in seen or name not in by_id:
                return None
            seen.add(name)
            found.append(by_id[name])
            if by_id[name]["parent_id"] is None:
                return found[::-1]
            name = by_id[name]["parent_id"]

    def turns(way: list[dict[str, Any]]) -> list[tuple[str, str]]:
        said: list[list[str]] = []
        last = None
        for c in way:
            if said and c["author"] == last and last != DELETED:
                said[-1].append(c["body"])
            else:
                said.append([c["body"]])
            last = c["author"]
        return [(("user", "assistant")[i % 2], "\n\n".join(bodies)) for i, bodies in enumerate(said)]

    def best(c: dict[str, Any]) -> bool:
        if max_replies is None or c["parent_id"] is None:
            return True
        rivals = [r for r in comments if r["parent_id"] == c["parent_id"] and r["body"] != DELETED]
        return c["id"] in [r["id"] for r in sorted(rivals, key=lambda r: (-r["score"], place[r["id"]]))[:max_replies]]

    good = {}
    for c in comments:
        way = chain(c["id"])
        if way and all(w["body"] != DELETED and best(w) for w in way) and len(turns(way)) <= max_turns:
            good[c["id"]] = way
    leaves = [name for name in good if not any(by_id[other]["parent_id"] == name for other in good)]
    return sorted(turns(good[name]) for name in leaves if len(turns(good[name])) >= min_turns)


@pytest.mark.parametrize("seed", range(8))
def test_dialogues_are_those_of_a_slow_walk(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    names = [f"c{i}" for i in range(150)]
    comments = []
    for i, name in enumerate(names):
        parent = (
            None if chance.random() < 0.08 else "gone" if chance.random() < 0.03 else chance.choice(names[max(0, i - 12) : i] or [None])
        )
        if chance.random() < 0.03:
            parent = chance.choice(names)  # itself or a circle, maybe
        body = DELETED if chance.random() < 0.06 else f"Says {name}."
        comments.append(comment(name, parent, chance.choice(["ann", "bob", "cat", DELETED]), body, chance.randrange(4)))
    chance.shuffle(comments)
    limits = {"max_turns": chance.choice([3, 5, 32]), "min_turns": chance.choice([1, 2, 3]), "max_replies": chance.choice([None, 1, 2])}
    file = written(tmp_path, comments)
    documents, bad = read(file, **limits)
    found = [[(m["role"], m["content"]) for m in d.metadata["messages"]] for d in documents]
    assert sorted(found) == walk(comments, **limits)
    assert len({d.id for d in documents}) == len(documents)
    place = {c["id"]: line for line, c in enumerate(comments, 1)}
    in_some = {place[name] for d in documents for name in d.metadata["comments"]}
    told = Counter(b.line for b in bad)
    assert max(told.values()) == 1
    short = {b.line for b in bad if b.reason == "fewer turns than min_turns"}
    above = {place[c["id"]] for c in comments} - in_some - set(told)  # those above a leaf whose dialogue is too short
    assert not (in_some & set(told)) and (not above or short)
    assert limits["min_turns"] > 1 or in_some | set(told) == set(place.values())


def test_a_reddit_thread(tmp_path: Path) -> None:
    thread = {"link_id": "t3_x"}
    comments: list[Any] = [
        {"id": "x", "title": "Which mill?", "selftext": "By the river.", "author": "ann", "score": 10},
        thread
        | {
            "id": "x",
            "parent_id": "t3_x",
            "author": "bob",
            "body": "The old one &gt; the new.",
            "score": 5,
        },  # a comment of the submission's id
        thread | {"id": "b", "parent_id": "t1_x", "author": "bob", "body": "And cheap.", "score": 2},
        thread | {"id": "c", "parent_id": "t1_x", "author": "ann", "body": "[removed]", "score": 1},
        thread | {"id": "d", "parent_id": "t1_c", "author": "bob", "body": "Why?", "score": 1},
        {"id": "e", "link_id": "t3_y", "parent_id": "t3_y", "author": "cat", "body": "Of a submission that is not here.", "score": 3},
        {"id": "f", "link_id": "t3_y", "parent_id": "t1_e", "author": "dan", "body": "Yes.", "score": 4},
        {"id": "g", "link_id": "t3_y", "parent_id": "t1_zz", "author": "dan", "body": "To a comment that is not here.", "score": 4},
        {"id": "h", "title": "Gone", "selftext": "[deleted]", "author": DELETED},
        {"id": "i", "link_id": "t3_h", "parent_id": "t3_h", "author": DELETED, "body": "Still there."},
        {"id": "j", "link_id": "t3_h", "parent_id": "t1_i", "author": DELETED, "body": "Someone else."},
    ]
    documents, bad = read(written(tmp_path, comments), unescape=True)
    assert [[(m["role"], m["content"]) for m in d.metadata["messages"]] for d in documents] == [
        [("user", "Which mill?\n\nBy the river."), ("assistant", "The old one > the new.\n\nAnd cheap.")],
        [("user", "Of a submission that is not here."), ("assistant", "Yes.")],
        [("user", "Gone"), ("assistant", "Still there."), ("user", "Someone else.")],
    ]
    first = documents[0]
    assert first.text == "Which mill?\n\nBy the river.\n\nThe old one > the new.\n\nAnd cheap."
    assert first.metadata["comments"] == ["t3_x", "t1_x", "t1_b"] and first.metadata["score"] == 2
    assert [d.metadata["group"] for d in documents] == ["t3_x", "t3_y", "t3_h"]  # all of a thread, also where its submission isn't there
    assert {b.line: b.reason for b in bad} == {
        4: "a deleted comment",
        5: "a reply to a comment that is left out",
        8: "a reply to what is not in the file",
    }
    chatml = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"
    assert render(chatml, documents[1].metadata["messages"]) == "<|user|>Of a submission that is not here.<|assistant|>Yes."
    documents, _ = read(written(tmp_path, comments), orphans="root", min_turns=1)
    assert "To a comment that is not here." in [d.text for d in documents]


def test_trees_with_roles(tmp_path: Path) -> None:
    """As OpenAssistant's are (Köpf et al. 2023, arXiv:2304.07327)."""
    rows = [
        {"message_id": "1", "parent_id": None, "text": "Which mill?", "role": "prompter"},
        {"message_id": "2", "parent_id": "1", "text": "The old one.", "role": "assistant"},
        {"message_id": "3", "parent_id": "2", "text": "And cheap.", "role": "assistant"},
        {"message_id": "4", "parent_id": "1", "text": "Bah.", "role": "critic"},
    ]
    settings = {"id_key": "message_id", "text_keys": ("text",), "role_key": "role"}
    (document,), (bad,) = read(written(tmp_path, rows), **settings)
    assert [m["role"] for m in document.metadata["messages"]] == ["user", "assistant"]
    assert document.metadata["messages"][1]["content"] == "The old one.\n\nAnd cheap."
    assert bad == BadRecord("the role 'critic', which is none of system, user, assistant, prompter, human", 4)


def test_lines_that_hold_no_comment(tmp_path: Path) -> None:
    good = [comment("a", None), comment("b", "a")]
    rows: list[Any] = [
        *good,
        "{not json",
        "[1]",
        {"id": "x"},
        {"body": "no id"},
        {"id": "y", "parent_id": ["a"], "body": "z"},
        "",
        comment("b", "a"),
    ]
    documents, bad = read(written(tmp_path, rows))
    assert [d.text for d in documents] == ["Says a.\n\nSays b."]
    assert [b.line for b in bad] == [3, 4, 5, 6, 7, 9] and bad[-1].reason == "the id of an earlier comment"
    for word, one in zip(("JSON", "list", "no text under 'title'", "no id under key 'id'", "list under key"), bad, strict=False):
        assert word in one.reason
    packed = gzip.compress("".join(json.dumps(c) + "\n" for c in good * 1 + [comment(f"n{i}", "a") for i in range(5000)]).encode())
    (file := tmp_path / "cut.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    documents, bad = read(file)
    assert len(documents) > 1000 and "damaged" in bad[0].reason


def test_a_very_long_chain_and_a_very_wide_tree(tmp_path: Path) -> None:
    chain = [comment("c0", None)] + [comment(f"c{i}", f"c{i - 1}") for i in range(1, 20_000)]
    documents, bad = read(written(tmp_path, chain), max_turns=10)
    assert len(documents) == 1 and len(documents[0].metadata["messages"]) == 10
    assert Counter(b.reason for b in bad) == {"deeper than max_turns": 1, "a reply to a comment that is left out": 20_000 - 11}
    wide = [comment("r", None)] + [comment(f"w{i}", "r", score=i) for i in range(5000)]
    documents, bad = read(written(tmp_path, wide), max_replies=2)
    assert [d.metadata["comments"][1] for d in documents] == ["w4998", "w4999"] and len(bad) == 4998


def test_settings_that_are_wrong(tmp_path: Path) -> None:
    for settings, told in [
        ({"min_turns": 0}, "min_turns is 0"),
        ({"max_turns": 1}, "min_turns is 2"),
        ({"max_replies": 0}, "max_replies is 0"),
    ]:
        with pytest.raises(ValueError, match=told):
            Conversations(paths=["x"], **settings)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="text_keys is empty"):
        Conversations(paths=["x"], text_keys=())
    with pytest.raises(ModelwrightError, match=r"source\.paths: nothing matches"):
        Conversations(paths=[str(tmp_path / "absent.jsonl")]).files()
