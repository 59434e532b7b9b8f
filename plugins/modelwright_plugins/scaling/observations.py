"""What a law is fitted to: the parameters, tokens and loss of each run, read from a table."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modelwright.errors import ModelwrightError, nearest
from modelwright_plugins.scaling.laws import Array
from modelwright_plugins.scaling.units import number

NAMES = {  # of columns, without capitals and signs, the best first
    "parameters": ("parameters", "params", "n", "modelsize", "nparams", "numparams", "numparameters", "nonembeddingparameters", "size"),
    "tokens": ("tokens", "d", "trainingtokens", "traintokens", "tokenstrained", "ntokens", "numtokens", "datasetsize"),
    "flops": ("flops", "flop", "c", "trainingflops", "trainingflop", "trainflops", "compute", "trainingcompute"),
    "loss": ("loss", "l", "valloss", "validationloss", "testloss", "evalloss", "heldoutloss", "finalloss"),
}


@dataclass(frozen=True)
class Observations:
    """Runs that a law is fitted to, in order."""

    name: str  # where they come from
    parameters: Array
    tokens: Array
    loss: Array  # nats a token
    labels: Sequence[str]  # of each run
    quarantined: Sequence[str] = ()  # what was set aside, and why, a line each

    @property
    def flops(self) -> Array:
        """6 N D: a forward and a backward pass (Kaplan et al. 2020, section 2.1)."""
        return 6 * self.parameters * self.tokens


def joined(parts: Sequence[Observations]) -> Observations:
    """All of these together."""

    def every(name: str) -> Array:
        return np.concatenate([getattr(part, name) for part in parts])

    aside = [line for part in parts for line in part.quarantined]
    labels = [f"{part.name} {label}" if len(parts) > 1 else label for part in parts for label in part.labels]
    return Observations(", ".join(part.name for part in parts), every("parameters"), every("tokens"), every("loss"), labels, aside)


def read_csv(file: Path, columns: Mapping[str, str] | None = None) -> Observations:
    """The rows of a table with a header: parameters, loss, and tokens or FLOPs (tokens are then FLOPs / 6 / parameters).

    `columns` maps these names to the file's own; others are found by their usual names. Rows that can't be used are quarantined.
    Raises ModelwrightError for a file that is no such table.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as e:
        raise ModelwrightError(f"{file}: expected a table as UTF-8 text, found byte {e.object[e.start]:#04x} at {e.start}") from None
    except OSError as e:
        raise ModelwrightError(f"{file}: {e.strerror}; expected a CSV file or the folder of a sweep") from None
    first = next((line for line in text.splitlines() if line.strip()), "")
    rows = csv.reader(text.splitlines(), delimiter=max(",;\t", key=first.count))
    header = next((row for row in rows if any(cell.strip() for cell in row)), None)
    if header is None:
        raise ModelwrightError(f"{file}: empty; expected a header with columns for parameters, tokens or FLOPs, and loss")
    at = _columns(file, rows.line_num, [cell.strip() for cell in header], columns or {})
    good, labels, bad = [], [], []
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        try:
            good.append(_record(row, at, header))
            labels.append(f"line {rows.line_num}")
        except ValueError as e:
            bad.append(f"{file}:{rows.line_num}: {e}")
    if not good:
        raise ModelwrightError(bad[0] if bad else f"{file}: there is a header and no record")
    parameters, tokens, losses = np.array(good).T
    return Observations(str(file), parameters, tokens, losses, labels, bad)


def _columns(file: Path, line: int, header: Sequence[str], given: Mapping[str, str]) -> dict[str, int]:
    """Role -> index of its column."""
    plain = [re.sub(r"[^a-z0-9]", "", cell.lower()) for cell in header]
    at = {}
    for role, known in NAMES.items():
        if role in given:
            if given[role] not in header:
                raise ModelwrightError(f"{file}:{line}: no column {given[role]!r}{nearest(given[role], header)}")
            at[role] = header.index(given[role])
        elif name := next((name for name in known if name in plain), None):
            at[role] = plain.index(name)
    if "tokens" in at and ("tokens" in given or "flops" not in given):
        at.pop("flops", None)  # one of both is read: the other's cells may be empty
    else:
        at.pop("tokens", None)
    for role in ("parameters", "loss", "tokens"):
        if role not in at and not (role == "tokens" and "flops" in at):
            what = "tokens or FLOPs" if role == "tokens" else role
            raise ModelwrightError(f"{file}:{line}: no column is known as {what}; name it: --columns {role}=NAME{nearest(role, header)}")
    return at


def _record(row: Sequence[str], at: Mapping[str, int], header: Sequence[str]) -> tuple[float, float, float]:
    found = {}
    for role, index in at.items():
        if index >= len(row):
            raise ValueError(f"expected {len(header)} columns, found {len(row)}")
        try:
            found[role] = number(row[index])
        except ValueError as e:
            raise ValueError(f"{header[index].strip()}: {e}") from None
    tokens = found["tokens"] if "tokens" in found else found["flops"] / (6 * found["parameters"])
    return found["parameters"], tokens, found["loss"]
