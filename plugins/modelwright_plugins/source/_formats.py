"""From a record in one of the formats that people have to an example in our own form (`source/examples.py` says which)."""

from __future__ import annotations

from collections.abc import Callable

from modelwright_plugins.source._compared import REPLIES, anthropic, best_first, preference, ranking
from modelwright_plugins.source._turns import (
    HUMAN,
    Example,
    Malformed,
    Message,
    Record,
    key,
    listed,
    made,
    number,
    ordered,
    prompt,
    reply,
    string,
    turns,
    with_system,
)


def _conversation(said: list[Message]) -> Example:
    said = ordered(said)
    if said[-1]["role"] != "assistant":
        raise Malformed(f"it ends with the {said[-1]['role']}'s turn")
    return made("conversation", [], [said])


def _asked_and_reply(record: Record) -> tuple[list[Message], list[Message]]:
    """Prompt and completion, or a conversation whose last turn is the reply."""
    if "messages" in record or "conversations" in record:
        said = ordered(with_system(record, turns(key(record, "messages", "conversations"), "messages")))
        if said[-1]["role"] != "assistant":
            raise Malformed(f"it ends with the {said[-1]['role']}'s turn")
        return said[:-1], said[-1:]
    asked = with_system(record, prompt(key(record, "prompt")))
    return asked, reply(key(record, "completion", "response"), "completion", asked)


def messages(record: Record) -> Example:
    """OpenAI: {"messages": [{"role", "content"}]}."""
    return _conversation(with_system(record, turns(key(record, "messages", "conversations"), "messages")))


def sharegpt(record: Record) -> Example:
    """ShareGPT: {"conversations": [{"from": "human" | "gpt" | …, "value"}], "system"?}."""
    return _conversation(with_system(record, turns(key(record, "conversations", "messages"), "conversations")))


def alpaca(record: Record) -> Example:
    """Stanford Alpaca: {"instruction", "input"?, "output"}; LLaMA-Factory's "system" and "history": [[asked, answered], …]. An input comes
    after its instruction, on a line of its own, as LLaMA-Factory joins them."""
    asked = string(key(record, "instruction"), "instruction")
    more = record.get("input")
    if more and not (isinstance(more, str) and more.isspace()):
        asked += "\n" + string(more, "input")
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
    return _conversation(with_system(record, said))


def prompt_completion(record: Record) -> Example:
    """TRL and OpenAI: {"prompt", "completion"}, strings or messages; only the completion is learned."""
    asked, answered = _asked_and_reply(record)
    return made("conversation", asked, [answered])


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
    asked = with_system(record, prompt(key(record, "prompt")))
    said = [string(step, "step") for step in listed(key(record, "completions", "steps"), "completions")]
    labels = listed(key(record, "labels"), "labels")
    if len(labels) != len(said):
        raise Malformed("not a label for each step")
    numbers = [float(label) if isinstance(label, bool) else number(label, "label") for label in labels]
    found = made("steps", asked, [[{"role": "assistant", "content": "\n".join(said)}]])
    return found | {"labels": numbers, "steps": said}


def only_prompt(record: Record) -> Example:
    """{"prompt", "answer"?}: what a model answers itself, and what a rule compares with."""
    found = made("prompt", with_system(record, prompt(key(record, "prompt", "messages"))), [])
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
    "best_first": best_first,
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
    if has(*REPLIES, "steps") and has("prompt", "instruction"):
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
