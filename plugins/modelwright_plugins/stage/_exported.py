"""What is beside the weights in a folder of Hugging Face's: configs, tokenizer, model card."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from modelwright.component import Job
from modelwright.errors import ModelwrightError
from modelwright_plugins.architecture.hugging_face._told import TOKENS
from modelwright_plugins.artifacts import Checkpoint, Tokenizer, TokenShards
from modelwright_plugins.results import headline
from modelwright_plugins.stage._origin import OPEN, Origin, comes_from, copy_licences
from modelwright_plugins.terminal import shown
from modelwright_plugins.tokenizer.find_template import read_json

if TYPE_CHECKING:
    from modelwright_plugins.architecture.hugging_face import Family
    from modelwright_plugins.engine.card import ModelCard
    from modelwright_plugins.engine.quantized_out import QuantizedOutgoing

TEXTS, MASKED = "AutoModelForCausalLM", "AutoModelForMaskedLM"
NAMED = {"mask_token": "[MASK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
"""As BERT's tokenizers have them, whose settings leave them to transformers' class."""
COPIED = ("special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "vocab.txt", "tokenizer.model")


@dataclass(frozen=True)
class Chat:
    """What is known of how the model is talked to."""

    template: str | None  # Jinja; None: it is no chat model
    ends: tuple[int, ...]  # tokens that end what it says
    end_of_document: str  # the token's text
    mask: str | None  # the text of the token that masks
    origin: Origin | None = None  # whose model its tokenizer was taken in with; None: it was trained here


def tokenizer_files(tokenizer: Path, source: Path, card: ModelCard, family: Family, out: Path) -> Chat:
    """tokenizer.json and tokenizer_config.json, with the chat template that the model was aligned with, or else the tokenizer's own, and
    with tokens that the objective has added."""
    from modelwright_plugins.engine.pretrained import template_of
    from modelwright_plugins.tokenizer.chat_tokens import ChatEncoder
    from modelwright_plugins.tokenizer.find_template import own_template
    from modelwright_plugins.tokenizer.turn_end import TurnEnd

    spec, config = read_json(tokenizer / "tokenizer.json"), read_json(tokenizer / "tokenizer_config.json")
    if not spec:
        raise ModelwrightError(f"{tokenizer / 'tokenizer.json'}: cannot read the tokenizer")
    known = {token["content"] for token in spec["added_tokens"]}
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    new = sorted((number, name) for name, number in card.special_tokens.items() if name not in known)
    spec["added_tokens"] += [{"id": number, "content": name, **plain} for number, name in new]
    (out / "tokenizer.json").write_text(json.dumps(spec, ensure_ascii=False), encoding="utf-8")
    names = {token["id"]: token["content"] for token in spec["added_tokens"]}
    names = (
        {number: text for text, number in spec["model"].get("vocab", {}).items()} | names if card.end_of_document not in names else names
    )
    end = names.get(card.end_of_document, "")
    config |= {name: text for name, text in NAMED.items() if text in known and not config.get(name)}
    mask = config.get("mask_token") or next((name for name in card.special_tokens if "mask" in name.lower()), None)
    mask = mask["content"] if isinstance(mask, dict) else mask
    template = template_of(source) or own_template(tokenizer)
    ends = {card.end_of_document}
    if template is not None:
        ends |= TurnEnd.of(ChatEncoder(tokenizer, template)).tokens
    inputs = ["input_ids", "token_type_ids", "attention_mask"] if family.model_type == "bert" else ["input_ids", "attention_mask"]
    config |= {
        "tokenizer_class": config.get("tokenizer_class") or "PreTrainedTokenizerFast",
        "eos_token": config.get("eos_token") or end,
        "pad_token": config.get("pad_token") or end,
        "model_max_length": card.sequence_length,
        "model_input_names": inputs,
        **({"mask_token": config.get("mask_token") or mask} if mask else {}),
        **({"chat_template": template} if template else {}),
    }
    write_json(out / "tokenizer_config.json", config)
    for name in COPIED:
        if (tokenizer / name).is_file():
            (out / name).write_bytes((tokenizer / name).read_bytes())
    return Chat(template, tuple(sorted(ends)), end, mask, Origin.read(tokenizer))


def configs(config: Mapping[str, Any], card: ModelCard, family: Family, chat: Chat, out: Path, *, trained: bool) -> None:
    """config.json and generation_config.json. What was taken in says of tokens and of generation what it said there; `trained`: it has
    learned here since, where a decoder with an encoder begins with the end of a document, and the settings of its replies are others."""
    end = card.end_of_document
    if (origin := chat.origin) is not None:
        first = {"decoder_start_token_id": end} if config.get("is_encoder_decoder") and trained else {}
        known = dict(origin.tokens) if family.auto == MASKED else {"eos_token_id": end, **origin.tokens}
        write_json(out / "config.json", {**config, **known, **first})
        if family.auto != MASKED or origin.generation:
            there = {key: value for key, value in origin.generation.items() if not trained or key in TOKENS}
            last = {} if family.auto == MASKED else {"eos_token_id": origin.ends(chat.ends)}
            write_json(out / "generation_config.json", {**known, **there, **last, **first})
        return
    tokens: dict[str, Any] = {"bos_token_id": None, "eos_token_id": end, "pad_token_id": end}
    first = {"decoder_start_token_id": end} if config.get("is_encoder_decoder") else {}
    write_json(out / "config.json", {**config, **tokens, **first})
    ends = list(chat.ends) if len(chat.ends) > 1 else end
    write_json(out / "generation_config.json", {**tokens, "eos_token_id": ends, **first})


def three_lines(name: str, family: Family, chat: Chat) -> list[str]:
    """Python that asks the model in transformers, as a person would type it here."""
    where = json.dumps(name)
    if family.auto == TEXTS:
        begin = [{"role": "user", "content": "Hello!"}] if chat.template else "Once upon a time"
        reply = "[0]['generated_text'][-1]['content']" if chat.template else "[0]['generated_text']"
        return [
            "from transformers import pipeline",
            f'model = pipeline("text-generation", {where})',
            f"print(model({json.dumps(begin)}, max_new_tokens=40){reply})",
        ]
    if family.auto == MASKED:
        return [
            "from transformers import pipeline",
            f'model = pipeline("fill-mask", {where})',
            f"print(model({json.dumps(f'Once upon {chat.mask} time')}))",
        ]
    return [
        f"from transformers import {family.auto}, AutoTokenizer",
        f"model, tokenizer = {family.auto}.from_pretrained({where}), AutoTokenizer.from_pretrained({where})",
        'print(tokenizer.decode(model.generate(**tokenizer("Once upon a time", return_tensors="pt"), max_new_tokens=40)[0]))',
    ]


def said(found: QuantizedOutgoing) -> str:
    """What is said of a quantized model's files."""
    text = f"  Its matrices are as {found.name} has them."
    if left := found.left[1:]:
        text += f" {len(left)} are in plain numbers, as nothing before has a place for their inputs' divisors: {left[0]}, …"
    return text


