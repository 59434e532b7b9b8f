"""Stage mix: each domain's documents whole and in order, what stays as it is, what Megatron-LM reads, and what does not fit."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from megatron.core.datasets.utils import get_blend_from_list

from modelwright.assemble import assemble, problems
from modelwright.component import Job
from modelwright.compose import composed
from modelwright.errors import ModelwrightError
from modelwright.hooks import discover
from modelwright_plugins.artifacts import Documents, Tokenizer, TokenShards
from modelwright_plugins.artifacts.blend import Blend
from modelwright_plugins.artifacts.shard_writer import ShardWriter
from modelwright_plugins.curriculum.orders import Shuffled, Sorted
from modelwright_plugins.engine.blend import opened
from modelwright_plugins.engine.texts import stored_lengths, stored_tokens
from modelwright_plugins.mixture import Material, Mixture, Phase
from modelwright_plugins.mixture.phases import Phases
from modelwright_plugins.mixture.weights import Fixed, Proportional, UniMax
from modelwright_plugins.stage._mix import _domain, file_names
from modelwright_plugins.stage.mix import Mix

VOCABULARY = 300
SOURCES = ("web/en", "code", "Web_en")
HELD_OUT = ("g3", "g11")


def write_documents(folder: Path, count: int = 40) -> list[dict[str, Any]]:
    (folder / "documents").mkdir(parents=True)
    random = np.random.default_rng(0)
    documents = []
    for n in range(count):
        text = "".join(chr(int(letter)) for letter in random.integers(97, 123, random.integers(5, 60))) + "ü"
        about = {"group": f"g{n}", "source": SOURCES[n % 5 % 3], "perplexity": float(random.random()), "lines": n}
        documents.append({"text": text, "id": f"d{n}", "metadata": about})
    for name, part in (("0.jsonl.gz", documents[:25]), ("1.jsonl.gz", documents[25:])):
        with gzip.open(folder / "documents" / name, "wt", encoding="utf-8") as out:
            out.writelines(json.dumps(document) + "\n" for document in part)
    sizes = {"train": 0, "held_out": 0}
    for document in documents:
        sizes["held_out" if document["metadata"]["group"] in HELD_OUT else "train"] += len(document["text"].encode())
    (folder / "documents" / "split.json").write_text(json.dumps({"held_out": HELD_OUT, "bytes": sizes}))
    return documents


def tokens_of(document: dict[str, Any]) -> list[int]:
    return [*(byte + 1 for byte in document["text"].encode()), 0]


def write_shards(folder: Path, documents: list[dict[str, Any]]) -> None:
    """What stage tokenize makes of them, with bytes for tokens."""
    (folder / "token_shards").mkdir()
    totals = {part: {"documents": 0, "tokens": 0, "bytes": 0, "groups": []} for part in ("train", "held_out")}
    with ShardWriter(folder / "token_shards/train", VOCABULARY) as train, ShardWriter(folder / "token_shards/held_out", VOCABULARY) as held:
        lines = []
        for document in documents:
            part = "held_out" if document["metadata"]["group"] in HELD_OUT else "train"
            (held if part == "held_out" else train).write(tokens_of(document))
            totals[part]["bytes"] += len(document["text"].encode())  # type: ignore[operator]
            if part == "held_out":
                lines.append(json.dumps({"id": document["id"], "group": document["metadata"]["group"], "bytes": 1}))
    (folder / "token_shards/held_out.jsonl").write_text("".join(f"{line}\n" for line in lines))
    (folder / "token_shards/shards.json").write_text(json.dumps({**totals, "vocab_size": VOCABULARY, "end_of_document": 0}))


@pytest.fixture
def documents(tmp_path: Path) -> list[dict[str, Any]]:
    found = write_documents(tmp_path)
    write_shards(tmp_path, found)
    return found


def job(here: Path, mixture: Mixture | None = None, curriculum: Any = None) -> Job:
    inputs = {kind: kind(here / kind.name) for kind in (Documents, TokenShards, Tokenizer)}
    (here / "mix").mkdir()
    parts = {"mixture": mixture or Proportional(), "curriculum": curriculum or Shuffled()}
    return Job(here, here / "mix", 3, parts, inputs, discover())


def mixed(here: Path, stage: Mix | None = None, **parts: Any) -> tuple[Path, dict[str, Any]]:
    """The new shards, and each domain's documents as lists of tokens."""
    given = job(here, **parts)
    (stage or Mix()).run(given)
    folder = given.make(TokenShards).path
    found = {}
    for name, about in json.loads((folder / "shards.json").read_text())["domains"].items():
        tokens, lengths = stored_tokens(folder / about["shard"]), stored_lengths(folder / about["shard"])
        found[name] = [part.tolist() for part in np.split(tokens, np.cumsum(lengths)[:-1])]
        assert (about["documents"], about["tokens"]) == (len(found[name]), len(tokens))
    return folder, found


def training(documents: list[dict[str, Any]], source: str) -> list[dict[str, Any]]:
    return [d for d in documents if d["metadata"]["source"] == source and d["metadata"]["group"] not in HELD_OUT]


