"""A mixture is its sources one after the other, each document with its source's name; and is told what is wrong in which."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from small_sources import small_sources

from modelwright.errors import ModelwrightError
from modelwright.hooks import discover
from modelwright.schema import conform, plain
from modelwright_plugins.source import BadRecord, Source
from modelwright_plugins.source.mixture import Mixture


def read(source: Source) -> list[Any]:
    return [item for file in source.files() for item in source.read(file)]


def test_it_is_its_parts_in_order(tmp_path: Path) -> None:
    needed = small_sources(tmp_path)
    (tmp_path / "more.jsonl").write_text('{"text": "one", "id": "row1", "source": "other"}\n{bad\n')
    parts = {name.removeprefix("source/"): settings for name, settings in needed.items() if name.startswith("source/")}
    parts.pop("mixture", None)
    parts |= {"more": {"name": "jsonl", "paths": [str(tmp_path / "more.jsonl")]}}
    mixture = Mixture(parts=parts)
    found, wanted = read(mixture), []
    for part, settings in parts.items():
        own = dict(settings)
        for item in read(conform(own, discover().registry.load("source", own.pop("name", part)), part)):
            if not isinstance(item, BadRecord):
                item.id, item.metadata = f"{part}/{item.id}", item.metadata | {"source": part}
            wanted.append(item)
    assert found == wanted and sum(isinstance(item, BadRecord) for item in found) == 1 + 3 + 1  # a bad line, pairs, a dialogue
    names = [file.name for file in mixture.files()]
    assert len(set(names)) == len(names) and {name.split("/")[0] for name in names} == set(parts)
    assert read(pickle.loads(pickle.dumps(mixture))) == found
    assert read(conform(plain(mixture), Mixture, "source")) == found  # as a frozen config has it


def test_one_source_twice_and_its_fingerprint(tmp_path: Path) -> None:
    (file := tmp_path / "a.txt").write_text("One.\n\nTwo.")
    text = {"name": "text", "paths": [str(file)]}
    mixture = Mixture(parts={"whole": text, "cut": text | {"piece_bytes": 1}})
    assert [(d.id, d.text.strip()) for d in read(mixture)] == [
        (f"whole/{file}", "One.\n\nTwo."),
        (f"cut/{file}:1", "One."),
        (f"cut/{file}:2", "Two."),
    ]
    before = mixture.fingerprint()
    assert before == Mixture(parts=dict(mixture.parts)).fingerprint()
    file.write_text("Other, and longer.")
    assert mixture.fingerprint() != before


def test_what_is_wrong_is_told_with_the_part(tmp_path: Path) -> None:
    here = [str(tmp_path)]
    for parts, told in [
        ({}, "parts is empty"),
        ({"a": {"name": "jsnl", "paths": here}}, r"parts\.a: no source named 'jsnl'; did you mean 'jsonl'\?"),
        ({"a": {"paths": here}}, r"parts\.a: no source named 'a'"),
        ({"jsonl": {"path": here}}, r"parts\.jsonl\.path: there is no such parameter; did you mean 'paths'\?"),
        ({"jsonl": {}}, r"parts\.jsonl\.paths: it has no default"),
        ({"text": {"paths": here, "piece_bytes": 0}}, r"parts\.text: piece_bytes=0"),
        ({"a/b": {"name": "text", "paths": here}}, "a part's name is a word without /"),
        ({"a": {"name": "mixture", "parts": {"text": {"paths": here}}}}, "Mixture is no part of Mixture"),
    ]:
        with pytest.raises(ValueError, match=told):
            Mixture(parts=parts)  # type: ignore[arg-type]
    with pytest.raises(ModelwrightError, match=r"^source\.parts\.web\.paths: nothing matches /source\.paths=x") as caught:
        Mixture(parts={"web": {"name": "warc", "paths": ["/source.paths=x"]}}).files()
    assert caught.value.key == "source.parts.web.paths"
    with pytest.raises(ModelwrightError, match=r"source\.parts\.t\.paths: no file given, for example source\.parts\.t\.paths="):
        Mixture(parts={"t": {"name": "text", "paths": []}}).files()
