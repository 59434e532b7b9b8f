"""From a run's numbers to the page: what it says, and how it is put into words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import modelwright
from modelwright_plugins.report import curation, figures, over_training
from modelwright_plugins.report.template import duration, megabytes, short, template

if TYPE_CHECKING:
    from modelwright_plugins.artifacts.blend import Blend

MUST_BEAT = ("unigram", "bigram", "trigram")
HYPHEN = "\N{NON-BREAKING HYPHEN}"


@dataclass(frozen=True)
class Findings:
    """What a report is made of: the contents of artifacts, the frozen config, and the run's manifest (empty: not known)."""

    funnel: Sequence[Mapping[str, Any]]
    shards: Mapping[str, Any]
    metrics: Sequence[Mapping[str, Any]]
    evaluation: Mapping[str, Any]
    config: Mapping[str, Any]
    manifest: Mapping[str, Any]
    run: str  # the run's folder
    blend: Blend | None = None  # what training drew of each domain, where stage mix said it


def page(found: Findings) -> str:
    """The whole file. Every value of the run is escaped: generated text is anybody's text."""
    return template("page.html").render(**_said(found))


def _said(found: Findings) -> dict[str, Any]:
    import yaml
    from markupsafe import Markup

    evaluation, measured = found.evaluation, "model" in found.evaluation  # of a model that gives no likelihood there is none
    plain = {key: value for key, value in found.manifest.items() if key in {"versions", "plugins", "git"} and value}
    return {
        "recipe": found.config.get("recipe") or "a run without a recipe",
        "headline": _headline(evaluation) if measured else "A model that was asked for no likelihood",
        "against": _against(evaluation) if measured else "",
        "numbers": _numbers(found),
        **{key: evaluation.get(key) for key in ("model", "held_out", "baselines", "context")},
        "groups": evaluation.get("groups", ()),
        "better": sum(_better(group) for group in evaluation.get("groups", ())),
        "samples": evaluation["samples"],
        "scores": [_score(score) for score in evaluation.get("scores", ())],
        "checkpoints": _checkpoints(evaluation.get("checkpoints", ())),
        "sampling": _sampling(found.config.get("generator") or {}),
        "training": _training(found),
        "data": _data(found),
        **curation.said(found.funnel),
        "alone": False,
        "mixture": found.blend.rows() if found.blend else [],
        "planned": found.blend.tokens if found.blend else 0,
        "facts": _facts(found),
        "config": yaml.safe_dump(dict(found.config), sort_keys=False, allow_unicode=True),
        "versions": yaml.safe_dump(plain, sort_keys=False, allow_unicode=True) if plain else "",
        "stages": [(name, record["seconds"]) for name, record in found.manifest.get("stages", {}).items() if "seconds" in record],
        "modelwright": modelwright.__version__,
        "figures": {
            "comparison": Markup(figures.comparison(evaluation)) if measured else "",
            "groups": Markup(figures.by_group(evaluation["groups"])) if measured else "",
            "training": [(title, told, Markup(svg)) for title, told, svg in _curves(found)],
        },
    }  # fmt: skip


def _headline(evaluation: Mapping[str, Any]) -> str:
    beaten = set(evaluation["beaten"])
    text = "the same text"
    if (fitted := min(b["tokens"] for b in evaluation["baselines"] if b["fitted_on"] == "seen")) < evaluation["model"]["tokens_seen"]:
        text = f"the first {short(fitted)} tokens of the same text"
    if {b["name"] for b in evaluation["baselines"]} <= beaten:
        return f"It beats every n{HYPHEN}gram that read {text}."
    if evaluation["beats"]:
        return f"It beats the unigram, bigram and trigram that read {text}."
    lost = [name for name in MUST_BEAT if name not in beaten]
    return f"It does not beat the {' or the '.join(lost)} that read {text}."


def _against(evaluation: Mapping[str, Any]) -> str:
    def best(text: str) -> Mapping[str, Any]:
        rows: list[Mapping[str, Any]] = [b for b in evaluation["baselines"] if b["fitted_on"] == text]
        return min(rows, key=lambda b: b["bits_per_byte"])

    seen, every = best("seen"), best("all")
    name = seen["name"].replace("-", HYPHEN)
    return (
        f"The best n{HYPHEN}gram of the text that the model saw, a {name}, needs {seen['bits_per_byte']:.2f}; "
        f"of all training text, {every['bits_per_byte']:.2f}."
    )


