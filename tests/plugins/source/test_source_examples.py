"""Each format that people have becomes our own form, as worked out by hand; what is no example is quarantined with its line.

The same was compared once with TRL 1.16's `extract_prompt` and `maybe_convert_to_chatml` on LLaMA-Factory's 300 pairs (2026-11-21)."""

import gzip
import json

import pytest

from modelwright.errors import ModelwrightError
from modelwright_plugins.source import BadRecord
from modelwright_plugins.source.examples import Examples


def s(content):
    return {"role": "system", "content": content}


def u(content):
    return {"role": "user", "content": content}


def a(content):
    return {"role": "assistant", "content": content}


def form(kind, prompt, *replies, scores=None, **more):
    return {"kind": kind, "prompt": prompt, "replies": list(replies), "scores": scores, "labels": None, **more}


HUMAN = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}]
GOOD = {
    "messages": ({"messages": [s("S"), u("Hi"), a("Ho")]}, form("conversation", [], [s("S"), u("Hi"), a("Ho")])),
    "messages weights": (
        {"messages": [u("Hi") | {"weight": 0}, a("Ho") | {"weight": 0}, u("Hu"), a("He") | {"weight": 1}]},
        form("conversation", [], [u("Hi"), a("Ho") | {"weight": 0}, u("Hu"), a("He")]),
    ),
    "messages parts": (
        {"messages": [u([{"type": "text", "text": "Hi"}]), a("Ho")]},
        form("conversation", [], [u("Hi"), a("Ho")]),
    ),
    "sharegpt": ({"conversations": HUMAN, "system": "S"}, form("conversation", [], [s("S"), u("Hi"), a("Ho")])),
    "sharegpt tools": (
        {
            "conversations": [
                {"from": "human", "value": "2+2?"},
                {"from": "function_call", "value": "add(2, 2)"},
                {"from": "observation", "value": "4"},
                {"from": "gpt", "value": "Four."},
            ],
            "tools": '[{"name": "add"}]',
        },
        form(
            "conversation",
            [],
            [u("2+2?"), a("add(2, 2)"), {"role": "tool", "content": "4"}, a("Four.")],
            tools=[{"name": "add"}],
        ),
    ),
    "alpaca": (
        {"instruction": "Add.", "input": "2, 2", "output": "4", "history": [["Hi", "Ho"]], "system": "S"},
        form("conversation", [], [s("S"), u("Hi"), a("Ho"), u("Add.\n2, 2"), a("4")]),
    ),
    "alpaca, an input of spaces": ({"instruction": "Hi", "input": " \n", "output": "Ho"}, form("conversation", [], [u("Hi"), a("Ho")])),
    "alpaca without input": ({"instruction": "Hi", "input": "", "output": "Ho"}, form("conversation", [], [u("Hi"), a("Ho")])),
    "prompt_completion": ({"prompt": "Hi", "completion": "Ho"}, form("conversation", [u("Hi")], [a("Ho")])),
    "prompt_completion messages": (
        {"prompt": [u("Hi"), a("Ho"), u("Hu")], "completion": [a("He")]},
        form("conversation", [u("Hi"), a("Ho"), u("Hu")], [a("He")]),
    ),
    "preference": (
        {"prompt": "Hi", "chosen": "Ho", "rejected": "No", "system": "S", "margin": 2},
        form("preference", [s("S"), u("Hi")], [a("Ho")], [a("No")], scores=[2.0, 0.0]),
    ),
    "preference messages": (
        {"prompt": [u("Hi")], "chosen": [a("Ho")], "rejected": [a("No")]},
        form("preference", [u("Hi")], [a("Ho")], [a("No")]),
    ),
    "preference, implicit prompt": (
        {"chosen": [u("Hi"), a("Ho"), u("Hu"), a("He")], "rejected": [u("Hi"), a("Ho"), u("Hu"), a("No"), u("?"), a("!")]},
        form("preference", [u("Hi"), a("Ho"), u("Hu")], [a("He")], [a("No"), u("?"), a("!")]),
    ),
    "preference, implicit words": (
        {"chosen": "The sky is blue.", "rejected": "The sky is black."},
        form("preference", [u("The sky is")], [a(" blue.")], [a(" black.")]),
    ),
    "preference, UltraFeedback": (
        {"prompt": "Hi", "chosen": [u("Hi"), a("Ho")], "rejected": [u("Hi"), a("No")], "score_chosen": 8.5, "score_rejected": 6},
        form("preference", [u("Hi")], [a("Ho")], [a("No")], scores=[8.5, 6.0]),
    ),
    "preference, LLaMA-Factory": (
        {"conversations": HUMAN[:1], "chosen": HUMAN[1], "rejected": {"from": "gpt", "value": "No"}},
        form("preference", [u("Hi")], [a("Ho")], [a("No")]),
    ),
    "anthropic": (
        {
            "chosen": "\n\nHuman: Hi \n\nAssistant: Ho\n\nHuman: Hu\nha\n\nAssistant: He",
            "rejected": "\n\nHuman: Hi \n\nAssistant: Ho\n\nHuman: Hu\nha\n\nAssistant: No",
        },
        form("preference", [u("Hi"), a("Ho"), u("Hu\nha")], [a("He")], [a("No")]),
    ),
    "ranking": (
        {"instruction": "Hi", "completions": [{"response": "B", "overall_score": 3}, {"response": "A", "overall_score": 7.5}]},
        form("ranking", [u("Hi")], [a("A")], [a("B")], scores=[7.5, 3.0]),
    ),
    "ranking with scores": (
        {"prompt": "Hi", "completions": ["A", "B", "C"], "scores": [1, 3, 3]},
        form("ranking", [u("Hi")], [a("B")], [a("C")], [a("A")], scores=[3.0, 3.0, 1.0]),
    ),
    "ranking, best first": ({"prompt": "Hi", "completions": ["A", "B"]}, form("ranking", [u("Hi")], [a("A")], [a("B")])),
    "unpaired": ({"prompt": "Hi", "completion": "Ho", "label": True}, form("unpaired", [u("Hi")], [a("Ho")], scores=[1.0])),
    "unpaired conversation": ({"messages": [u("Hi"), a("Ho")], "label": False}, form("unpaired", [u("Hi")], [a("Ho")], scores=[0.0])),
    "reward": ({"prompt": "Hi", "response": "Ho", "reward": -0.5}, form("reward", [u("Hi")], [a("Ho")], scores=[-0.5])),
    "steps": (
        {"prompt": "2+2+2?", "completions": ["2+2=4", "4+2=7"], "labels": [True, False]},
        form("steps", [u("2+2+2?")], [a("2+2=4\n4+2=7")], steps=["2+2=4", "4+2=7"]) | {"labels": [1.0, 0.0]},
    ),
    "prompt": ({"prompt": "2+2?", "answer": 4}, form("prompt", [u("2+2?")], answer="4")),
}


