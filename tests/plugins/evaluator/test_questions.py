"""Few-shot, chain of thought and votes: what is asked, by the papers' forms, and how answers are counted, as the reward does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from modelwright.errors import ModelwrightError
from modelwright_plugins.evaluator._questions import Question, answered, concluded
from modelwright_plugins.evaluator.questions import Questions
from modelwright_plugins.generator.sampling import Sampling
from modelwright_plugins.reward import Asked
from modelwright_plugins.reward.exact_answer import ExactAnswer

CARS = {"question": "3 cars and 2 more?", "answer": "There are <<3+2=5>>5 now.\n#### 5"}
EGGS = {"question": "16 eggs less 3?", "answer": 13, "reasoning": "16 - 3 = 13."}
CITY = {"question": "Capital of France?", "answers": ["Paris", "the city of Paris"]}


class Saying:
    """A model that says what is written here, in turn."""

    first, seed = True, 1

    def __init__(self, *said: str) -> None:
        self.said, self.asked, self.generator, self.earlier = said, list[Any](), Sampling(), list[Any]()
        self.seeds = list[int]()

    def complete(self, texts: list[str], generator: Any) -> list[str]:
        self.earlier, self.asked, self.stop = self.asked, list(texts), generator.stop
        self.seeds.append(self.seed)
        return [self.said[number % len(self.said)] for number in range(len(texts))]

    def reply(self, conversations: list[Any]) -> list[str]:
        return self.complete(conversations, self.generator)


def written(folder: Path, *lines: Any, name: str = "q.jsonl") -> Path:
    (file := folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def scores(judge: Questions, model: Any, out: Path) -> dict[str, float]:
    return {score.name: score.value for score in judge.evaluate(model, out, seed=1)}


def test_what_is_asked(tmp_path: Path) -> None:
    """Wei et al. 2022, table 20: "Q: …", "A: reasoning The answer is 5.", an empty line between."""
    file, model = written(tmp_path, CARS, EGGS, CITY), Saying(" 1\nQ: and then?")
    Questions(path=file, shots=2, chain_of_thought=True).evaluate(model, tmp_path, seed=1)  # type: ignore[arg-type]
    shot = "Q: 3 cars and 2 more?\nA: There are 5 now. The answer is 5.\n\nQ: 16 eggs less 3?\nA: 16 - 3 = 13. The answer is 13.\n\n"
    assert model.asked == [f"{shot}Q: Capital of France?\nA:"] and model.stop == ["\nQ:"]
    assert json.loads((tmp_path / "answers.jsonl").read_text())["replies"] == [" 1"]  # what it made up behind it is cut off
    shots = written(tmp_path, CARS, EGGS, name="shots.jsonl")
    Questions(path=file, shots=1, shots_path=shots, questions=1, find="hashes").evaluate(model, tmp_path, seed=1)  # type: ignore[arg-type]
    assert model.asked == ["Q: 3 cars and 2 more?\nA: #### 5\n\nQ: 3 cars and 2 more?\nA:"]
    Questions(path=file, chain_of_thought=True, template="{question}").evaluate(model, tmp_path, seed=1)  # type: ignore[arg-type]
    assert model.earlier[1] == "16 eggs less 3? Let's think step by step." and model.stop == ["\n\n"]
    Questions(path=file, shots=1, chat=True).evaluate(model, tmp_path, seed=1)  # type: ignore[arg-type]
    before = [{"role": "user", "content": CARS["question"]}, {"role": "assistant", "content": "The answer is 5."}]
    assert model.asked[0] == [*before, {"role": "user", "content": EGGS["question"]}]


def test_without_shots_a_chain_of_thought_is_asked_for_and_then_its_answer(tmp_path: Path) -> None:
    """Kojima et al. 2022, figure 2: the second prompt is the first one, what was thought, and "Therefore, the answer is". Of what follows
    the first number counts."""

    class Thinking(Saying):
        def complete(self, texts: list[str], generator: Any) -> list[str]:
            said = super().complete(texts, generator)
            return [" 13, so it is not 3.\nQ: more?" if "Therefore" in str(text) else each for text, each in zip(texts, said, strict=True)]

    file, model = written(tmp_path, EGGS, CITY), Thinking(" 16 - 3 = 13, I think.\n", " It is large; 7.")
    found = scores(Questions(path=file, chain_of_thought=True), model, tmp_path)
    assert model.earlier == [f"Q: {one['question']}\nA: Let's think step by step." for one in (EGGS, CITY)]
    assert model.asked == [
        f"{model.earlier[0]} 16 - 3 = 13, I think. Therefore, the answer is",
        f"{model.earlier[1]} It is large; 7. Therefore, the answer is",
    ]
    assert model.seeds[0] == model.seed == 1 != model.seeds[1]
    lines = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert [line["replies"] for line in lines] == [[" 13, so it is not 3."]] * 2
    assert [line["concluded"][0] for line in lines] == ["Therefore, the answer is 13.", "Therefore, the answer is 13, so it is not 3."]
    assert [line["reasoning"] for line in lines] == [[" 16 - 3 = 13, I think.\n"], [" It is large; 7."]]
    assert [line["found"] for line in lines] == [["13"], ["13, so it is not 3"]] and found["accuracy"] == 0.5
    Questions(path=file, chain_of_thought=True, chat=True, questions=1).evaluate(model, tmp_path, seed=1)  # type: ignore[arg-type]
    ((first,), (second,)) = model.earlier, model.asked
    assert first == [{"role": "user", "content": "16 eggs less 3? Let's think step by step."}]
    assert second == [*first, {"role": "assistant", "content": model.said[0]}, {"role": "user", "content": "Therefore, the answer is"}]
    for thought, said, find, kept in (
        ("x", " #### 12", "any", "x\n #### 12"),
        ("#### 13", " 12", "hashes", "#### 13\n 12"),
        ("x", "3, no 13", "last_number", "3, no 13"),
        ("x", "", "any", ""),
    ):
        assert concluded(Question.of(EGGS), thought, said, find) == kept  # type: ignore[arg-type]


def test_a_majority_answers(tmp_path: Path) -> None:
    """Wang et al. 2022, figure 1: of 18, 26 and 18 the answer is 18. Equal numbers are one answer, no answer is no vote."""
    file = written(tmp_path, EGGS, CARS)
    model = Saying("so 14", "It is $13.00.", "13", "who knows", "who knows", "4", "5", "I give up", "well", "")
    found = scores(Questions(path=file, votes=5), model, tmp_path)
    assert found["accuracy"] == 0.5  # 13 by two votes of three; 4 and 5 have one each, and the first one counts
    assert found["answered"] == 1 and found["accuracy_of_one"] == pytest.approx(3 / 10)
    lines = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert [(line["voted"], line["right"]) for line in lines] == [("13.00", True), ("4", False)]
    assert lines[0]["found"] == ["14", "13.00", "13", None, None]
    assert "accuracy_of_one" not in scores(Questions(path=file), model, tmp_path)


def test_one_reply_counts_as_it_does_for_the_reward(tmp_path: Path) -> None:
    replies = ["#### 13", "13 or 14", "the answer is 13 eggs", r"\boxed{26/2}", "", "no", "13 apples, 3 of 5", "#### 72\n#### 13"]
    for find in ("any", "hashes", "boxed", "phrase", "last_number", "whole"):
        reward: Any = ExactAnswer(find=find).scores([Asked(prompt=[], reply=reply, answer="13") for reply in replies])
        found = [answered(Question.of(EGGS), [reply], find) for reply in replies]  # type: ignore[arg-type]
        assert [float(one.right) for one in found] == reward, find
    assert scores(Questions(path=written(tmp_path, EGGS)), Saying(replies[0]), tmp_path)["accuracy"] == 1


def test_answers_in_words(tmp_path: Path) -> None:
    """SQuAD's F1 by hand: of "city of Paris" and "Paris, France", one word of three and one of two: 0.4; the best answer counts."""
    question = Question.of(CITY)
    for reply, right, exact, f1 in [
        ("Paris.", True, True, 1),
        ("It is in the north. The answer is Paris. It is large.", True, True, 1),
        ("Paris, France", False, False, pytest.approx(2 / 3)),
        ("The answer is City of Paris", False, True, 1),
        ("", False, False, 0),
    ]:
        found = answered(question, [reply], "any")
        assert (found.right, found.exact, found.f1) == (right, exact, f1), reply
    assert answered(Question.of({"prompt": "q", "target": "city of Paris"}), ["Paris, France"], "any").f1 == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ({"answer": "5"}, "no question"),
        ({"question": "q"}, "no answer"),
        ({"question": "q", "answer": True}, "no answer"),
        ({"question": "q", "answers": []}, "says nothing"),
        ({"question": "q", "answer": " "}, "says nothing"),
        ([], "no question"),
    ],
)
def test_a_question_that_is_wrong_is_named(line: Any, why: str, tmp_path: Path) -> None:
    (told,) = Questions(path=written(tmp_path, EGGS, line)).problems()
    assert told.startswith(f"{tmp_path}/q.jsonl:2: ") and why in told


def test_shots_that_are_none(tmp_path: Path) -> None:
    file = written(tmp_path, EGGS, CITY)
    assert "2 questions, of which 2 are shots" in Questions(path=file, shots=2).problems()[0]
    assert (
        "question 2 is a shot of a chain of thought" in Questions(path=file, shots=2, shots_path=file, chain_of_thought=True).problems()[0]
    )
    with pytest.raises(ModelwrightError, match="cannot read the questions"):
        Questions(path=Path("/nowhere")).read()
    one = Questions(path=file, shots=1, shots_path=written(tmp_path, CARS, name="shots.jsonl"))
    before = one.fingerprint()
    written(tmp_path, EGGS, name="shots.jsonl")
    assert one.fingerprint() != before
    for wrong, why in (
        ({"shots": -1}, "shots is"),
        ({"votes": 0}, "votes is"),
        ({"questions": 0}, "questions is"),
        ({"template": "x"}, "template"),
        ({"shots_path": file}, "shots is 0"),
    ):
        with pytest.raises(ValueError, match=why):
            Questions(path=file, **wrong)  # type: ignore[arg-type]