def _numbers(found: Findings) -> list[tuple[str, str]]:
    model, train = found.evaluation.get("model"), found.shards["train"]
    speeds = sorted(row["tokens_per_second"] for row in found.metrics if row.get("tokens_per_second"))
    numbers = [
        *([(f"{model['perplexity']:,.1f}", "perplexity, a token")] if model else []),
        *([(short(weights), "parameters, all that are trained")] if (weights := found.evaluation.get("parameters")) else []),
        (short(_trained(found)), f"tokens trained on, of {short(train['tokens'])} there are"),
        (megabytes(found.funnel[-1]["bytes_out"]), f"of text kept, of {megabytes(found.funnel[0]['bytes_out'])} read"),
    ]
    if speeds:
        numbers.append((short(speeds[len(speeds) // 2]), "tokens a second in training (median)"))
    if seconds := sum(record.get("seconds", 0) for record in found.manifest.get("stages", {}).values()):
        numbers.append((duration(seconds), "from the first stage to this page"))
    return numbers


def _trained(found: Findings) -> int:
    """Targets that the model was pretrained on, or else trained on here."""
    return int(found.evaluation["model"]["tokens_trained"] if "model" in found.evaluation else found.metrics[-1]["tokens"])


def _score(score: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the table of scores."""
    told = {key: f"{score[key]:.4g}" for key in ("value", "low", "high")}
    return {"name": over_training.named(score), **told, "count": f"{score['count']:,}", "better": score["better"]}


def _checkpoints(checkpoints: over_training.Checkpoints) -> dict[str, Any]:
    """What is said of each checkpoint, where there are scores of some."""
    from markupsafe import Markup

    if not checkpoints or not checkpoints[-1]["scores"]:
        return {}
    drawn = [(title, told, Markup(svg)) for title, told, svg in over_training.figures(checkpoints)]
    return {"steps": [each["step"] for each in checkpoints], "rows": over_training.rows(checkpoints), "figures": drawn}


def _better(group: Mapping[str, Any]) -> bool:
    bits = group["bits_per_byte"]
    return bits["model"] is not None and bool(bits["model"] < bits["trigram"])


def _sampling(generator: Mapping[str, Any]) -> str:
    told = [
        f"{key.replace('_', '-')} {value}"
        for key, value in generator.items()
        if key in {"temperature", "top_k", "top_p"} and value is not None
    ]
    return f" ({', '.join(told)})" if told else ""


def _training(found: Findings) -> str:
    last, trained = found.metrics[-1], _trained(found)
    seen = found.evaluation["model"]["tokens_seen"] if "model" in found.evaluation else trained
    if "model" in found.evaluation and found.evaluation["model"].get("trained_further"):
        return f"{last['step']:,} updates on {short(last['tokens'])} tokens of examples, after a pretraining on {short(trained)} tokens."
    epochs = trained / found.shards["train"]["tokens"]
    again = (
        f"{short(seen)} of them different, so it read the text {epochs:.1f} times"
        if trained > seen * 1.05
        else f"{epochs:.0%} of the training text"
    )
    updates = f"{last['step']:,} updates on {short(trained)} tokens: {again}."
    return f"{updates} {_parts(found.config)}" if "architecture" in found.config else updates


def _parts(config: Mapping[str, Any]) -> str:
    def told(kind: str, *keys: str) -> str:
        part = config.get(kind) or {}
        known = [f"{key} {part[key]}" for key in keys if part.get(key) is not None]
        return f"{part.get('name', kind)} ({', '.join(known)})" if known else str(part.get("name", kind))

    layout = told("parallel", "data", "tensor", "pipeline", "virtual")
    return (
        f"{told('architecture', 'layers', 'width', 'heads')}, {told('optimizer', 'lr')}, {told('schedule', 'warmup')}, "
        f"{told('precision')}, {layout}."
    )


def _data(found: Findings) -> str:
    first, last, train, held = found.funnel[0], found.funnel[-1], found.shards["train"], found.shards["held_out"]
    left = f"Of {first['documents_out']:,} documents, {last['documents_out']:,} are left: {megabytes(last['bytes_out'])}"
    groups = f"in {len(train['groups']) + len(held['groups']):,} groups"
    aside = f"{len(held['groups']):,} whole groups ({megabytes(held['bytes'])}) were held out"
    each = train["bytes"] / max(train["tokens"], 1)
    return f"{left}, {groups}. {aside}; the other {len(train['groups']):,} became {short(train['tokens'])} tokens of {each:.2f} bytes each."


def _curves(found: Findings) -> list[tuple[str, str, str]]:
    marks = None
    if "model" in found.evaluation:
        trigram = next(b for b in found.evaluation["baselines"] if b["fitted_on"] == "seen" and b["name"] == "trigram")
        marks = {"held-out": found.evaluation["model"]["loss"], "trigram, held-out": trigram["loss"]}
    every = [
        ("Loss", "nats a token, on the batch of each step", "loss", marks),
        ("Learning rate", "of the optimizer, as the schedule scales it", "lr", None),
        ("Gradient norm", "before clipping", "grad_norm", None),
        ("Throughput", "tokens a second", "tokens_per_second", None),
    ]
    drawn = [(title, told, figures.curve(found.metrics, key, title, levels)) for title, told, key, levels in every]
    return [curve for curve in drawn if curve[2]]


def _facts(found: Findings) -> list[tuple[str, str]]:
    overrides = found.manifest.get("overrides") or []
    facts = [
        ("command", " ".join(["modelwright run", *(overrides or [f"recipe={found.config.get('recipe')}"])])),
        ("seed", str(found.config.get("seed"))),
        ("run", found.run),
    ]
    if git := found.manifest.get("git"):
        facts.append(("git commit", git))
    return facts
