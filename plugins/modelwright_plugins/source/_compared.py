"""Replies to one prompt that people compared, in the formats that people have: preferences and rankings."""

from __future__ import annotations

from typing import Any

from modelwright_plugins.source._turns import (
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
    shared,
    spoken,
    turns,
    with_system,
)

SCORES = ("score", "overall_score", "reward", "fine-grained_score")
REPLIES = ("completions", "responses", "answers")
NO_SCORES = ("id", "index")  # what numbers of a reply may be besides


def preference(record: Record) -> Example:
    """TRL, UltraFeedback, LLaMA-Factory: {"prompt"?, "chosen", "rejected"}, strings or messages. Without a prompt it is what both begin
    with. {"score_chosen", "score_rejected"} or {"margin"} are kept as scores."""
    given = next((record[name] for name in ("prompt", "conversations", "messages") if record.get(name) is not None), None)
    chosen, rejected = key(record, "chosen"), key(record, "rejected")
    both = isinstance(chosen, list) and isinstance(rejected, list)
    if both and (not given or (chosen and _turn_is_asked(chosen[0]))):
        one, other = ordered(turns(chosen, "chosen")), ordered(turns(rejected, "rejected"))
        if given and not isinstance(given, str):
            given = turns(given, "prompt")
            record = record if given[0]["role"] != "system" else {**record, "system": given[0]["content"]}
        one, other = with_system(record, one), with_system(record, other)
        if given and not _agrees(given, one, other):
            raise Malformed("the prompt is not what chosen and rejected begin with")
        return _pair(record, one, other)
    if given is None:
        if not isinstance(chosen, str) or not isinstance(rejected, str):
            raise Malformed("chosen and rejected are neither two strings nor two lists")
        given, chosen, rejected = _common(chosen, rejected)
    asked = with_system(record, prompt(given))
    return _compared(record, asked, reply(chosen, "chosen", asked), reply(rejected, "rejected", asked))


def _turn_is_asked(turn: Any) -> bool:
    return isinstance(turn, dict) and turn.get("role", turn.get("from")) not in ("assistant", "gpt")


def _agrees(given: str | list[Message], one: list[Message], other: list[Message]) -> bool:
    """Is a prompt what two conversations begin with? As text: one of the user's turns (UltraFeedback's is the first), or all of them."""
    if isinstance(given, str):
        said = [turn["content"].strip() for turn in one[: shared(one, other)] if turn["role"] == "user"]
        return not said or given.strip() in said or all(text in given for text in said)  # nothing said alike: told by `_pair`
    if given[0]["role"] != "system":
        one, other = (said[int(said[0]["role"] == "system") :] for said in (one, other))
    return one[: len(given)] == given == other[: len(given)]


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
    if scores is not None and scores[0] < scores[1]:  # what goes by scores would learn the opposite of what goes by the label
        raise Malformed("rejected has the better score")
    return made("preference", asked, [chosen, rejected]) | {"scores": scores}


def anthropic(record: Record) -> Example:
    """Anthropic's HH: {"chosen", "rejected"}, each "\\n\\nHuman: … \\n\\nAssistant: …" with the same beginning (Bai et al. 2022)."""
    one, other = spoken(key(record, "chosen"), "chosen"), spoken(key(record, "rejected"), "rejected")
    return _pair(record, with_system(record, one), with_system(record, other))


def ranking(record: Record) -> Example:
    """UltraFeedback: {"instruction" or "prompt", "completions": [{"response", "overall_score"}]}, or "completions" with "scores", or best
    first with neither. Sorted by score, best first; of the same score in their order."""
    asked, given, replies = _replies(record)
    scores = _scores(record, given)
    if scores is None:
        return made("ranking", asked, replies)
    if len(scores) != len(replies):
        raise Malformed("not a score for each reply")
    numbers = [number(score, "score") for score in scores]
    if len({*numbers}) == 1:
        raise Malformed("all scores are the same")
    best = sorted(range(len(numbers)), key=lambda i: -numbers[i])
    return made("ranking", asked, [replies[i] for i in best]) | {"scores": [numbers[i] for i in best]}


def best_first(record: Record) -> Example:
    """The same, with replies that are best first whatever numbers stand by them."""
    asked, _, replies = _replies(record)
    return made("ranking", asked, replies)


def _replies(record: Record) -> tuple[list[Message], list[Any], list[list[Message]]]:
    """The prompt; the replies as they are given, and as messages."""
    asked = with_system(record, prompt(key(record, "prompt", "instruction")))
    given = listed(key(record, *REPLIES), "completions")
    if len(given) < 2:
        raise Malformed("a ranking of one reply")
    said = [key(one, "response", "text", "completion", "content") if _whole(one) else one for one in given]
    return asked, given, [reply(one, "completion", asked) for one in said]


def _whole(one: Any) -> bool:
    return isinstance(one, dict) and "role" not in one and "from" not in one


def _scores(record: Record, given: list[Any]) -> list[Any] | None:
    """The replies' scores; None: there are none, and no numbers that may be scores by another name (best first would reverse them)."""
    if record.get("scores") is not None:
        return listed(record["scores"], "scores")
    objects = [one for one in given if isinstance(one, dict)]
    found = [score for one in objects if (score := next((one[name] for name in SCORES if one.get(name) is not None), None)) is not None]
    if found:
        return found
    beside = [(name, value) for one in objects for name, value in one.items() if name not in NO_SCORES]
    lists = [(name, value) for name, value in record.items() if isinstance(value, list) and len(value) == len(given)]
    for name, value in [*beside, *((name, one) for name, several in lists for one in several)]:
        if isinstance(value, int | float):
            ours = "scores" if name in record else "score"
            raise Malformed(
                f"numbers under {name[:40]!r} and no scores; set source.names={{{ours}: {name[:40]}}}, or source.format=best_first"
                " where the replies are in order"
            )
    return None
