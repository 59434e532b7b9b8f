"""What is told of prepared examples."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelwright_plugins.artifacts.examples import PARTS
from modelwright_plugins.stage._funnel import LARGE, lost

if TYPE_CHECKING:
    from modelwright_plugins.artifacts import Documents

SAID = 8  # reasons that are printed
ALOUD = 3  # of them, where much is missing
CAPPED = "more than "  # how the reason begins that somebody has asked for


def aloud(about: Mapping[str, Any], documents: Documents) -> list[str]:
    """What is said beside the table where much is missing: of the source's records, and of the documents."""
    dropped = {reason: count for reason, count in about["dropped"].items() if not reason.startswith(CAPPED)}
    gone, kept = sum(dropped.values()), sum(about[part]["examples"] for part in PARTS)
    try:
        lines = lost(json.loads((documents.path / "funnel.json").read_text(encoding="utf-8"))[0])
    except (OSError, ValueError, LookupError):
        lines = []  # of another maker
    if gone >= LARGE * (gone + kept):
        few = "; ".join(f"{count:,}: {reason}" for reason, count in sorted(dropped.items(), key=lambda item: -item[1])[:ALOUD])
        lines.append(f"  LEFT OUT: {gone:,} of {gone + kept:,} examples, {gone / (gone + kept):.0%} ({few})")
    return lines


def table(about: Mapping[str, Any]) -> list[str]:
    """What is printed: a line each part, and what was left out."""
    lines = [f"  {about['kind']:12}  {'examples':>10}  {'rows':>10}  {'tokens':>12}  {'targets':>7}  {'longest':>8}"]
    for part in PARTS:
        one = about[part]
        share = one["targets"] / max(one["tokens"], 1)
        lines.append(f"  {part:12}  {one['examples']:10,}  {one['rows']:10,}  {one['tokens']:12,}  {share:7.1%}  {one['longest']:8,}")
    if about["cut_prompts"]:
        lines.append(f"  shorter       {about['cut_prompts']:10,}  the first turns of a prompt are left out, as it was too long")
    often = sorted(about["dropped"].items(), key=lambda item: -item[1])
    lines += [f"  left out      {count:10,}  {reason}" for reason, count in often[:SAID]]
    others = sum(count for _, count in often[SAID:])
    return lines + ([f"  left out      {others:10,}  for {len(often) - SAID} other reasons (examples.json)"] if others else [])
