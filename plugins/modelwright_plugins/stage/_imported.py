"""The tokenizer of a folder of Hugging Face's as one of ours."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright.errors import ModelwrightError
from modelwright_plugins.tokenizer.find_template import read_json

if TYPE_CHECKING:
    from modelwright_plugins.engine.hugging_face_in import Incoming

FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json", "tokenizer.model")


def tokenizer_files(theirs: Incoming, out: Path) -> None:
    """Its files, and in tokenizer_config.json the token that ends a text, as config.json says where it is not there.

    ModelwrightError: there is no tokenizer, or nothing says which token ends a text."""
    from tokenizers import Tokenizer

    source = theirs.folder
    if not (source / "tokenizer.json").is_file():
        raise ModelwrightError(f"{source} has no tokenizer.json (transformers writes one with AutoTokenizer.save_pretrained)")
    out.mkdir(parents=True)
    for name in FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, out / name)
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
