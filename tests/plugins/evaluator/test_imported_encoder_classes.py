"""An imported BERT before texts to classify: its tokens, their types and its states are those of transformers."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from modelwright_plugins.conformance.ranks import joined, on_ranks
from modelwright_plugins.evaluator.classification import Row

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "soup", "is", "hot", "cold", "it"]
ROWS = [("soup is hot",), ("soup is hot", "it is cold")]


def imported(rank: int, where: Path) -> dict[str, Any]:
    from modelwright.hooks import discover
    from modelwright_plugins.artifacts import Checkpoint, Tokenizer
    from modelwright_plugins.conformance.training import built_in
    from modelwright_plugins.engine.inference import open_model
    from modelwright_plugins.engine.trainer import how
    from modelwright_plugins.evaluator._classification import texts
    from modelwright_plugins.evaluator.model import Model
    from modelwright_plugins.generator.sampling import Sampling
    from modelwright_plugins.stage.import_model import ImportModel

    joined(rank, 1)
    made = {kind: kind(where / kind.__name__) for kind in (Checkpoint, Tokenizer)}
    job: Any = SimpleNamespace(parts=built_in(), seed=1, hooks=discover(), make=made.__getitem__)
    ImportModel(path=where / "bert").run(job)
    with open_model(made[Checkpoint], **how(built_in()), seed=1) as trained:
        model = Model(trained, made[Tokenizer].path, Sampling())
        asked = texts(model, [Row(row, "0") for row in ROWS], {"0": 0})
        return {"texts": [(text.tokens, text.second) for text in asked], "vectors": trained.vectors(asked, "first")}


@pytest.mark.slow
def test_texts_stand_as_transformers_has_them(tmp_path: Path) -> None:
    import torch
    from transformers import BertConfig, BertForPreTraining, BertTokenizerFast

    torch.manual_seed(1)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "max_position_embeddings": 16}
    model = BertForPreTraining(BertConfig(vocab_size=len(WORDS), initializer_range=0.2, **sizes)).eval()
    model.save_pretrained(folder := tmp_path / "bert")
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS))
    tokenizer = BertTokenizerFast(str(tmp_path / "vocab.txt"))
    tokenizer.save_pretrained(folder)
    (found,) = on_ranks(imported, 1, tmp_path / "ranks", where=tmp_path)
    for row, (tokens, second), vector in zip(ROWS, found["texts"], found["vectors"], strict=True):
        theirs = tokenizer(*row, return_tensors="pt")
        assert list(tokens) == theirs["input_ids"][0].tolist()
        assert [int(place >= second) for place in range(len(tokens))] == theirs["token_type_ids"][0].tolist()
        with torch.no_grad():
            states = model.bert(**theirs).last_hidden_state[0, 0]
        assert vector == pytest.approx(np.asarray(states), abs=1e-5)


@pytest.mark.parametrize("said", ["[CLS]", {"content": "[CLS]"}, None])
def test_names_of_its_special_tokens(tmp_path: Path, said: Any) -> None:
    from tokenizers import Tokenizer, models

    from modelwright_plugins.stage._imported import special_tokens

    Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]")).save(
        str(tmp_path / "tokenizer.json")
    )
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"cls_token": said} if said else {}))
    assert special_tokens(tmp_path) == {"[CLS]": 2, "[SEP]": 3}