def test_domains_are_whole_and_the_rest_is_as_it_was(tmp_path: Path, documents: list[dict[str, Any]]) -> None:
    folder, found = mixed(tmp_path)
    assert [*found] == ["web/en", "code", "Web_en"]  # in the order of their first documents
    for name, texts in found.items():
        assert texts == [tokens_of(document) for document in training(documents, name)]
        sizes = json.loads((folder / "shards.json").read_text())["domains"]
        assert sizes[name]["bytes"] == sum(len(d["text"].encode()) for d in training(documents, name))
    assert len({about["shard"].lower() for about in sizes.values()}) == 3  # where capitals are small letters, too
    for name in ("train.bin", "train.idx", "held_out.bin", "held_out.idx", "held_out.jsonl"):
        assert (folder / name).samefile(tmp_path / "token_shards" / name)
    before = json.loads((tmp_path / "token_shards/shards.json").read_text())
    assert before.items() <= json.loads((folder / "shards.json").read_text()).items()
    assert not (tmp_path / "mix/mixture").exists()  # nothing was left there


@pytest.mark.parametrize(
    ("curriculum", "key"),
    [
        (Sorted(), lambda d: len(d["text"].encode())),
        (Sorted(descending=True), lambda d: -len(d["text"].encode())),
        (Sorted(by="perplexity", window=3), lambda d: d["metadata"]["perplexity"]),
        (Sorted(by="lines", descending=True), lambda d: -d["metadata"]["lines"]),
    ],
)
def test_documents_of_a_domain_are_in_the_curriculums_order(
    tmp_path: Path, documents: list[dict[str, Any]], curriculum: Sorted, key: Any
) -> None:
    folder, found = mixed(tmp_path, curriculum=curriculum)
    for name, texts in found.items():
        assert texts == [tokens_of(document) for document in sorted(training(documents, name), key=key)]
    blend = Blend.read(folder)
    assert blend is not None and blend.window == curriculum.window


def test_all_text_is_one_domain_where_none_is_named(tmp_path: Path, documents: list[dict[str, Any]]) -> None:
    folder, found = mixed(tmp_path, Mix(domain=None), curriculum=Sorted())
    whole = [d for d in documents if d["metadata"]["group"] not in HELD_OUT]
    ordered = [tokens_of(d) for d in sorted(whole, key=lambda d: len(d["text"].encode()))]
    assert [*found] == ["all"] and found["all"] == ordered
    texts = opened(folder / "train", (9,), seed=3, length=8)  # and so training reads it, in every epoch
    stream = [token for document in ordered for token in document]
    for epoch in range(2):
        spans = [texts.spans(epoch * texts.count + number)[0].tolist() for number in range(texts.count)]
        assert spans == [stream[begin : begin + 9] for begin in range(0, len(stream) - 8, 8)]


