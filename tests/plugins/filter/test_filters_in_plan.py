"""A stranger's mistakes with filters are told by `plan` in one line that names the key; and filters run in a recipe."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from modelwright.assemble import assemble, problems
from modelwright.compose import composed
from modelwright.errors import ModelwrightError
from modelwright.hooks import discover
from modelwright_plugins.filter.boilerplate import Boilerplate
from modelwright_plugins.filter.c4 import C4BadWords
from modelwright_plugins.filter.toxicity import ToxicWords
from modelwright_plugins.filter.url import URLBlocklist

REGISTRY = discover().registry


def planned(*overrides):
    """What `plan` says is wrong."""
    try:
        config = composed(["source=jsonl", "source.paths=[in.jsonl]", "stages=[curate]", *overrides])
        return problems(assemble(config, REGISTRY), config)
    except ModelwrightError as error:
        return [str(error)]


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("latin").write_bytes(b"a\xe9b\n")
    Path("words_of").mkdir()
    for name, bad in (("en", b"darn\n"), ("de", b"m\xe4h\n"), ("README.md", b"\xe4")):
        Path("words_of", name).write_bytes(bad)
    Path("empty").write_text("# nothing\n\n")
    Path("in.jsonl").write_text('{"text": "x"}\n')


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ("filter=[length,pii]", None),
        (
            "filter=[toxic_words] filter.toxic_words.lists=[words.txt]",
            r"curate: filter\.toxic_words\.lists: nothing is at .*words\.txt; there are: ",
        ),
        ("filter=[regex] filter.regex.patterns=['(a']", r"filter\.regex: patterns has '\(a'; it is no regular expression"),
        ("filter=[decontamination_gpt3] filter.decontamination_gpt3.paths=[x]", r"filter\.decontamination_gpt3\.paths: nothing is at"),
        ("filter=[url_blocklist]", r"filter\.url_blocklist\.domains: no list is given"),
    ],
)
def test_mistakes_are_told_with_their_key(overrides, told):
    found = planned(*overrides.split())
    assert len(found) == bool(told)
    assert not told or (re.search(told, found[0]) and "\n" not in found[0]), found


@pytest.mark.parametrize(
    ("component", "told"),
    [
        (ToxicWords(lists=(Path(),)), "lists: . is a folder"),
        (URLBlocklist(domains=(Path("latin"),)), "domains: latin is not UTF-8 at byte 1"),
        (URLBlocklist(words=(Path("empty"),)), "words: empty has no entry"),
        (URLBlocklist(words=(Path("latin"),), urls=(Path("gone"),)), "urls: nothing is at gone"),
        (URLBlocklist(datatrove_lists=True), None),
        (Boilerplate(lists=(Path("emty"),)), "lists: nothing is at emty; did you mean 'empty'?"),
        (C4BadWords(folder=Path("gone")), "folder: nothing is at gone"),
        (C4BadWords(folder=Path("empty")), "folder: empty is a file"),
        (C4BadWords(folder=Path()), "default_language: . has no list 'en'"),
        (C4BadWords(folder=Path("words_of")), "folder: words_of/de is not UTF-8 at byte 1"),
    ],
)
def test_files_that_will_not_do(component, told):
    found = component.problems()
    assert bool(found) == bool(told)
    assert not told or found[0].startswith(told), found


@pytest.mark.slow
def test_filters_in_a_run(tmp_path):
    """Removed, edited and counted by reason."""
    Path("words").write_text("foul\n")
    (tmp_path / "eval.jsonl").write_text(json.dumps({"q": "one two three four five six seven eight nine ten eleven twelve thirteen"}))
    texts = [
        "short",
        "Write to joe@acme.com. " + "w " * 60,
        "foul foul foul " + "w " * 60,
        "One, two three four five six seven eight nine ten eleven twelve thirteen " + "w " * 60,
        "Sign in\n" + "plain words of a text " * 15,
    ]
    Path("in.jsonl").write_text(
        "".join(json.dumps({"text": text, "url": "https://bad.com/" if "plain" in text else "https://a.org/"}) + "\n" for text in texts)
    )
    words = (
        "run source=jsonl source.paths=[in.jsonl] stages=[curate] curate.held_out=0 executor.workers=1 run.dir=out "
        "filter=[length,boilerplate,toxic_words,decontamination,pii] filter.toxic_words.lists=[words] filter.toxic_words.max_share=0 "
        "filter.decontamination.paths=[eval.jsonl]"
    )
    subprocess.run([sys.executable, "-m", "modelwright", *words.split()], check=True, cwd=tmp_path)
    funnel = {step["step"]: step for step in json.loads(next(tmp_path.glob("out/**/funnel.json")).read_text())}
    assert funnel["length"]["dropped"] == {"too_few_words": 1} and funnel["toxic_words"]["dropped"] == {"toxic_words": 1}
    assert funnel["decontamination"]["dropped"] == {f"overlaps_{tmp_path.name}/eval"[:60]: 1}
    assert funnel["boilerplate"]["bytes_out"] == funnel["boilerplate"]["bytes_in"] - len("Sign in\n")
    assert funnel["pii"]["documents_out"] == 2 and funnel["pii"]["bytes_out"] == funnel["pii"]["bytes_in"] - len("joe@acme.com") + len(
        "[EMAIL]"
    )
