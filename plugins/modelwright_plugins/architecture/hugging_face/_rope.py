"""Rotary positions in config.json: `rope_theta` and `rope_scaling`, or `rope_parameters` with both (transformers 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelwright_plugins.architecture.hugging_face._table import Turned


def rope(default_base: float = 10_000.0) -> Turned:
    """`default_base`: where config.json does not say it."""

    def back(config: Mapping[str, Any]) -> dict[str, Any]:
        return _back(config, default_base)

    return Turned(("rope_theta", "rope_scaling", "rope_parameters", "partial_rotary_factor"), _out, back)


def _out(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {"rope_theta": float(fields["rope_base"]), "rope_scaling": _scaling(fields)}


def _scaling(fields: Mapping[str, Any]) -> dict[str, Any] | None:
    kind, factor = fields["rope_scaling"], fields["rope_factor"]
    if kind == "none":
        return None
    if kind == "linear":
        return {"rope_type": "linear", "factor": factor}
    original = {"original_max_position_embeddings": fields["rope_original"]}
    if kind == "llama3":
        turns = {"low_freq_factor": fields["rope_slow"], "high_freq_factor": fields["rope_fast"]}
        return {"rope_type": "llama3", "factor": factor, **turns, **original}
    if kind == "ntk":
        raise ValueError("architecture.rope_scaling=ntk stretches by one factor, and Hugging Face's dynamic by the length of the text")
    both = (fields["yarn_mscale"], fields["yarn_mscale_all"])
    if both != (1.0, 0.0) and not all(both):
        raise ValueError("architecture.yarn_mscale is another than 1 while yarn_mscale_all is 0, which Hugging Face's yarn leaves out")
    scale = {} if both == (1.0, 0.0) else {"mscale": both[0], "mscale_all_dim": both[1]}
    return {"rope_type": "yarn", "factor": factor, "beta_fast": fields["rope_fast"], "beta_slow": fields["rope_slow"], **scale, **original}


def _back(config: Mapping[str, Any], default_base: float) -> dict[str, Any]:
    told = dict(config.get("rope_parameters") or {})
    scaling = dict(config.get("rope_scaling") or told)
    base = float(told.get("rope_theta", scaling.get("rope_theta", config.get("rope_theta", default_base))))
    if not base.is_integer():
        raise ValueError(f"rope_theta is {base}; here it is a whole number")
    if (part := scaling.get("partial_rotary_factor", config.get("partial_rotary_factor", 1.0))) not in (None, 1.0):
        raise ValueError(f"partial_rotary_factor is {part}; what can be read is 1")
    fields: dict[str, Any] = {"rope_base": int(base)}
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    factor = float(scaling.get("factor", 1.0))
    if kind == "default" or (kind == "linear" and factor == 1):
        return fields
    if kind not in ("linear", "yarn", "llama3"):
        raise ValueError(f"rope_scaling is of type {kind}; what can be read is linear, yarn and llama3")
    fields |= {"rope_scaling": kind, "rope_factor": factor}
    if kind == "linear":
        return fields
    original = scaling.get("original_max_position_embeddings") or config.get("max_position_embeddings")
    fields["rope_original"] = original
    if kind == "llama3":
        return fields | {"rope_slow": float(scaling["low_freq_factor"]), "rope_fast": float(scaling["high_freq_factor"])}
    if scaling.get("attention_factor") is not None or scaling.get("truncate") is False:
        raise ValueError("rope_scaling has attention_factor or truncate; what can be read is yarn without")
    fields |= {"rope_slow": float(scaling.get("beta_slow") or 1), "rope_fast": float(scaling.get("beta_fast") or 32)}
    if scaling.get("mscale") and scaling.get("mscale_all_dim"):
        return fields | {"yarn_mscale": float(scaling["mscale"]), "yarn_mscale_all": float(scaling["mscale_all_dim"])}
    return fields | {"yarn_mscale": 1.0, "yarn_mscale_all": 0.0}
