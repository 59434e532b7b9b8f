"""Write the table of docs/parallelism.md from what the tests found: python docs/parallelism.py (needs nothing but Python).

The numbers are in docs/parallelism.json, which RECORD=1 pytest tests/plugins/engine/test_layouts.py writes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BEGIN, END = "<!-- Written by docs/parallelism.py. -->\n", "<!-- Up to here. -->\n"


def tables(told: dict[str, Any]) -> str:
    features = list(told["features"])
    found = {tuple(row["features"]): row for row in told["found"]}
    why = {tuple(row["features"]): row["why"] for row in told["not"]}
    reasons = [reason for reason in dict.fromkeys(why.values()) if not reason.endswith("has it in it")]

    def cell(one: str, other: str) -> str:
        names = (one,) if one == other else (one, other)
        if names in found:
            return f"{max(found[names][key] for key in ('loss', 'grad_norm')):.0e}"
        return "in it" if why[names].endswith("has it in it") else f"no ({reasons.index(why[names]) + 1})"

    lines = ["| | " + " | ".join(features) + " |", "|---" * (len(features) + 1) + "|"]
    for place, row in enumerate(features):
        cells = [cell(column, row) if at <= place else "" for at, column in enumerate(features)]
        lines.append(f"| **{row}** | " + " | ".join(cells) + " |")
    lines += ["", *(f"{number}. {reason}" for number, reason in enumerate(reasons, 1)), ""]
    lines += ["| feature | overrides |", "|---|---|"]
    lines += [f"| {name} | {overrides(fields)} |" for name, fields in told["features"].items()]
    lines += ["", "More ranks and more features at once:", "", "| layout | ranks | loss | gradient norm |", "|---|---|---|---|"]
    for names, row in found.items():
        if not set(names) <= set(features):
            lines.append(f"| {overrides(row['layout'])} | {row['ranks']} | {row['loss']:.0e} | {row['grad_norm']:.0e} |")
    versions = ", ".join(f"{name} {version}" for name, version in told["versions"].items())
    model = ", ".join(f"{name} {value}" for name, value in told["model"].items())
    experts = ", ".join(f"{name} {value}" for name, value in told["experts"].items())
    lines += [
        "",
        f"Found with {versions}, on CPU over gloo: {told['steps']} steps of AdamW in FP32 on batches of {told['global_batch']} sequences",
    ]
    lines += [f"of {told['sequence_length']} tokens; the model has {model}, and with expert parallelism {experts}."]
    return "\n".join(lines) + "\n"


def overrides(fields: dict[str, Any]) -> str:
    return " ".join(f"`parallel.{name}={json.dumps(value) if not isinstance(value, str) else value}`" for name, value in fields.items())


def page() -> str:
    """The page with its tables written anew."""
    before, _, rest = (HERE / "parallelism.md").read_text(encoding="utf-8").partition(BEGIN)
    told = json.loads((HERE / "parallelism.json").read_text(encoding="utf-8"))
    return before + BEGIN + "\n" + tables(told) + "\n" + END + rest.partition(END)[2]


if __name__ == "__main__":
    (HERE / "parallelism.md").write_text(page(), encoding="utf-8")
