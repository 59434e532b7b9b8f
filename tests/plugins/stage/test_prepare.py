"""From documents with examples to rows: worked out by hand, and the same as transformers where it says what the assistant's tokens are."""

import gzip
import json

import numpy as np
import pytest

from modelwright.component import Job
from modelwright.errors import ModelwrightError
from modelwright_plugins.artifacts import Documents, Examples, Tokenizer
from modelwright_plugins.artifacts.examples import StoredExamples
from modelwright_plugins.source._turns import readable
from modelwright_plugins.stage.prepare import Prepare
from modelwright_plugins.tokenizer.bpe import ByteLevelBPE
from modelwright_plugins.tokenizer.encoder import Encoder


def u(content):
    return {"role": "user", "content": content}


def a(content):
    return {"role": "assistant", "content": content}


def form(kind, prompt, *replies, scores=None, labels=None, **more):
    return {"kind": kind, "prompt": prompt, "replies": list(replies), "scores": scores, "labels": labels, **more}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    ByteLevelBPE(vocab_size=257, special_tokens=[]).train(iter(["x"]), folder)  # a token a byte
    return Tokenizer(folder)


def documents(folder, examples, held_out=(), **more):
    folder.mkdir()
    with gzip.open(folder / "00000.jsonl.gz", "wt") as out:
        for place, example in enumerate(examples):
            group, text = f"g{place}", readable(example)
            metadata = {"example": example, "group": group} | {key: values[place] for key, values in more.items()}
            out.write(json.dumps({"text": text, "id": f"d{place}", "metadata": metadata}) + "\n")
    (folder / "split.json").write_text(json.dumps({"held_out": list(held_out), "bytes": {"train": 1, "held_out": 1}}))
    return Documents(folder)


def prepared(folder, tokenizer, examples, held_out=(), more=None, **settings):
    found = documents(folder / "documents", examples, held_out, **(more or {}))
    out = folder / "out"
    out.mkdir()
    job = Job(run=out, out=out, seed=0, parts={}, inputs={Documents: found, Tokenizer: tokenizer}, hooks=None)
    Prepare(**{"template": "plain", **settings}).run(job)
    return job.make(Examples).path


def shown(stored, row, tokenizer):
    """A row's text, its targets within []; the end of the document is $."""
    encoder, said, inside = Encoder(tokenizer.path), "", False
    runs = []
    for token, target in zip(*(part.tolist() for part in stored.row(row)), strict=True):
        if bool(target) != inside or not runs:
            runs.append((bool(target), []))
            inside = bool(target)
        runs[-1][1].append(token)
    for target, tokens in runs:
        text = encoder.hugging_face.decode(tokens, skip_special_tokens=False).replace("<|endoftext|>", "$")
        said += f"[{text}]" if target else text
    return said


TALK = [u("Hi é"), a("Ho é"), u("Hu"), a("He")]


def test_a_conversation_by_hand(tmp_path, tokenizer):
    pair = form("conversation", TALK[:3], [a("Ha")])
    folder = prepared(tmp_path, tokenizer, [form("conversation", [], TALK), pair, pair], held_out=["g2"])
    stored, aside = StoredExamples(folder), StoredExamples(folder, "held_out")
    assert (stored.kind, len(stored), len(aside), stored.end_of_document) == ("conversation", 2, 1, 0)
    assert shown(stored, 0, tokenizer) == "User: Hi é\n\nAssistant:[ Ho é$]\n\nUser: Hu\n\nAssistant:[ He$]"
    expected = "User: Hi é\n\nAssistant: Ho é$\n\nUser: Hu\n\nAssistant:[ Ha$]"
    assert shown(stored, 1, tokenizer) == shown(aside, 0, tokenizer) == expected  # what a prompt says is no target
    assert list(aside.lines()) == [{"id": "d2", "group": "g2", "messages": TALK[:3]}] and np.isnan(stored.scores).all()
    assert stored.about["template"].startswith("{#-") and stored.about["dropped"] == {}


