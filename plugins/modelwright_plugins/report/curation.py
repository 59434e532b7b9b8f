"""What a curation did, step by step: a page of its own, and a part of a run's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import modelwright
from modelwright_plugins.report.histogram import number, svg
from modelwright_plugins.report.template import breakable, megabytes, share, template

REASONS = 12  # at most, of a step; funnel.json has all
SETTING = 300  # characters of a setting that are shown


def page(funnel: Sequence[Mapping[str, Any]], settings: Sequence[Mapping[str, Any]], recipe: str | None) -> str:
    """The whole file, from the contents of funnel.json and the settings of each of its steps. It says nothing of when and where it was
    made: the same documents give the same file. Every value is escaped: documents are anybody's text."""
    known = said(funnel)
    for step, values in zip(known["funnel"], settings, strict=True):
        step["settings"] = [(name, _setting(value)) for name, value in values.items()]
    first, last = funnel[0], funnel[-1]
    return template("curation.html").render(
        **known,
        alone=True,
        recipe=recipe or "a run without a recipe",
        headline=_headline(first, last),
        lead=_lead(funnel),
        numbers=[
            (f"{last['documents_out']:,}", f"documents left, of {first['documents_out']:,} read"),
            (megabytes(last["bytes_out"]), f"of text left, of {megabytes(first['bytes_out'])}"),
            (f"{sum(step.get('edited', 0) for step in funnel):,}", "times a document was edited and stayed"),
            (f"{first.get('quarantined_count', 0):,}", "records that could not be read"),
        ],
        modelwright=modelwright.__version__,
    )


def said(funnel: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What funnel.html, step.html and quarantine.html want to know."""
    source, most = funnel[0], max(funnel[0]["bytes_out"], 1)
    return {
        "funnel": [_step(step, most) for step in funnel],
        "quarantined": source.get("quarantined", []),
        "quarantined_count": source.get("quarantined_count", 0),
    }


def _step(step: Mapping[str, Any], most: int) -> dict[str, Any]:
    reasons, statistics = list(step["dropped"].items()), step.get("statistics", {})
    shown = {reason for reason, _ in reasons[:REASONS]}
    found = {
        "edited": 0,
        "edits": [],
        "measured": 0,
        **step,
        "kept": 100 * step["bytes_out"] / most,
        "gone": 100 * max(step["bytes_in"] - step["bytes_out"], 0) / most,
        "reasons": [
            (reason, count, count / max(step["documents_in"], 1), count / max(step["dropped"].values()))
            for reason, count in reasons[:REASONS]
        ],
        "other_reasons": (len(reasons[REASONS:]), sum(count for _, count in reasons[REASONS:])),
        "examples": [example for example in step["examples"] if example["reason"] in shown],
        "histograms": [_histogram(name, each, len(statistics) > 1) for name, each in statistics.items()],
        "lost": _lost(step.get("edited_bytes", 0)),
        "does": _does(step),
    }
    parts = [("why", reasons), ("histograms", found["histograms"]), ("examples", found["examples"]), ("edits", found["edits"])]
    named = [word for word, part in parts if part]
    return found | {"invites": _listed(named).capitalize()}


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _lost(size: int) -> str:
    many = f"{abs(size):,} {'byte' if abs(size) == 1 else 'bytes'}" if abs(size) < 1000 else megabytes(abs(size))
    return f"{many} went" if size >= 0 else f"{many} more than before"


def _histogram(name: str, found: Mapping[str, Any], several: bool) -> dict[str, Any]:
    from markupsafe import Markup

    limits = [f"{words} {number(found[key])}" for key, words in (("least", "at least"), ("most", "at most")) if found[key] is not None]
    rule = f"{' and '.join(limits)}: {share(found['outside'])} outside" if limits else "no threshold"
    if found["outside"] and several:
        rule += f", {share(found['alone'])} outside of this alone"
    if found["without"]:
        rule += f"; {found['without']:,} {'document has' if found['without'] == 1 else 'documents have'} no value"
    words = {"least": "At least", "most": "At most"}
    bins = zip(pairwise(found["edges"]), found["kept"], found["dropped"], strict=True)
    whole = found["scale"] == "whole"
    return {
        "name": name,
        "said": rule,
        "svg": Markup(svg(name, found)),
        "thresholds": [
            (words[key], [(number(value), share(part)) for value, part in values]) for key, values in found["thresholds"].items() if values
        ],
        "rows": [(number(begin + 0.5 if whole else begin), kept, gone) for (begin, _), kept, gone in bins if kept or gone],
    }


def _headline(first: Mapping[str, Any], last: Mapping[str, Any]) -> str:
    if not first["documents_out"]:
        return "The source has no documents that can be read."
    if not last["documents_out"]:
        return f"Nothing is left of {first['documents_out']:,} documents."
    return f"{share(last['bytes_out'] / max(first['bytes_out'], 1))} of the text is left."


def _lead(funnel: Sequence[Mapping[str, Any]]) -> str:
    steps = sorted(funnel[1:], key=lambda step: step["bytes_out"] - step["bytes_in"])
    removing = [step for step in steps if step["bytes_in"] > step["bytes_out"]]
    if not removing:
        return "No step removed anything."
    whole = max(funnel[0]["bytes_out"], 1)
    told = []
    for step in removing[:2]:
        reason = next(iter(step["dropped"]), None)
        why = f", mainly for {reason}" if reason else ", by editing"
        told.append(f"{breakable(step['step'])} removed {share((step['bytes_in'] - step['bytes_out']) / whole)}{why}")
    return f"Of all text, {'; '.join(told)}."


def _does(step: Mapping[str, Any]) -> str:
    came = f"Of {step['documents_in']:,} documents that came ({megabytes(step['bytes_in'])})"
    edited = step.get("edited", 0)
    changed = f" and edited {edited:,} of those that stayed" if edited else ""
    return f"{came}, it dropped {step['documents_in'] - step['documents_out']:,}{changed}. {megabytes(step['bytes_out'])} are left."


def _setting(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)  # as one would write it in a config
    return text if len(text) <= SETTING else text[:SETTING] + "…"
