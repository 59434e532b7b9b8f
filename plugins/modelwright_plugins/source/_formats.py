"""From a record in one of the formats that people have to an example in our own form (`source/examples.py` says which)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from modelwright_plugins.source._turns import (
    HUMAN,
    Malformed,
    Message,
    key,
    listed,
    number,
    ordered,
    prompt,
    reply,
    shared,
    spoken,
    string,
    turns,
)

Record = Mapping[str, Any]
Example = dict[str, Any]
SCORES = ("score", "overall_score", "reward", "fine-grained_score")


def made(kind: str, asked: list[Message], replies: list[list[Message]], **more: Any) -> Example:
    return {"kind": kind, "prompt": asked, "replies": replies, "scores": None, "labels": None, **more}


def _conversation(said: list[Message]) -> Example:
    said = ordered(said)
    if said[-1]["role"] != "assistant":
        raise Malformed(f"it ends with the {said[-1]['role']}'s turn")
    return made("conversation", [], [said])


def _asked_and_reply(record: Record) -> tuple[list[Message], list[Message]]:
    """Prompt and completion, or a conversation whose last turn is the reply."""
    if "messages" in record or "conversations" in record:
        said = ordered(_with_system(record, turns(key(record, "messages", "conversations"), "messages")))
        if said[-1]["role"] != "assistant":
            raise Malformed(f"it ends with the {said[-1]['role']}'s turn")
        return said[:-1], said[-1:]
    asked = _with_system(record, prompt(key(record, "prompt")))
    return asked, reply(key(record, "completion", "response"), "completion", asked)


def _with_system(record: Record, said: list[Message]) -> list[Message]:
    system = record.get("system")
    if not system or said[0]["role"] == "system":
        return said
    return [{"role": "system", "content": string(system, "system")}, *said]


def messages(record: Record) -> Example:
    """OpenAI: {"messages": [{"role", "content"}]}."""
    return _conversation(_with_system(record, turns(key(record, "messages", "conversations"), "messages")))


def sharegpt(record: Record) -> Example:
    """ShareGPT: {"conversations": [{"from": "human" | "gpt" | …, "value"}], "system"?}."""
    return _conversation(_with_system(record, turns(key(record, "conversations", "messages"), "conversations")))


def alpaca(record: Record) -> Example:
    """Stanford Alpaca: {"instruction", "input"?, "output"}; LLaMA-Factory's "system" and "history": [[asked, answered], …]. An input comes
    after its instruction, on a line of its own, as LLaMA-Factory joins them."""
    asked = string(key(record, "instruction"), "instruction")
    if record.get("input"):
        asked += "\n" + string(record["input"], "input")
    said: list[Message] = []
    for pair in listed(record["history"], "history") if record.get("history") else []:
        if not isinstance(pair, list) or len(pair) != 2:
            raise Malformed("history is no list of pairs")
        for role, content in zip(("user", "assistant"), pair, strict=True):
            said.append({"role": role, "content": string(content, "reply" if role == "assistant" else "user turn")})
    if record.get("output") == "":
        raise Malformed("empty reply")
    answer = string(key(record, "output"), "reply")
    said += [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    return _conversation(_with_system(record, said))


def prompt_completion(record: Record) -> Example:
    """TRL and OpenAI: {"prompt", "completion"}, strings or messages; only the completion is learned."""
    asked, answered = _asked_and_reply(record)
    return made("conversation", asked, [answered])


def preference(record: Record) -> Example:
    """TRL, UltraFeedback, LLaMA-Factory: {"prompt"?, "chosen", "rejected"}, strings or messages. Without a prompt it is what both begin
    with. {"score_chosen", "score_rejected"} or {"margin"} are kept as scores."""
    given = next((record[name] for name in ("prompt", "conversations", "messages") if record.get(name) is not None), None)
    chosen, rejected = key(record, "chosen"), key(record, "rejected")
    both = isinstance(chosen, list) and isinstance(rejected, list)
    if both and (given is None or (chosen and _turn_is_asked(chosen[0]))):
        one, other = ordered(turns(chosen, "chosen")), ordered(turns(rejected, "rejected"))
        return _pair(record, one, other)
    if given is None:
        if not isinstance(chosen, str) or not isinstance(rejected, str):
            raise Malformed("chosen and rejected are neither two strings nor two lists")
        given, chosen, rejected = _common(chosen, rejected)
    asked = _with_system(record, prompt(given))
    return _compared(record, asked, reply(chosen, "chosen", asked), reply(rejected, "rejected", asked))


def _turn_is_asked(turn: Any) -> bool:
    return isinstance(turn, dict) and turn.get("role", turn.get("from")) not in ("assistant", "gpt")


def _common(one: str, other: str) -> tuple[str, str, str]:
    """The words that both begin with, and what comes after them, with the space between (TRL's `extract_prompt`, but at words)."""
    count = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    while count and not one[count - 1].isspace():
        count -= 1
    asked = one[:count].rstrip()
    if not asked:
        raise Malformed("no prompt, and chosen and rejected begin with nothing alike")
    return asked, one[len(asked) :], other[len(asked) :]


def _pair(record: Record, one: list[Message], other: list[Message]) -> Example:
    if one == other:
        raise Malformed("chosen and rejected are the same")
    count = shared(one, other)
    if not count:
        raise Malformed("chosen and rejected answer different prompts")
    asked = one[:count]
    return _compared(record, asked, reply(one[count:], "chosen", asked), reply(other[count:], "rejected", asked))


def _compared(record: Record, asked: list[Message], chosen: list[Message], rejected: list[Message]) -> Example:
    if chosen == rejected:
        raise Malformed("chosen and rejected are the same")
    found = [
        next((record[n] for n in (f"score_{side}", f"{side}_score") if record.get(n) is not None), None) for side in ("chosen", "rejected")
    ]
    scores = None if None in found else [number(score, "score") for score in found]
    if scores is None and record.get("margin") is not None:
        scores = [number(record["margin"], "margin"), 0.0]
    return made("preference", asked, [chosen, rejected]) | {"scores": scores}


def anthropic(record: Record) -> Example:
    """Anthropic's HH: {"chosen", "rejected"}, each "\\n\\nHuman: … \\n\\nAssistant: …" with the same beginning (Bai et al. 2022)."""
    return _pair(record, spoken(key(record, "chosen"), "chosen"), spoken(key(record, "rejected"), "rejected"))


def ranking(record: Record) -> Example:
    """UltraFeedback: {"instruction" or "prompt", "completions": [{"response", "overall_score"}]}, or "completions" with "scores", or best
    first with neither. Sorted by score, best first; of the same score in their order."""
    asked = _with_system(record, prompt(key(record, "prompt", "instruction")))
    given = listed(key(record, "completions", "responses", "answers"), "completions")
    if len(given) < 2:
        raise Malformed("a ranking of one reply")
    scores: list[Any] = record["scores"] if isinstance(record.get("scores"), list) else []
    replies = []
    for one in given:
        whole = isinstance(one, dict) and "role" not in one and "from" not in one
        replies.append(reply(key(one, "response", "text", "completion", "content") if whole else one, "completion", asked))
        if whole and "scores" not in record and any(one.get(name) is not None for name in SCORES):
            scores.append(key(one, *SCORES))
    if not scores:
        return made("ranking", asked, replies)
    if len(scores) != len(replies):
        raise Malformed("not a score for each reply")
    numbers = [number(score, "score") for score in scores]
    if len({*numbers}) == 1:
        raise Malformed("all scores are the same")
    best = sorted(range(len(numbers)), key=lambda i: -numbers[i])
    return made("ranking", asked, [replies[i] for i in best]) | {"scores": [numbers[i] for i in best]}


def unpaired(record: Record) -> Example:
    """TRL's KTO: {"prompt", "completion", "label": true | false}, or a conversation with a label of its last turn."""
    asked, answered = _asked_and_reply(record)
    label = key(record, "label")
    if label not in (True, False):
        raise Malformed("label is neither true nor false")
    return made("unpaired", asked, [answered]) | {"scores": [float(label)]}


def reward(record: Record) -> Example:
    """{"prompt", "completion", "reward" or "score": number}, or a conversation with a reward of its last turn."""
    asked, answered = _asked_and_reply(record)
    return made("reward", asked, [answered]) | {"scores": [number(key(record, "reward", "score"), "reward")]}


def steps(record: Record) -> Example:
    """TRL's stepwise supervision (PRM800K, Lightman et al. 2023): {"prompt", "completions": [step, …], "labels": [true | number, …]}.
    Steps are joined by line ends."""
    asked = _with_system(record, prompt(key(record, "prompt")))
    said = [string(step, "step") for step in listed(key(record, "completions", "steps"), "completions")]
    labels = listed(key(record, "labels"), "labels")
    if len(labels) != len(said):
        raise Malformed("not a label for each step")
    numbers = [float(label) if isinstance(label, bool) else number(label, "label") for label in labels]
    found = made("steps", asked, [[{"role": "assistant", "content": "\n".join(said)}]])
    return found | {"labels": numbers, "steps": said}


def only_prompt(record: Record) -> Example:
    """{"prompt", "answer"?}: what a model answers itself, and what a rule compares with."""
    found = made("prompt", _with_system(record, prompt(key(record, "prompt", "messages"))), [])
    answer = next((record[name] for name in ("answer", "solution", "ground_truth") if record.get(name) is not None), None)
    return found if answer is None else found | {"answer": string(str(answer) if isinstance(answer, int | float) else answer, "answer")}


FORMATS: dict[str, Callable[[Record], Example]] = {
    "messages": messages,
    "sharegpt": sharegpt,
    "alpaca": alpaca,
    "prompt_completion": prompt_completion,
    "preference": preference,
    "anthropic": anthropic,
    "ranking": ranking,
    "unpaired": unpaired,
    "reward": reward,
    "steps": steps,
    "prompt": only_prompt,
}


def recognized(record: Record) -> str | None:
    """The format that these keys say; None: not sure."""

    def has(*names: str) -> bool:
        return any(record.get(name) is not None for name in names)

    said = "messages" if has("messages") else "sharegpt" if has("conversations") else None
    if has("chosen") and has("rejected"):
        texts = isinstance(record["chosen"], str) and HUMAN.match("\n\n" + record["chosen"].lstrip())
        return "anthropic" if texts and not has("prompt") else "preference"
    if has("completions", "responses", "answers", "steps") and has("prompt", "instruction"):
        return "steps" if has("labels") else "ranking"
    whole = said is not None or (has("prompt") and has("completion", "response"))
    if whole and has("label"):
        return None if has("reward", "score") else "unpaired"
    if whole and has("reward", "score"):
        return "reward"
    if said is not None:
        return said
    if has("instruction") and "output" in record:
        return "alpaca"
    if whole:
        return "prompt_completion"
    return "prompt" if has("prompt") and not has("completion", "response", "label", "labels", "chosen", "rejected") else None