def model_card(job: Job, family: Family, card: ModelCard, parameters: int, lines: list[str], out: Path, *, trained: bool) -> None:
    """README.md: what the manifests of the runs that made the model tell, and whose it was before, with its licences. That of a model of
    one's own is the user's to choose. `trained`: as of `configs`."""
    runs = list(_lineage(job.run, job.take(Checkpoint).path))
    tokenizer = job.take(Tokenizer).path
    origin = Origin.read(tokenizer) if comes_from(runs) else None
    texts = f"texts of up to {card.sequence_length:,} tokens"
    if origin is None:
        metadata, licence, made = [OPEN], ["Not chosen yet."], f"trained by Modelwright on {texts}"
    else:
        metadata, licence = origin.card(copy_licences(tokenizer, out))
        made = f"which is {origin.name}" + (
            f", trained further by Modelwright on {texts}" if trained else ", and was not trained by Modelwright"
        )
    recipes = [str(manifest.get("recipe") or "no recipe") for _, manifest, _ in runs]
    tags = ["modelwright", *(["conversational"] if len([r for r in runs if "align" in r[1].get("stages", {})]) else [])]
    pipeline_tag = {TEXTS: "text-generation", MASKED: "fill-mask"}.get(family.auto, "text2text-generation")
    text = [
        "---",
        "library_name: transformers",
        f"pipeline_tag: {pipeline_tag}",
        f"tags: [{', '.join(tags)}]",
        *metadata,
        "---",
        "",
        f"# {runs[0][1].get('recipe') or runs[0][0].name if runs else 'A model'}",
        "",
        f"A {family.model} of {parameters:,} parameters with {card.vocab_size:,} tokens, {made}.",
        "",
        "```python",
        *lines,
        "```",
        "",
        "## Data",
        "",
        *(_data(runs) or ["Nothing is told of it."]),
        "",
        "## Recipe",
        "",
        f"From the last run back: {', '.join(recipes) or 'unknown'}.",
        "",
    ]
    for folder, manifest, _ in runs:
        stages = ", ".join(manifest.get("stages", {}))
        text += [f"- `{shown(folder)}`: {manifest.get('recipe') or 'no recipe'}, seed {manifest.get('seed')}, stages {stages}"]
        text += [f"  - `{override}`" for override in manifest.get("overrides", ()) if not override.startswith(("recipe=", "from="))]
    numbers = [(folder, headline({"stages": manifest.get("stages", {})})) for folder, manifest, _ in runs]
    rows = [f"| {folder.name} | {name} | {_number(value)} |" for folder, found in numbers for name, value in found.items()]
    text += ["", "## Metrics", "", *(["| run | number | value |", "|---|---|---|", *rows] if rows else ["None were taken."])]
    text += ["", "## Licence", "", *licence, ""]
    (out / "README.md").write_text("\n".join(text), encoding="utf-8")


Ran = tuple[Path, Mapping[str, Any], Mapping[str, Any]]  # folder, manifest, config


def _lineage(run: Path, checkpoint: Path) -> Iterator[Ran]:
    """The run that made the checkpoint, and those that it was `from`, newest first; this one where it made it itself."""
    at: Path | None = next((folder for folder in checkpoint.parents if (folder / "manifest.json").is_file()), run)
    seen = set[Path]()
    while at is not None and at not in seen and (at / "manifest.json").is_file():
        seen.add(at)
        manifest = read_json(at / "manifest.json")
        try:
            config = yaml.safe_load((at / "config.yaml").read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError):
            config = {}
        yield at, manifest, config
        at = Path(manifest["from"]) if manifest.get("from") else None


def _data(runs: list[Ran]) -> list[str]:
    found = []
    for folder, manifest, config in runs:
        stages = manifest.get("stages", {})
        if "curate" in stages and (source := config.get("source")):
            settings = ", ".join(f"{name}={value}" for name, value in source.items() if name != "name" and value not in (None, [], {}))
            filters = ", ".join(config.get("filter", {}) or {}) or "none"
            found.append(f"- source `{source.get('name')}`" + (f" ({settings})" if settings else "") + f"; filters: {filters}")
        for stage in stages:
            told = read_json(folder / stage / TokenShards.name / "shards.json").get("train")
            if told:
                found.append(f"- {told['documents']:,} documents, {told['bytes'] / 1e6:,.2f} MB, {told['tokens']:,} tokens to train on")
    return found


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def write_json(file: Path, value: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