def read(folder, records, **given):
    file = folder / "x.jsonl"
    file.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in records))
    source = Examples(paths=[str(file)], **given)
    return list(source.read(source.files()[0]))


@pytest.mark.parametrize("name", GOOD)
def test_each_format_is_recognized_and_converted(tmp_path, name):
    record, expected = GOOD[name]
    (found,) = read(tmp_path, [record])
    assert found.metadata["example"] == expected
    assert read(tmp_path, [record], format=name.replace(",", " ").split()[0])[0].metadata == found.metadata
    said = [turn["content"] for turn in [*expected["prompt"], *(turn for reply in expected["replies"] for turn in reply)]]
    assert found.text == "\n\n".join(said)


BAD = {  # format: what, why
    "messages": [
        ({"messages": [a("Ho"), u("Hi")]}, "roles out of order: assistant first"),
        ({"messages": [u("Hi"), u("Hi"), a("Ho")]}, "roles out of order: user after user"),
        ({"messages": [u("Hi"), s("S"), a("Ho")]}, "roles out of order: system after user"),
        ({"messages": [u("Hi"), a(" ")]}, "empty reply"),
        ({"messages": [u("Hi")]}, "it ends with the user's turn"),
        ({"messages": [u("Hi"), a(7)]}, "a turn's content is no string"),
        ({"messages": [u("Hi"), {"role": "wizard", "content": "x"}]}, "unknown role 'wizard'"),
        ({"message": []}, "no key 'messages'; did you mean 'message'?"),
        ({"messages": []}, "messages is empty"),
        ({"messages": [u("\ud800"), a("Ho")]}, "not JSON"),
        ([1], "expected a JSON object, found list"),
        ("{", "not JSON"),
        ({"messages": [u("Hi"), a("Ho") | {"reasoning_content": 7}]}, "reasoning_content is no string"),
        ({"messages": [a("Hi") | {"tool_call_id": 7, "reasoning_content": 7, "name": 7}]}, "name is no string"),  # not as hashes fall
        *(({"messages": [u("Hi"), a("Ho") | {"weight": one}]}, "a turn's weight is neither 0 nor 1") for one in (0.5, "1", True, -1, [])),
        ({"messages": [u("Hi"), a("Ho")], "tools": "{"}, "tools are not JSON"),
        ({"messages": [u("Hi"), a("Ho")], "tools": "[" * 900 + "]" * 900}, "tools nested over 60 deep"),
        ({"messages": [u("Hi"), a("Ho")], "tools": "[" * 99999}, "tools are not JSON"),
        ({"messages": [u("Hi"), a("Ho") | {"tool_calls": json.loads("[" * 900 + "]" * 900)}]}, "tool_calls nested over 60 deep"),
    ],
    "alpaca": [
        ({"instruction": "Hi", "output": ""}, "empty reply"),
        ({"instruction": 1, "output": "x"}, "instruction is no string"),
        ({"instruction": "Hi", "output": "x", "history": 7}, "history is no list"),
    ],
    "preference": [
        ({"prompt": "Hi", "chosen": "Ho", "rejected": "Ho"}, "chosen and rejected are the same"),
        ({"prompt": "Hi", "chosen": "Ho"}, "no key 'rejected'"),
        ({"chosen": [u("Hi"), a("Ho")], "rejected": [u("Ha"), a("Ho")]}, "chosen and rejected answer different prompts"),
        ({"prompt": [u("Hi"), a("Ho")], "chosen": "x", "rejected": "y"}, "the prompt ends with the assistant's turn"),
    ],
    "anthropic": [
        ({"chosen": "\n\nHuman: Hi\n\nAssistant: ", "rejected": "\n\nHuman: Hi\n\nAssistant: Ho"}, "empty reply"),
        ({"chosen": "Hi", "rejected": "Ho"}, "chosen does not begin with 'Human:'"),
    ],
    "ranking": [
        ({"prompt": "Hi", "completions": ["A"]}, "a ranking of one reply"),
        ({"prompt": "Hi", "completions": ["A", "B"], "scores": [1, 1]}, "all scores are the same"),
        ({"prompt": "Hi", "completions": ["A", "B"], "scores": [1]}, "not a score for each reply"),
    ],
    "unpaired": [({"prompt": "Hi", "completion": "Ho", "label": "good"}, "label is neither true nor false")],
    "reward": [
        ({"prompt": "Hi", "completion": "Ho", "reward": "7"}, "reward is no number"),
        ({"prompt": "Hi", "completion": "Ho", "reward": 1e39}, "reward is"),
    ],
    "steps": [({"prompt": "Hi", "completions": ["A", "B"], "labels": [1]}, "not a label for each step")],
}


