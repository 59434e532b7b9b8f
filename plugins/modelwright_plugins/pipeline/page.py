"""The page of a pipeline: its phases, what each was judged by side by side, and the way to each phase's own page."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import modelwright
from modelwright.manifest import write_text
from modelwright.run import MANIFEST, read_manifest
from modelwright_plugins.artifacts import Evaluation
from modelwright_plugins.pipeline.scores import Row, checkpoint_bytes, cost, first_scores, judged, made_by, quantizations, speed, to_read
from modelwright_plugins.report.template import GAP, duration, megabytes, short, template
from modelwright_plugins.results import python, returned

PAGE = "report.html"
PAGES = {
    "report.html": "report",
    "quantization.html": "quantization",
    "curation.html": "curation",
    "evaluation.json": "evaluation",
    "metrics.jsonl": "metrics",
}


def write_page(folder: Path, record: Mapping[str, Any]) -> None:
    """Write `report.html` of the pipeline in `folder`, as far as it has come. `record` is what `pipeline.json` says."""
    html = template("page.html", "pipeline").render(**_said(folder, record))
    write_text(folder / PAGE, html.encode("utf-8", errors="replace").decode("utf-8"))  # a lone surrogate is no character: it becomes a ?


def _said(folder: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    names = [phase["name"] for phase in record["phases"]]
    manifests = {name: read_manifest(folder / name) for name in names if (folder / name / MANIFEST).exists()}
    finished = [name for name, manifest in manifests.items() if manifest["status"] == "finished"]
    columns, rows = judged(folder, manifests)
    seconds = {name: sum(stage.get("seconds", 0) for stage in m["stages"].values()) for name, m in manifests.items()}
    return {
        "recipe": record["recipe"],
        "headline": f"{len(names)} phases, one after another" if len(finished) == len(names) else f"{len(finished)} of {len(names)} phases",
        "lead": f"It ran {', then '.join(finished)}." if finished else "",
        "numbers": _numbers(f"{len(finished)} of {len(names)}", columns, rows, sum(seconds.values())),
        "phases": [_phase(folder, phase, manifests.get(phase["name"]), seconds.get(phase["name"])) for phase in record["phases"]],
        "columns": columns,
        "groups": _grouped(rows),
        "rows": rows,
        "texts": to_read(folder, manifests),
        "figures": _against_bits(quantizations(folder, manifests)),
        "told": [row.name.replace("_", " ").replace("/", ", ") for row in first_scores(rows)],
        "models": [_model(folder / name, name, manifest, columns, rows) for name, manifest in manifests.items() if _has_model(manifest)],
        "exported": _exported(manifests),
        "returned": [(key, [_written(value) for value in values]) for key, values in returned(manifests)],
        "begun": list(manifests),
        "facts": [("command", shlex.join(["modelwright", "run", *record["words"]])), ("folder", str(folder.absolute()))],
        "overrides": [(phase["name"], "\n".join(phase["overrides"])) for phase in record["phases"]],
        "modelwright": modelwright.__version__,
        "written": _value,
    }  # fmt: skip


def _numbers(finished: str, columns: Sequence[str], rows: Sequence[Row], seconds: float) -> list[tuple[str, str]]:
    """What stands large above the tables: how far it came, and of the first scores what the last model has."""
    found = [(finished, "phases finished"), (duration(seconds), "in their stages")]
    for row in rows[:4]:
        name, cell = next((name, cell) for name, cell in zip(reversed(columns), reversed(row.cells), strict=True) if cell)
        found.append((_value(cell.value), f"{row.name.replace('_', ' ').replace('/', ', ')}: {name}"))
    return found


def _against_bits(found: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Any]:
    """Figures of quantized models beside each other, where there are several."""
    from markupsafe import Markup

    from modelwright_plugins.report.quantization import against_bits

    return [Markup(drawn) for key in ("loss", "kl") if len(found) > 1 and (drawn := against_bits(found, key))]


def _phase(folder: Path, phase: Mapping[str, Any], manifest: Mapping[str, Any] | None, seconds: float | None) -> dict[str, Any]:
    run = folder / phase["name"]
    reused = [name for name, stage in manifest["stages"].items() if stage.get("reused_from")] if manifest else []
    return {
        "name": phase["name"],
        "from": phase["from"] or "",
        "stages": [f"{name} (reused)" if name in reused else name for name in manifest["stages"]] if manifest else [],
        "status": manifest["status"] if manifest else "not begun",
        "time": duration(seconds) if seconds is not None else "–",
        "pages": [(f"{phase['name']}/{file}", label) for file, label in PAGES.items() if (run / file).exists()],
    }


def _has_model(manifest: Mapping[str, Any]) -> bool:
    return checkpoint_bytes(manifest) is not None or made_by(manifest, Evaluation.name) is not None


def _model(run: Path, name: str, manifest: Mapping[str, Any], columns: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Its weights, first scores and speed; its checkpoint and the speed of its training."""
    known, size, fast = cost(manifest), checkpoint_bytes(manifest), speed(run, manifest)
    cells = [row.cells[columns.index(name)] if name in columns else None for row in first_scores(rows)]
    weights, writes = known.get("bytes"), known.get("tokens_per_second")
    return [
        name,
        megabytes(int(weights)) if weights else "–",
        *(_value(cell.value) if cell else "–" for cell in cells),
        short(writes) if writes else "–",
        megabytes(size) if size else "–",
        short(fast) if fast else "–",
    ]


def _exported(manifests: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(phase, Python) with which each model that was exported answers elsewhere."""
    return [(name, "\n".join(lines)) for name, manifest in manifests.items() if (lines := python(manifest))]


def _grouped(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.group or "held-out text", []).append(row)
    return list(groups.items())


def _value(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1e4 else f"{number:.4g}".replace("e", f"{GAP}e")


def _written(value: Any) -> str:
    return "–" if value is None else _value(value) if isinstance(value, float) else f"{value:,}"
