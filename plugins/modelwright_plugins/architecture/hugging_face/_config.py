"""From a component of ours to `config.json`, and back."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from modelwright.errors import ModelwrightError, nearest
from modelwright_plugins.architecture import Architecture
from modelwright_plugins.architecture.hugging_face._table import NEEDED, Family, Setting
from modelwright_plugins.architecture.hugging_face._told import TOLD
from modelwright_plugins.architecture.hugging_face.bert import BERT
from modelwright_plugins.architecture.hugging_face.bloom import BLOOM
from modelwright_plugins.architecture.hugging_face.deepseek import DEEPSEEK_V2
from modelwright_plugins.architecture.hugging_face.gpt2 import GPT2
from modelwright_plugins.architecture.hugging_face.llama import GRANITE, LLAMA, MISTRAL, QWEN2, QWEN3
from modelwright_plugins.architecture.hugging_face.mixtral import MIXTRAL
from modelwright_plugins.architecture.hugging_face.t5 import T5, T5_GATED

MODELS: tuple[Family, ...] = (LLAMA, MISTRAL, QWEN2, QWEN3, MIXTRAL, GRANITE, GPT2, BLOOM, DEEPSEEK_V2, T5, T5_GATED, BERT)
"""In the order in which they are tried: the first that has a component's fields."""

TRAINING = ("dropout", "initializer_std", "initializer_factor", "aux_loss", "z_loss", "balance")  # fields that say nothing of the weights
UNUSED: tuple[Any, ...] = (None, False, [], {}, "")  # what a key that is not known may be: it is not in use


def effective(a: Architecture) -> dict[str, Any]:
    """All fields, with what None stands for; those that nothing is computed with are as by default."""
    fields = dataclasses.asdict(a)
    plain = {f.name: f.default for f in dataclasses.fields(a)}

    def unless(used: bool, *names: str) -> None:
        fields.update({name: plain[name] for name in names if name in plain and not used})

    size = a.width // a.heads
    stands_for = {
        "kv_heads": a.heads,
        "decoder_layers": fields.get("encoder_layers"),
        "head_dim": size,
        "feed_forward": getattr(a, "feed_forward_size", None),
        "embedding_width": a.width,
        "qkv_bias": fields.get("bias"),
        "value_head_dim": fields.get("head_dim") or size if fields.get("kv_rank") else None,
        "attention_scale": None if fields.get("kv_rank") else (fields.get("head_dim") or size) ** -0.5,
        "expert_feed_forward": getattr(a, "expert_feed_forward_size", None) if fields.get("experts") else None,
    }
    fields |= {name: value for name, value in stands_for.items() if name in fields and fields[name] is None}
    if fields.get("experts") and not fields["first_dense_layers"]:
        fields["feed_forward"] = fields["expert_feed_forward"]  # no layer has another
    unless(bool(fields.get("experts")), "experts_per_token", "expert_feed_forward", "router", "router_scale")
    unless(bool(fields.get("kv_rank")), "rope_head_dim")
    unless(fields.get("position", "rope") == "rope", "rope_base", "rope_fraction")
    unless(fields.get("position", "learned") == "learned", "positions")
    kind = fields.get("rope_scaling", "none")
    unless(kind in ("yarn", "llama3"), "rope_original", "rope_slow", "rope_fast")
    unless(kind == "yarn", "yarn_mscale", "yarn_mscale_all")
    if fields.get("rope_fast", 0) is None and kind != "none":
        fields["rope_fast"] = {"yarn": 32.0, "llama3": 4.0}.get(kind)
    return fields


def differences(one: Architecture, other: Architecture) -> dict[str, Any]:
    """Fields of `other` that make its weights others than those of `one`, or what is computed with them; both are of the same kind."""
    ours, theirs = effective(one), effective(other)
    return {name: theirs[name] for name in ours if name not in TRAINING and not _same(ours[name], theirs[name])}


def other_architecture(one: Architecture, other: Architecture) -> str | None:
    """Why weights of `other` are none for `one`, with the overrides that make it the same; None: they are."""
    if type(one) is not type(other):
        return f"it is a {type(other).__name__}, not a {type(one).__name__}"
    found = {name: value for name, value in differences(one, other).items() if name != "positions" or getattr(one, name) is not None}
    if not found:
        return None
    words = " ".join(f"architecture.{name}={_shown(value)}" for name, value in found.items())
    return f"its architecture is another; {words} makes this one the same"


def _same(one: Any, two: Any) -> bool:
    if isinstance(one, float) and isinstance(two, int | float):
        return math.isclose(one, two, rel_tol=1e-12)
    return bool(one == two)