def test_turns_of_weight_0_are_no_targets(tmp_path, tokenizer):
    talks = ([u("Q"), a("A") | {"weight": one}, u("R"), a("B") | {"weight": other}] for one, other in ((0, 1), (1, 0), (0, 0)))
    examples = [form("conversation", [], said) for said in talks]
    chatml = "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n{}\n<|im_start|>user\nR<|im_end|>\n<|im_start|>assistant\n{}"
    expected = {
        "plain": ["User: Q\n\nAssistant: A$\n\nUser: R\n\nAssistant:[ B$]", "User: Q\n\nAssistant:[ A$]\n\nUser: R\n\nAssistant: B$"],
        "chatml": [chatml.format("A<|im_end|>", "[B<|im_end|>$]"), chatml.format("[A<|im_end|>]", "B<|im_end|>$")],
    }
    for template, rows in expected.items():
        (tmp_path / template).mkdir()
        stored = StoredExamples(prepared(tmp_path / template, tokenizer, examples, template=template))
        assert stored.about["dropped"] == {"no turn of the assistant is a target: their weights are 0": 1}
        assert [shown(stored, row, tokenizer) for row in range(len(stored))] == rows


def test_loss_on_the_last_turn_and_a_stop_that_the_template_has_not(tmp_path, tokenizer, capsys):
    folder = prepared(tmp_path, tokenizer, [form("conversation", [], TALK)], template="chatml", loss_on="last")
    assert shown(StoredExamples(folder), 0, tokenizer) == (
        "<|im_start|>user\nHi é<|im_end|>\n<|im_start|>assistant\nHo é<|im_end|>\n<|im_start|>user\nHu<|im_end|>\n<|im_start|>assistant\n"
        "[He<|im_end|>$]"
    )
    said = capsys.readouterr().out
    assert "the tokenizer has no token for <|im_start|>, <|im_end|>: encoded as text" in said and "conversation" in said


def test_loss_on_all_tokens(tmp_path, tokenizer):
    rows = {}
    for loss_on in ("every", "all"):
        (tmp_path / loss_on).mkdir()
        stored = StoredExamples(
            prepared(tmp_path / loss_on, tokenizer, [form("conversation", [], TALK)], template="chatml", loss_on=loss_on)
        )
        rows[loss_on] = stored.row(0)
    assert rows["all"][0].tolist() == rows["every"][0].tolist()
    assert rows["all"][1].all() and 0 < rows["every"][1].sum() < len(rows["every"][1])


def test_rows_of_other_kinds(tmp_path, tokenizer):
    kinds = {
        "preference": form("preference", [u("Q")], [a("A")], [a("B"), u("?"), a("C")], scores=[2.0, 0.0]),
        "ranking": form("ranking", [u("Q")], [a("A")], [a("B")], [a("C")]),
        "unpaired": form("unpaired", [u("Q")], [a("A")], scores=[1.0]),
        "prompt": form("prompt", [u("Q")], answer="4"),
    }
    rows = {
        "preference": ["User: Q\n\nAssistant:[ A$]", "User: Q\n\nAssistant:[ B$]\n\nUser: ?\n\nAssistant:[ C$]"],
        "ranking": [f"User: Q\n\nAssistant:[ {reply}$]" for reply in "ABC"],
        "unpaired": ["User: Q\n\nAssistant:[ A$]"],
        "prompt": ["User: Q\n\nAssistant:"],
    }
    for kind, example in kinds.items():
        (tmp_path / kind).mkdir()
        stored = StoredExamples(prepared(tmp_path / kind, tokenizer, [example] * 2))
        assert stored.kind == kind and [len(stored.rows_of(i)) for i in range(2)] == [len(rows[kind])] * 2
        assert [shown(stored, row, tokenizer) for row in stored.rows_of(1)] == rows[kind]
        np.testing.assert_array_equal(stored.scores, (example["scores"] or [np.nan] * len(rows[kind])) * 2)
        assert [line.get("answer") for line in stored.lines()] == [example.get("answer")] * 2


def test_steps_have_a_label_at_their_last_tokens(tmp_path, tokenizer):
    steps = [" 2+2=4", "4+2=é "]
    example = form("steps", [u("2+2=4")], [a("\n".join(steps))], labels=[1.0, -1.0], steps=steps)
    stored = StoredExamples(prepared(tmp_path, tokenizer, [example]))
    tokens, mask = stored.row(0)
    values = stored.values_of(0)
    text = "User: 2+2=4\n\nAssistant: 2+2=4\n4+2=é".encode()
    assert shown(stored, 0, tokenizer) == "User: 2+2=4\n\nAssistant:[ 2+2=4\n4+2=é$]" and len(tokens) == len(text) + 1
    places = np.flatnonzero(~np.isnan(values)).tolist()
    assert values[places].tolist() == [1, -1] and all(mask[places])
    assert places == [text.rindex(b"2+2=4") + 4, len(text) - 1]  # a token a byte: the last byte of é