def test_a_blend_says_what_is_drawn(tmp_path: Path, documents: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    weights = {"web/en": 1.0, "code": 3.0, "Web_en": 0.0}
    mixture = Phases(phases={"general": {"share": 3, "name": "proportional"}, "co/de": {"share": 1, "name": "fixed", "weights": weights}})
    folder, found = mixed(tmp_path, Mix(tokens=40_000), mixture=mixture)
    blend = Blend.read(folder)
    assert blend is not None and [(p.name, p.share) for p in blend.phases] == [("general", 0.75), ("co/de", 0.25)]
    sizes = {name: sum(map(len, texts)) for name, texts in found.items()}
    total = sum(sizes.values())
    drawn = {name: 30_000 * size / total + 10_000 * weights[name] / 4 for name, size in sizes.items()}
    for row in blend.totals():
        assert row["drawn"] == pytest.approx(drawn[row["domain"]], abs=1)
        assert row["epochs"] == pytest.approx(drawn[row["domain"]] / sizes[row["domain"]], rel=1e-3)
    words = (tmp_path / "mix/blend_co_de.txt").read_text().split()
    read = get_blend_from_list(words)
    assert read == ([str(folder / "train_web_en"), str(folder / "train_code")], [0.25, 0.75])  # Megatron wants weights above 0
    said = capsys.readouterr().out
    assert said.count("  code ") == 3 and "in all" in said and "!" in said and "Muennighoff" in said


def test_a_mixture_is_given_what_there_is(tmp_path: Path, documents: list[dict[str, Any]]) -> None:
    seen: list[Material] = []

    class Watching(Proportional):
        def plan(self, material: Material) -> list[Phase]:
            seen.append(material)
            assert (material.shards / "shards.json").is_file() and material.work.is_dir()
            assert all(domain.shard.with_suffix(".idx").is_file() for domain in material.domains.values())
            (material.work / "kept.txt").write_text("x")
            return super().plan(material)

    mixed(tmp_path, mixture=Watching())
    assert seen[0].tokens == sum(domain.tokens for domain in seen[0].domains.values()) and seen[0].seed == 3
    assert (tmp_path / "mix/mixture/kept.txt").is_file()


def test_mixing_again_takes_what_was_mixed(tmp_path: Path, documents: list[dict[str, Any]]) -> None:
    folder, found = mixed(tmp_path)
    (again := tmp_path / "again").mkdir()
    given = job(again, UniMax())
    inputs = {**given.inputs, Documents: Documents(tmp_path / "documents"), TokenShards: TokenShards(folder)}
    Mix().run(replace(given, inputs=inputs))
    assert [*json.loads((again / "mix/token_shards/shards.json").read_text())["domains"]] == [*found]


@pytest.mark.parametrize(
    ("stage", "parts", "said"),
    [
        (Mix(domain="sources"), {}, "document 'd0': mix.domain=sources is not in its metadata; did you mean 'source'?"),
        (Mix(domain="perplexity"), {}, "mix.domain=perplexity is 0."),
        (Mix(), {"curriculum": Sorted(by="perplexty")}, "'d0': curriculum.by=perplexty is not in its metadata; did you mean"),
        (Mix(), {"mixture": Fixed(weights={"code": 1})}, "mixture.weights has no weight for domain 'web/en'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_documents(
    tmp_path: Path, documents: list[dict[str, Any]], stage: Mix, parts: dict[str, Any], said: str
) -> None:
    with pytest.raises(ModelwrightError) as caught:
        mixed(tmp_path, stage, **parts)
    assert said in str(caught.value)


@pytest.mark.parametrize("change", ["fewer", "more", "others", "held"])
def test_shards_of_other_documents_are_refused(tmp_path: Path, change: str) -> None:
    mine = write_documents(tmp_path)
    other = {
        "fewer": mine[:-1],
        "more": [*mine, mine[0] | {"id": "x"}],
        "others": [*mine[:-1], mine[-1] | {"text": "z"}],
        "held": [{**d, "id": "x"} if d["metadata"]["group"] == "g11" else d for d in mine],
    }
    write_shards(tmp_path, other[change])
    with pytest.raises(ModelwrightError, match=r"token_shards was not made from .*documents; run stages=\[tokenize,mix"):
        mixed(tmp_path)


@pytest.mark.parametrize(
    ("phases", "said"),
    [
        ([Phase("x", 1.0, {"web/en": 1.0})], "phase 'x' has weights for web/en; domains are web/en, code, Web_en"),
        ([Phase("x", 1.0, {"web/en": 0.5, "code": 0.1, "Web_en": 0.1})], "none is negative, and they sum to 1"),
        ([Phase("x", 0.4, {"web/en": 0.5, "code": 0.4, "Web_en": 0.1})], "shares of the phases are [0.4]"),
    ],
)
def test_a_mixture_that_gives_no_shares(tmp_path: Path, documents: list[dict[str, Any]], phases: list[Phase], said: str) -> None:
    class Wrong(Proportional):
        def plan(self, material: Material) -> list[Phase]:
            return phases

    with pytest.raises(ModelwrightError) as caught:
        mixed(tmp_path, mixture=Wrong())
    assert said in str(caught.value)


def test_a_key_that_is_no_domain(tmp_path: Path, documents: list[dict[str, Any]]) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(ModelwrightError, match=r"mix\.domain=lines: there are more than 20 domains"):
        patch.setattr("modelwright_plugins.stage._mix.DOMAINS", 20)
        mixed(tmp_path, Mix(domain="lines"))


@pytest.mark.parametrize("value", [True, False, 0.5, None, "", ["a"]])
def test_what_is_no_name_of_a_domain(value: Any) -> None:
    document = {"id": "d0", "metadata": {"news": value, "site": "a.org"}}
    with pytest.raises(ModelwrightError, match=rf"document 'd0': mix\.domain=news is {re.escape(repr(value))}, and no name"):
        _domain(document, "news")
    assert _domain({"id": "d0", "metadata": {"news": 1999}}, "news") == "1999"


def test_file_names_are_safe_and_distinct() -> None:
    names = ["a b", "a/b", "A_B", "../x", "…", "ü", "n" * 300, "x"]
    found = file_names(names)
    assert found == ["a_b", "a_b_2", "A_B_3", "x", "domain", "domain_2", "n" * 60, "x_2"]


def test_stages_after_it_take_what_it_makes(tmp_path: Path) -> None:
    stages = "stages=[curate,train_tokenizer,tokenize,mix,train,evaluate]"
    config = composed(["recipe=pretrain/quickstart", stages])
    bound = {b.name: b for b in assemble(config, discover().registry)}
    assert bound["mix"].producers[TokenShards] == "tokenize" and bound["mix"].stage.ranks(bound["mix"].parts) is None
    assert bound["train"].producers[TokenShards] == bound["evaluate"].producers[TokenShards] == "mix"
    assert problems([*bound.values()], config) == []


@pytest.mark.parametrize(("given", "said"), [({"tokens": 0}, "tokens is 0"), ({"domain": ""}, "domain is empty")])
def test_settings_of_the_stage(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Mix(**given)
