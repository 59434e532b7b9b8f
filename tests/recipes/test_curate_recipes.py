"""The recipes for curation, end to end on input with planted documents: each step drops the one that is there for it, for that reason."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

pytestmark = pytest.mark.slow

# Sixteen parts of a sentence for each place in it: a page takes each once, so that nothing in it repeats
PARTS = """
The old miller|A young sailor|My neighbour|The village doctor|An honest baker|Our first teacher|The tired captain|A famous painter
The quiet gardener|Her older brother|The new librarian|A travelling musician|The head of the council|One engineer|The last shepherd|A friend

repaired|painted|described|remembered|measured|visited|defended|abandoned
carried|discovered|questioned|admired|borrowed|protected|photographed|inherited

the wooden bridge|an unfinished map|the broken clock|two heavy chests|the northern lighthouse|a letter from abroad|every window
the stone staircase|a collection of seeds|the old railway|three coins|the harbour wall|a box with instruments|the longest chapter
an orchard of pears|the copper kettle

before the winter storms came|while others were still asleep|because nobody else had time|after a long discussion
on the third of March|without telling anyone about it|when the river was low|in the summer of that year|although it was raining
for the second time|during a visit to the coast|as soon as it was light|with the help of strangers|until the money ran out
in spite of good advice|to the surprise of many

which pleased the whole town|and the result is there to be seen|but that is another story|and nobody has complained since
so that children could learn from it|which took longer than expected|and we have talked of it ever since|as people do in such places
and it was worth the effort|because the law demands it|which few of us would have dared|and the neighbours helped
though it was hardly necessary|and then went home|which cost less than they feared|and wrote a book about it
"""
COLUMNS = [column.replace("\n", "|").split("|") for column in PARTS.strip().split("\n\n")]
SHORT = [  # more than the 250 characters below which Trafilatura writes a page twice, and fewer than 50 words
    "Administrators unfortunately underestimated considerable infrastructural responsibilities that the international organisations had.",
    "Representatives nevertheless acknowledged unprecedented accomplishments and congratulated all participating communities.",
]
GERMAN = [
    "Die alte Mühle steht seit vielen Jahren am Ufer und wird von einer kleinen Familie bewohnt.",
    "Im Winter friert der Bach zu, und die Kinder laufen nach der Schule auf dem Eis.",
    "Niemand weiß genau, wer das Haus gebaut hat, aber alle erzählen gern davon.",
    "Wenn der Wind aus dem Norden kommt, hört man die Glocken bis in das nächste Dorf.",
    "Im Frühling kaufen die Leute auf dem Markt frisches Gemüse und reden über das Wetter.",
    "Der Lehrer schreibt jeden Abend einen Brief an seine Schwester, die in der Stadt arbeitet.",
]


def sentences(seed: int, count: int = 14) -> list[str]:
    dice = random.Random(seed)
    columns = [dice.sample(parts, count) for parts in COLUMNS]
    return [f"{who} {did} {what} {when}, {why}." for who, did, what, when, why in zip(*columns, strict=True)]


def write_warc(path: Path, pages: Mapping[str, list[str]]) -> None:
    """A page for each name, at http://NAME.test/, a paragraph for each line; and a record that is cut off in the middle."""
    with path.open("wb") as file:
        writer = WARCWriter(file, gzip=True)
        for name, lines in {**pages, "cut": sentences(99)}.items():
            paragraphs = "".join(f"<p>{line}</p>\n" for line in lines)
            html = f"<html><head><title>{name}</title></head><body><article><h1>About this</h1>{paragraphs}</article></body></html>"
            headers = StatusAndHeaders("200 OK", [("Content-Type", "text/html; charset=utf-8")], protocol="HTTP/1.1")
            url = f"http://{name}.test/"
            writer.write_record(writer.create_warc_record(url, "response", payload=io.BytesIO(html.encode()), http_headers=headers))
    path.write_bytes(path.read_bytes()[:-200])