def test_what_is_left_out_is_counted(tmp_path, tokenizer, capsys):
    long = form("preference", [u("Q")], [a("A")], [a("B" * 200)])
    good = form("preference", [u("Q")], [a("A")], [a("B")])
    folder = prepared(tmp_path, tokenizer, [good, long], max_length=60)
    assert StoredExamples(folder).about["dropped"] == {"longer than 60 tokens": 1} and len(StoredExamples(folder)) == 1
    assert "left out               1  longer than 60 tokens" in capsys.readouterr().out
    for name, examples, settings, said in (
        (
            "error",
            [good, long],
            {"max_length": 60, "too_long": "error"},
            "d1 has .* tokens, more than max_length=60; prepare.too_long=drop",
        ),
        ("none", [long], {"max_length": 60}, r"no training example is left \(1: longer than 60 tokens\)"),
        ("kinds", [good, form("conversation", [], TALK)], {}, "d1 is of kind conversation, those before it preference"),
        ("refused", [form("conversation", [], [a("x")])], {"template": "mistral"}, "no training example is left .*roles must alternate"),
    ):
        (tmp_path / name).mkdir()
        with pytest.raises(ModelwrightError, match=said):
            prepared(tmp_path / name, tokenizer, examples, **settings)


def test_a_prompt_that_is_too_long_loses_its_first_turns_and_never_a_reply(tmp_path, tokenizer, capsys):
    system = {"role": "system", "content": "S"}
    asked = [system, u("first " * 9), a("x"), {"role": "user", "content": "Q"}]
    pair = form("preference", asked, [a("A")], [a("B" * 20)])
    alone = form("preference", [u("first " * 20)], [a("A")], [a("B")])
    folder = prepared(tmp_path, tokenizer, [pair, alone], max_length=60, too_long="cut_prompt")
    stored = StoredExamples(folder)
    assert [shown(stored, row, tokenizer) for row in range(2)] == [f"S\n\nUser: Q\n\nAssistant:[ {said}$]" for said in ("A", "B" * 20)]
    assert stored.about["cut_prompts"] == 1 and stored.about["dropped"] == {"longer than 60 tokens": 1}
    assert "shorter                1  the first turns of a prompt are left out" in capsys.readouterr().out


def test_the_same_bits_each_time(tmp_path, tokenizer):
    found = []
    for name in "xy":
        (tmp_path / name).mkdir()
        examples = [form("conversation", [], [u(f"Q{n}"), a("A" * n)]) for n in range(1, 600)]
        folder = prepared(tmp_path / name, tokenizer, examples, held_out=["g5", "g300"])
        found.append({file.name: file.read_bytes() for file in folder.iterdir()})
    assert found[0] == found[1] and len(found[0]) == 13


def test_an_edited_text_does_not_bring_back_what_was_taken_out(tmp_path, tokenizer):
    found = documents(tmp_path / "documents", [form("conversation", [], [u(f"My name is {n}"), a("Hi")]) for n in "ABC"])
    (file,) = found.path.glob("*.gz")
    lines = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
    lines[0]["text"] = lines[0]["text"].replace("A", "[NAME]")
    lines[1]["metadata"].pop("example")
    with gzip.open(file, "wt") as out:
        out.writelines(json.dumps(line) + "\n" for line in lines)
    job = Job(run=tmp_path, out=tmp_path, seed=0, parts={}, inputs={Documents: found, Tokenizer: tokenizer}, hooks=None)
    Prepare(template="plain").run(job)
    stored = StoredExamples(tmp_path / "examples")
    assert [line["id"] for line in stored.lines()] == ["d2"] and sum(stored.about["dropped"].values()) == 2


def test_an_example_that_a_filter_edited_does_not_leave_the_curation(tmp_path):
    from datatrove.data import Document
    from datatrove.pipeline.filters.base_filter import BaseFilter

    from modelwright_plugins.stage._curation import Count, Kept

    class Edit(BaseFilter):
        name = "edit"

        def filter(self, doc):
            doc.text = doc.text.replace("Ada", "[NAME]")
            if "alike" in doc.text:
                doc.metadata["example"]["prompt"][0]["content"] = doc.text.partition("\n")[0]
            return True

    said = ["Ada", "Ada alike", "Bob"]
    examples = [form("preference", [u(text)], [a("x")], [a("y")]) for text in said]
    came = [Document(text=readable(one), id=str(i), metadata={"example": one, "group": "g"}) for i, one in enumerate(examples)]
    left = list(Count(tmp_path, 0, Kept(1, 1, 1), Edit()).run(iter(came)))
    assert [document.metadata.get("example", {}).get("prompt") for document in left] == [None, [u("[NAME] alike")], [u("Bob")]]


