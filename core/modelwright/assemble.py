"""Assemble: a frozen config becomes the list of stages, each with its built components, checked end to end before anything runs."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.component import Artifact, Stage
from modelwright.errors import ModelwrightError
from modelwright.registry import Registry
from modelwright.schema import RESERVED, conform


@dataclass(frozen=True)
class Bound:
    """A stage with everything it needs to run but its inputs' paths."""

    name: str
    stage: Stage
    parts: dict[str, Any]  # kind -> component, or name -> component for a kind that takes a list
    config: dict[str, Any]  # the part of the frozen config that decides what this stage does
    producers: dict[type[Artifact], str | None]  # what it takes -> the stage that makes it; None: the run named by `from`


def assemble(config: Mapping[str, Any], registry: Registry) -> list[Bound]:
    """The stages of a frozen config. Raises ModelwrightError when a part is missing or does not build."""
    if not config["stages"]:
        raise ModelwrightError("no stages to run: pick a recipe (recipe=pretrain/quickstart), or name some (stages=[curate])", "stages")
    parts = {name: _build(name, config[name], registry) for name in registry.picked if name in config}
    makers: dict[type[Artifact], str] = {}
    bound: list[Bound] = []
    for name in config["stages"]:
        if any(b.name == name for b in bound):
            raise ModelwrightError(f"stages: {name!r} is named twice", "stages")
        stage = conform(config.get(str(name)), registry.load("stage", name), name)
        for kind in stage.uses:
            if kind not in parts and not registry.kind(kind).many:
                known = ", ".join(registry.names(kind))
                raise ModelwrightError(f"{kind}: stage {name!r} needs one and the recipe picks none; add {kind}=NAME ({known})", kind)
        used = {kind: parts.get(kind, {}) for kind in stage.uses}
        own = {name: config[name], **{kind: config.get(kind, {}) for kind in stage.uses}}
        bound.append(Bound(name, stage, used, own, {kind: makers.get(kind) for kind in stage.takes}))
        makers.update(dict.fromkeys(stage.makes, name))
    return bound


def problems(bound: list[Bound], config: Mapping[str, Any]) -> list[str]:
    """Everything that would stop the run, one line each: missing inputs, and what each stage says of its own parts."""
    found, back = list[str](), list[tuple[Path, Any]]()
    try:
        back = [*made(config["from"])]
    except ModelwrightError as e:
        found, back = [str(e)], [(Path(), [kind.name for b in bound for kind in b.producers])]  # that is enough to say
    there = {name for _, artifacts in back for name in artifacts}
    gone = "".join(f"; it goes back to {file.parent}, where there is no run any more" for file, _ in back if file.name == "manifest.json")
    lacking = "stage {2!r} takes {1}, which no stage before it makes: add one, or name a run that has it: from=RUN"
    lacking = "from: no finished stage of {0} made {1}, which stage {2!r} takes" if config["from"] else lacking
    for b in bound:
        missing = [kind.name for kind, producer in b.producers.items() if producer is None and kind.name not in there]
        found += [lacking.format(config["from"], name, b.name) + gone for name in missing]
        try:
            found += [f"{b.name}: {line}" for line in b.stage.problems(b.parts)]
        except ModelwrightError as e:
            found.append(f"{b.name}: {e}")
    return found


def made(run: Any) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Each stage of a run, the last first, and so on back by `from`: its folder and artifacts; of one that is gone, its manifest alone."""
    seen = list[Path]()
    while run and (folder := Path(run)) not in seen and (not seen or (folder / "manifest.json").exists()):
        seen.append(folder)
        try:
            manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            run = manifest.get("from")
            yield from [(folder / name, {**record.get("artifacts", {})}) for name, record in reversed(manifest["stages"].items())]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
            why = "it has no manifest.json" if isinstance(e, FileNotFoundError) else "its manifest.json is damaged"
            raise ModelwrightError(f"from: {folder} is not the folder of a run ({why})") from None
    yield from [(folder / "manifest.json", {})] if run and folder not in seen else []


def _build(kind: str, node: Any, registry: Registry) -> Any:
    def one(node: Any, key: str) -> Any:
        if not isinstance(node, dict) or RESERVED not in node:
            raise ModelwrightError(f"{key}: {node!r:.60} picks no component", key)
        return conform({k: v for k, v in node.items() if k != RESERVED}, registry.load(kind, node[RESERVED]), key)

    if not registry.kinds[kind].many:
        return one(node, kind)
    if not isinstance(node, dict):
        raise ModelwrightError(f"{kind}: {node!r:.60} picks no components", kind)
    return {name: one(item, f"{kind}.{name}") for name, item in node.items()}