def run(home: Path, recipe: str, path: Path, *words: str) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]], str]:
    """(step -> its line of the funnel, the documents, what was printed)"""
    command = [sys.executable, "-m", "modelwright", "run", f"recipe=curate/{recipe}", f"source.paths=[{path}]", "run.dir=out"]
    env = {**os.environ, "MODELWRIGHT_CACHE": str(home / "cache")}
    done = subprocess.run(
        [*command, "executor.tasks=2", "curate.held_out=0", *words], cwd=home, env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    folder = home / "out" / "curate" / "documents"
    documents = [json.loads(line) for file in sorted(folder.glob("*.jsonl.gz")) for line in gzip.decompress(file.read_bytes()).splitlines()]
    return {step["step"]: step for step in json.loads((folder / "funnel.json").read_bytes())}, documents, done.stdout


def dropped(funnel: dict[str, dict[str, Any]]) -> dict[str, dict[str, int]]:
    return {name: step["dropped"] for name, step in funnel.items() if step["dropped"]}


def hosts(documents: list[dict[str, Any]]) -> list[str]:
    return [document["metadata"]["url"].removeprefix("http://").removesuffix(".test/") for document in documents]


def test_web(tmp_path):
    good = sentences(1)
    pages = {
        "good": good,
        "german": GERMAN,
        "repeats": [*sentences(2, 6), *[sentences(3)[0]] * 6],
        "short": SHORT,
        "brace": [*sentences(5), "Then the page shows what it is made of: function() { return true; } as a program would."],
        "headlines": [line.rstrip(".") for line in sentences(6)],
        "mail": [*sentences(7), "Letters to the author reach ada.lovelace@analytical.co.uk, and the server is 8.8.4.4 in most weeks."],
        "copy": [*good[:-1], good[-1].replace("and", "or")],
        "other": sentences(8),
    }
    write_warc(tmp_path / "crawl.warc.gz", pages)
    funnel, documents, said = run(tmp_path, "web", tmp_path / "crawl.warc.gz")
    assert dropped(funnel) == {
        "language": {"language_de": 1},
        "gopher_repetition": {"dup_line_frac": 1},
        "gopher_quality": {"gopher_short_doc": 1},
        "c4_quality_fineweb": {"curly_bracket": 1},
        "fineweb_quality": {"line_punct_ratio": 1},
        "minhash": {"near_duplicate": 1},
    }
    assert hosts(documents) == ["good", "mail", "other"]
    assert all(line in documents[0]["text"] for line in good)
    assert "ada.lovelace" not in documents[1]["text"] and "8.8.4.4" not in documents[1]["text"] and "@example." in documents[1]["text"]
    assert funnel["warc"]["quarantined_count"] == 1 and "could not be read 1" in said
    assert [json.loads(line)["file"] for line in (tmp_path / "out/curate/quarantine.jsonl").open()] == [str(tmp_path / "crawl.warc.gz")]


def test_c4(tmp_path):
    good = sentences(1)
    pages = {
        "good": [*good, "A line that has no end and goes", "Please turn on Javascript to read the rest of it."],
        "german": GERMAN,
        "brace": [*sentences(2), "Then the page shows what it is made of: function() { return true; } as a program would."],
        "short": SHORT,
        "parts": [*good[2:7], *sentences(4, 6)],
        "copy": good[:6],
    }
    write_warc(tmp_path / "crawl.warc.gz", pages)
    funnel, documents, _ = run(tmp_path, "c4", tmp_path / "crawl.warc.gz")
    assert dropped(funnel) == {
        "language_langid_c4": {"language_de": 1},
        "c4_quality_released": {"curly_bracket": 1, "too_few_sentences": 1},
        "sentences": {"duplicate_sentences": 1},
    }
    assert hosts(documents) == ["good", "parts"]
    assert documents[0]["text"].split("\n") == good
    assert documents[1]["text"].split("\n") == sentences(4, 6)


def test_gopher(tmp_path):
    good = sentences(1)
    pages = {
        "good": good,
        "german": GERMAN,
        "short": SHORT,
        "hashes": [line.replace(" ", " #", 3) for line in sentences(3)],
        "repeats": [*sentences(4, 6), *[sentences(5)[0]] * 6],
        "exact": [line.upper() if place == 3 else line for place, line in enumerate(good)],
        "near": [*good[:-1], sentences(6)[0]],  # 13-grams: about 0.9
        "half": [*good[:7], *sentences(7, 7)],
    }
    write_warc(tmp_path / "crawl.warc.gz", pages)
    funnel, documents, _ = run(tmp_path, "gopher", tmp_path / "crawl.warc.gz")
    assert dropped(funnel) == {
        "language": {"language_de": 1},
        "gopher_quality": {"gopher_short_doc": 1, "gopher_too_many_hashes": 1},
        "gopher_repetition": {"dup_line_frac": 1},
        "exact": {"duplicate": 1},
        "minhash_gopher": {"near_duplicate": 1},
    }
    assert hosts(documents) == ["good", "half"]


def module(seed: int) -> str:
    """Functions that differ in every name."""
    dice = random.Random(seed)
    words = [f"{a}_{b}" for a in COLUMNS[1] for b in ("clock", "bridge", "letter", "window", "garden", "kettle")]
    dice.shuffle(words)
    body = "def {0}({1}, {2}):\n    {3} = {1} + {2}\n    if {3} in {4}:\n        return {4}[{3}]\n    return {5}({3})\n\n\n"
    return "".join(body.format(*words[start : start + 6]) for start in range(0, 60, 6))


def test_code(tmp_path):
    one, two = tmp_path / "tree" / "one", tmp_path / "tree" / "two"
    for repository in (one, two):
        (repository / ".git").mkdir(parents=True)
    picture = base64.b64encode(random.Random(0).randbytes(3000)).decode()
    files = {
        one / "good.py": module(1),
        one / "parser.c": "int parse(const char *text)\n{\n    return text ? text[0] == '{' : 0;\n}\n" * 3,
        one / "long.py": module(2) + f"x = '{'word ' * 200}'\n",
        one / "logo.py": module(3) + "\n".join(picture[i : i + 76] for i in range(0, 3000, 76)),
        one / "table.py": "x = [\n" + "".join(f"    {i * 7919}, {i * 104729},\n" for i in range(60)) + "]\n",
        one / "made.py": "# Automatically generated by a tool\n" + module(4),
        one / "keys.py": module(5) + 'AWS = "AKIAJ4XQ7ZLMWN2RTKPB"\nAUTHOR = "grace.hopper@navy-yard.org"\n',
        two / "exact.py": module(1),
        two / "indented.py": module(1).replace("    ", "\t"),
        two / "other.py": module(6),
    }
    for path, text in files.items():
        path.write_text(text)
    funnel, documents, said = run(tmp_path, "code", tmp_path / "tree")
    assert dropped(funnel) == {
        "code_lines_starcoder2": {"a_long_encoded_piece": 1, "a_long_line": 1, "too_few_letters": 1},
        "exact": {"duplicate": 1},
        "minhash_starcoder": {"near_duplicate": 1},  # the one with tabs: exactly, it is another
    }
    kept = {document["metadata"]["path"]: document for document in documents}
    assert list(kept) == ["good.py", "keys.py", "parser.c", "other.py"]
    assert kept["good.py"]["text"] == module(1) and kept["parser.c"]["metadata"]["programming_language"] == "C"
    assert kept["keys.py"]["text"] == module(5) + 'AWS = "<SECRET>"\nAUTHOR = "<EMAIL>"\n'
    assert {document["metadata"]["group"] for document in documents} == {str(one), str(two)}
    assert funnel["code"]["quarantined"][0]["reason"] == "a generated file" and "could not be read 1" in said


def test_dialogue(tmp_path):
    good = ["Did you ever see the northern lighthouse?", "Yes, we went there on a boat last summer.", "Was it worth the trip?"]
    talks = {
        "good": good,
        "german": ["Warst du schon einmal an dem alten Leuchtturm im Norden?", "Ja, wir sind im letzten Sommer mit dem Boot dort gewesen."],
        "link": ["Where can I read more about that boat?", "It is all on https://boats.example.com in the second chapter."],
        "markup": ["Where can I read more about that boat?", "It is all in [the second chapter] of the book."],
        "again": ["Do you think that we should go there?", "Well, that is very very very hard to say for me."],
        "long": ["Tell me everything that you know about it.", " ".join(sentences(1, 12))],
        "same": [line.upper().replace("?", " ?!") for line in good],
        "phone": ["How do I reach the harbour office?", "Call them on (212) 736-5000 or write to office@harbour-town.org today."],
    }
    with (tmp_path / "talks.jsonl").open("w") as out:
        for name, turns in talks.items():
            for place, said in enumerate(turns):
                parent = f"{name}{place - 1}" if place else None
                comment = {"id": f"{name}{place}", "parent_id": parent, "author": "ab"[place % 2], "body": said}
                out.write(json.dumps(comment) + "\n")
        out.write(json.dumps({"id": "gone", "parent_id": "good0", "author": "[deleted]", "body": "[deleted]"}) + "\n")
    funnel, documents, _ = run(tmp_path, "dialogue", tmp_path / "talks.jsonl")
    assert dropped(funnel) == {
        "language": {"language_de": 1},
        "regex_dialogpt": {"pattern_1_found": 1, "pattern_2_found": 1, "pattern_3_found": 1},
        "length_dialogpt": {"too_many_words": 1},
        "exact": {"duplicate": 1},
    }
    assert funnel["conversations"]["quarantined_count"] == 1
    first, second = documents
    assert first["text"] == "\n\n".join(good)
    assert [(turn["role"], turn["content"]) for turn in first["metadata"]["messages"]] == list(
        zip(["user", "assistant", "user"], good, strict=True)
    )
    masked = "Call them on [PHONE] or write to [EMAIL] today."
    assert second["text"].endswith(masked) and second["metadata"]["messages"][1]["content"] == masked


@pytest.mark.parametrize("recipe", ["web", "c4", "gopher", "code", "dialogue"])
def test_without_paths_it_says_what_is_missing(recipe):
    command = [sys.executable, "-m", "modelwright", "run", f"recipe=curate/{recipe}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == "modelwright: source.paths: it has no default; give it a value\n"