@pytest.mark.parametrize("name", BAD)
def test_a_malformed_record_is_quarantined_with_its_line(tmp_path, name):
    good = GOOD[name][0]
    found = read(tmp_path, [good, *(record for record, _ in BAD[name]), good], format=name)
    assert len(found) == len(BAD[name]) + 2 and not any(isinstance(found[i], BadRecord) for i in (0, -1))
    for line, (record, (_, why)) in enumerate(zip(found[1:-1], BAD[name], strict=True), 2):
        assert isinstance(record, BadRecord) and record.line == line and record.reason.startswith(why), record


def test_a_prompt_is_one_group(tmp_path):
    said = [[u("Hi"), a("Ho")], [u("Hi"), a("Ha"), u("x"), a("y")], [u("Hm"), a("Ho")], [s("S"), u("Hi"), a("Ho")]]
    groups = [d.metadata["group"] for d in read(tmp_path, [{"messages": one, "topic": "t"} for one in said])]
    assert groups[0] == groups[1] and len({*groups}) == 3
    assert {d.metadata["group"] for d in read(tmp_path, [{"messages": one, "topic": "t"} for one in said], group_key="topic")} == {"t"}
    pair = read(tmp_path, [{"prompt": "Hi", "completion": "Ho"}])[0]
    assert pair.metadata["group"] == groups[0]


def test_what_is_not_sure_is_an_error_that_names_the_keys(tmp_path):
    with pytest.raises(ModelwrightError, match=r"cannot tell the format by the keys question, answer; set source\.format"):
        read(tmp_path, [{"question": "Hi", "answer": "Ho"}])
    (found,) = read(tmp_path, [{"question": "Hi", "answer": "Ho"}], names={"prompt": "question", "completion": "answer"})
    assert found.metadata["example"] == GOOD["prompt_completion"][1]
    with pytest.raises(ModelwrightError, match="look like alpaca and messages"):
        read(tmp_path, [GOOD["messages"][0], GOOD["alpaca"][0]])


def test_an_array_has_lines_too(tmp_path):
    good, bad = GOOD["messages"][0], {"messages": [u("Hi")]}
    raw = json.dumps([good, bad, good], indent=1)
    where = raw[: raw.index(json.dumps(bad, indent=1).replace("\n", "\n "))].count("\n") + 1
    for name, data in (("x.json", raw.encode()), ("x.json.gz", gzip.compress(raw.encode())), ("y.json", raw[:-20].encode())):
        (tmp_path / name).write_bytes(data)
        source = Examples(paths=[str(tmp_path / name)])
        found = list(source.read(source.files()[0]))
        assert [isinstance(one, BadRecord) for one in found] == [False, True, name == "y.json"]
        assert (found[1].reason, found[1].line) == ("it ends with the user's turn", where)
        assert found[0].id == f"{tmp_path / name}:2"
    assert found[2].reason.startswith("not JSON")


@pytest.mark.parametrize("before", [b"\n", b" \r\n\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n\n"])
def test_an_array_may_begin_after_empty_lines(tmp_path, before):
    raw = before + b"[\n" + json.dumps(GOOD["messages"][0]).encode() + b",\n7]"
    (tmp_path / "x.json").write_bytes(raw)
    source = Examples(paths=[str(tmp_path / "x.json")])
    found, bad = source.read(source.files()[0])
    assert found.metadata["example"] == GOOD["messages"][1] and found.id.endswith(f":{before.count(10) + 2}")
    assert (bad.line, bad.reason) == (before.count(10) + 3, "expected a JSON object, found int")
    (tmp_path / "x.json").write_bytes(before + json.dumps(GOOD["messages"][0]).encode())  # JSON Lines, whatever its name
    (found,) = source.read(source.files()[0])
    assert found.metadata["example"] == GOOD["messages"][1]
