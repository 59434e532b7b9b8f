"""The tokenizer of a folder of Hugging Face's as one of ours."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright.errors import ModelwrightError
from modelwright_plugins.stage._origin import Origin
from modelwright_plugins.tokenizer.find_template import read_json

if TYPE_CHECKING:
    from modelwright_plugins.engine.hugging_face_in import Incoming

FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json", "tokenizer.model")


def tokenizer_files(theirs: Incoming, out: Path) -> None:
    """Its files, whose model it is, and in tokenizer_config.json the token that ends a text, as config.json says where it is not there.

    ModelwrightError: there is no tokenizer, or nothing says which token ends a text."""
    from tokenizers import Tokenizer

    source = theirs.folder
    if not (source / "tokenizer.json").is_file():
        raise ModelwrightError(f"{source} has no tokenizer.json (transformers writes one with AutoTokenizer.save_pretrained)")
    out.mkdir(parents=True)
    for name in FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, out / name)
    Origin.of(source, theirs.config).write(out, source)
    config = read_json(source / "tokenizer_config.json")
    if not config.get("eos_token"):
        number = theirs.config.get("eos_token_id")
        number = number[0] if isinstance(number, list) and number else number
        known = Tokenizer.from_file(str(source / "tokenizer.json"))
        bert = "[SEP]" if known.token_to_id("[SEP]") is not None else None  # whose files leave it to the class of the tokenizer
        end = config.get("sep_token") or (known.id_to_token(number) if isinstance(number, int) else bert)
        if end is None:
            raise ModelwrightError(f"{source}: neither tokenizer_config.json nor config.json says which token ends a text (eos_token)")
        config["eos_token"] = end
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def special_tokens(tokenizer: Path) -> dict[str, int]:
    """What an encoder's texts begin with and end with, by name: tokenizer_config.json's, or else BERT's, whose files leave them unsaid."""
    from tokenizers import Tokenizer

    known, config = Tokenizer.from_file(str(tokenizer / "tokenizer.json")), read_json(tokenizer / "tokenizer_config.json")
    found = dict[str, int]()
    for key, bert in (("cls_token", "[CLS]"), ("sep_token", "[SEP]")):
        told = config.get(key) or bert
        name = told.get("content") if isinstance(told, dict) else told
        if isinstance(name, str) and (number := known.token_to_id(name)) is not None:
            found[name] = number
    return found