def config_of(a: Architecture, *, vocab_size: int, sequence_length: int) -> tuple[Family, dict[str, Any]]:
    """The first of Hugging Face's architectures that computes what this component does, and its config.json (without token numbers).

    ModelwrightError: there is none, with the fields that the closest lacks."""
    closest: tuple[int, list[str]] | None = None
    for family in MODELS:
        if type(a) is not _component(family):
            continue
        try:
            config = _written(family, a, vocab_size, sequence_length)
            other = differences(_read(family, json.loads(json.dumps(config))), a)
        except (ValueError, TypeError, KeyError) as e:
            closest = closest or (len(TOLD), [str(e)])
            continue
        if not (found := [f"architecture.{name}={_shown(value)}" for name, value in other.items() if name != "positions"]):
            return family, config
        closest = (len(found), found) if closest is None or len(found) < closest[0] else closest
    why = f": {', '.join(closest[1])}" if closest else ""
    raise ModelwrightError(f"Hugging Face has no architecture that computes what this {type(a).__name__} does{why}")


def component_of(config: Mapping[str, Any]) -> tuple[Family, Architecture]:
    """The component of ours that computes what the model of this config.json does. ModelwrightError: there is none, and why."""
    name = config.get("model_type")
    if not (families := [family for family in MODELS if family.model_type == name]):
        known = sorted({family.model_type for family in MODELS})
        raise ModelwrightError(f"model_type is {name}{nearest(str(name), known)}; what can be read is {', '.join(known)}")
    config = as_named(config)
    for family in families:
        try:
            return family, _read(family, config)
        except KeyError as e:
            why = f"{e.args[0]} is missing"
        except (ValueError, TypeError) as e:
            why = str(e)
    raise ModelwrightError(f"{name}: {why}")


def as_named(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config.json with each key under the name that its family's table has. ModelwrightError: two names say two things."""
    also = next((family.also for family in MODELS if family.model_type == config.get("model_type")), {})
    found = {key: value for key, value in config.items() if key not in also}
    for other, name in also.items():
        if config.get(other) is None:
            continue
        if found.get(name) not in (None, config[other]):
            raise ModelwrightError(f"{name} is {found[name]} and {other} {config[other]}, which are two names of one setting")
        found[name] = config[other]
    return found


def _written(family: Family, a: Architecture, vocab_size: int, sequence_length: int) -> dict[str, Any]:
    fields = effective(a)
    if "positions" in fields:
        fields["positions"] = fields["positions"] or sequence_length
    config: dict[str, Any] = {"model_type": family.model_type, "architectures": [family.model], "vocab_size": vocab_size}
    if family.positions:
        stretched = fields["rope_original"] * fields["rope_factor"] if fields.get("rope_scaling") == "yarn" else 0
        config[family.positions] = max(sequence_length, int(stretched))  # transformers warns where yarn's is another
    for setting in family.settings:
        config |= {setting.theirs: fields[setting.ours]} if isinstance(setting, Setting) else setting.out(fields)
    return config | dict(family.said)


def _read(family: Family, config: Mapping[str, Any]) -> Architecture:
    """ValueError: it computes something else than ours; KeyError: a key is missing."""
    known = {"vocab_size", family.positions, *family.said, *family.plain, *family.ignored} | TOLD
    for key, value in {**family.said, **family.plain}.items():
        if config.get(key, value) not in (value, None):
            raise ValueError(f"{key} is {config[key]}; what can be read is {value}")
    fields: dict[str, Any] = dict(family.fixed)
    for setting in family.settings:
        if isinstance(setting, Setting):
            known.add(setting.theirs)
            value = config[setting.theirs] if setting.default is NEEDED else config.get(setting.theirs, setting.default)
            fields[setting.ours] = value
        else:
            known |= {*setting.keys}
            fields |= setting.back(config)
    for key, value in config.items():
        if key in known or value in UNUSED:
            continue
        if key == "quantization_config":
            raise ValueError(f"{key} is {value!s:.60}; what can be read has plain numbers")
        raise ValueError(f"{key} is {value!s:.60}, which is not read; if nothing is computed with it, take it out of config.json")
    found: Architecture = _component(family)(**fields)
    return found


def _component(family: Family) -> Any:
    from modelwright_plugins.architecture.decoder import CausalDecoder
    from modelwright_plugins.architecture.encoder import Encoder
    from modelwright_plugins.architecture.encoder_decoder import EncoderDecoder

    return {"causal_decoder": CausalDecoder, "encoder": Encoder, "encoder_decoder": EncoderDecoder}[family.component]


def _shown(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