def test_a_cap_draws_so_many_of_each_source_and_the_same_each_time(tmp_path, tokenizer):
    examples = [form("conversation", [], [u(f"Q{n}"), a("A")]) for n in range(50)]
    sources = {"source": ["big"] * 40 + ["small"] * 10}
    found = []
    for name in "xy":
        (tmp_path / name).mkdir()
        stored = StoredExamples(prepared(tmp_path / name, tokenizer, examples, held_out=["g0"], more=sources, cap=15))
        found.append([(line["source"], line["id"]) for line in stored.lines()])
        assert len(StoredExamples(stored.folder, "held_out")) == 1
    assert found[0] == found[1] and [name for name, _ in found[0]] == ["big"] * 15 + ["small"] * 10
    assert [int(line[1:]) for _, line in found[0][:15]] != list(range(1, 16))


def test_everybodys_turns_of_conversations_alone(tmp_path, tokenizer):
    talk = [u("Hi"), {**a("Ho"), "weight": 0}, u("Hu"), a("He")]
    stored = StoredExamples(prepared(tmp_path, tokenizer, [form("conversation", [], talk)], loss_on="all"))
    assert shown(stored, 0, tokenizer) == "[User: Hi\n\nAssistant:] Ho$[\n\nUser: Hu\n\nAssistant: He$]"
    (tmp_path / "pairs").mkdir()
    with pytest.raises(ModelwrightError, match="loss_on=all is of conversations, and these are of kind preference"):
        prepared(tmp_path / "pairs", tokenizer, [form("preference", [u("Hi")], [a("Ho")], [a("Hu")])], loss_on="all")


def test_texts_are_learned_whole_beside_conversations(tmp_path, tokenizer):
    """Each token of a text is predicted once, but for the first, and a conversation is as it is without them."""
    texts = ["A text of some length é.", "b", ""]
    found = documents(tmp_path / "documents", [form("conversation", [], TALK)], source=["chat"])
    with gzip.open(tmp_path / "documents" / "00001.jsonl.gz", "wt") as out:
        for place, text in enumerate(texts):
            about = {"group": f"t{place}", "source": "web"}
            out.write(json.dumps({"text": text, "id": f"t{place}", "metadata": about}) + "\n")
    out = tmp_path / "out"
    out.mkdir()
    job = Job(run=out, out=out, seed=0, parts={}, inputs={Documents: found, Tokenizer: tokenizer}, hooks=None)
    Prepare(template="plain", texts="learn", max_length=70).run(job)
    stored = StoredExamples(job.make(Examples).path)
    assert shown(stored, 0, tokenizer) == "User: Hi é\n\nAssistant:[ Ho é$]\n\nUser: Hu\n\nAssistant:[ He$]"
    assert [line["source"] for line in stored.lines()] == ["chat", "web", "web", "web"]
    assert [shown(stored, row, tokenizer) for row in (1, 2, 3)] == [f"[{text}$]" for text in texts]
    from modelwright_plugins.stage._plain_text import text_rows

    encoder = Encoder(tokenizer.path)
    for length in (2, 3, 7, 27):
        rows = text_rows(texts[0], encoder, length)
        whole = [*encoder.encode(texts[0]), 0]
        assert [int(token) for tokens, _, _ in rows for token in tokens[1:]] == whole[1:] and rows[0][0][0] == whole[0]
        assert all(len(tokens) <= length and mask.all() for tokens, mask, _ in rows)


def test_bad_settings_are_told(tmp_path):
    with pytest.raises(ValueError, match=r"template is chatlm; it is a \.jinja file or a built-in name; did you mean 'chatml'"):
        Prepare(template="chatlm")
    with pytest.raises(ValueError, match="max_length is 1; it is 2 or more, or null"):
        Prepare(max_length=1)
    assert Prepare(template=str(tmp_path / "x.jinja")).problems({}) == [f"prepare.template={tmp_path}/x.jinja: there is no such file"]
    (tmp_path / "x.jinja").write_text("a")
    before = Prepare(template=str(tmp_path / "x.jinja")).fingerprint()
    (tmp_path / "x.jinja").write_text("b")
    assert before and Prepare(template=str(tmp_path / "x.jinja")).fingerprint() != before
