"""No reply that is a tool call or has reasoning is learned without it: where the template does not write it, the example is left out."""

import gzip
import json

import pytest

from modelwright.component import Job
from modelwright_plugins.artifacts import Documents, Tokenizer
from modelwright_plugins.artifacts.examples import StoredExamples
from modelwright_plugins.source._turns import readable
from modelwright_plugins.stage.prepare import Prepare
from modelwright_plugins.tokenizer.bpe import ByteLevelBPE
from modelwright_plugins.tokenizer.encoder import Encoder

TEMPLATE = """{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}{{ m.role + ':' }}{% if m.role == 'assistant' %}\
{% generation %}{% if m.reasoning_content and loop.last %}<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content }}\
{% for call in m.tool_calls or [] %}{{ call.function | tojson }}{% endfor %}{% endgeneration %}\
{% else %}{{ m.content }}{% endif %}{% endfor %}"""


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    ByteLevelBPE(vocab_size=257, special_tokens=[]).train(iter(["x"]), folder)  # a token a byte
    return Tokenizer(folder)


def u(content):
    return {"role": "user", "content": content}


def a(content, **more):
    return {"role": "assistant", "content": content, **more}


def stored(folder, tokenizer, said, template, tools=None, **settings):
    """What is prepared of one conversation and a plain one."""
    plain = {"kind": "conversation", "prompt": [], "replies": [[u("Q"), a("A")]], "scores": None, "labels": None}
    first = plain | {"replies": [said]} | ({"tools": tools} if tools else {})
    (folder / "documents").mkdir(parents=True)
    with gzip.open(folder / "documents" / "00000.jsonl.gz", "wt") as out:
        for name, one in enumerate((first, plain)):
            out.write(json.dumps({"text": readable(one), "id": str(name), "metadata": {"example": one, "group": str(name)}}) + "\n")
    (folder / "documents" / "split.json").write_text(json.dumps({"held_out": [], "bytes": {"train": 1, "held_out": 1}}))
    inputs = {Documents: Documents(folder / "documents"), Tokenizer: tokenizer}
    Prepare(template=template, **settings).run(Job(run=folder, out=folder, seed=0, parts={}, inputs=inputs, hooks=None))
    return StoredExamples(folder / "examples")


CALL = [{"type": "function", "function": {"name": "weather", "arguments": {"city": 'Köln "x"'}}}]
AS_TEXT = [{"function": {"name": "weather", "arguments": json.dumps({"city": "Köln"})}}]
CASES = {  # what is said, its tools, what is not shown by templates that know only content
    "call": ([u("?"), a("", tool_calls=CALL)], None, "a turn's tool_calls"),
    "call with words": ([u("weather?"), a("Let me see.", tool_calls=CALL)], None, "a turn's tool_calls"),
    "call as text": ([u("?"), a("", tool_calls=AS_TEXT)], None, "a turn's tool_calls"),
    "earlier call": ([u("?"), a("", tool_calls=CALL), {"role": "tool", "content": "sun"}, a("Sun.")], None, "a turn's tool_calls"),
    "tools": ([u("add 2"), a("4")], [{"name": "add"}], "its tools"),
    "reasoning": ([u("?"), a("4", reasoning_content="2+2=4")], None, "a turn's reasoning_content"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_the_template_does_not_write_is_not_learned_as_nothing(tmp_path, tokenizer, name, capsys):
    said, tools, what = CASES[name]
    for template in ("chatml", "plain", "llama3", "zephyr"):
        found = stored(tmp_path / template, tokenizer, said, template, tools)
        assert found.about["dropped"] == {f"the template's text does not show {what}": 1}
        assert [line["id"] for line in found.lines()] == ["1"] and f"does not show {what}" in capsys.readouterr().out
    (tmp_path / "all.jinja").write_text(TEMPLATE)
    found = stored(tmp_path / "all", tokenizer, said, str(tmp_path / "all.jinja"), tools)
    tokens, mask = found.row(0)
    learned = Encoder(tokenizer.path).decode(tokens[mask.astype(bool)].tolist())
    assert found.about["dropped"] == {} and (name in ("tools", "reasoning") or "weather" in learned)
    assert name != "reasoning" or "<think>2+2=4</think>4" in learned


def test_reasoning_of_turns_that_are_no_targets_may_be_left_out(tmp_path, tokenizer):
    (tmp_path / "all.jinja").write_text(TEMPLATE)
    said = [u("?"), a("4", reasoning_content="2+2=4"), u("!"), a("5", reasoning_content="4+1")]
    for loss_on, left in (("last", {}), ("every", {"the template's text does not show a turn's reasoning_content": 1})):
        assert stored(tmp_path / loss_on, tokenizer, said, str(tmp_path / "all.jinja"), loss_on=loss_on).about["dropped"] == left


def test_lists_of_calls_that_are_empty_are_none(tmp_path):
    from modelwright_plugins.source._turns import Malformed, turns

    assert turns([a("x", tool_calls=[], reasoning_content="")], "messages") == [a("x")]
    with pytest.raises(Malformed, match="no content"):
        turns([a(None, tool_calls=[])], "messages")
