"""What PEFT's files say that would be computed otherwise here is refused by its name; settings that don't fit are too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from modelwright.errors import ModelwrightError
from modelwright_plugins.adapter.lora import LoRA
from modelwright_plugins.adapter.prefix_tuning import PrefixTuning
from modelwright_plugins.adapter.prompt_tuning import PromptTuning
from modelwright_plugins.architecture.hugging_face import Sizes, linear_layers

SIZES = Sizes(heads=4, kv_heads=2, head_dim=2, feed_forward=6)
CONFIG = {"peft_type": "LORA", "r": 2, "lora_alpha": 4}


def written(folder: Path, config: dict[str, Any], names: tuple[str, ...] = ("self_attn.q_proj",), rank: int = 2) -> Path:
    import torch
    from safetensors.torch import save_file

    tensors = {}
    for number, name in enumerate(names):
        rows = 8 if "q_proj" in name else 4
        at = f"base_model.model.model.layers.0.{name}."
        tensors |= {f"{at}lora_A.weight": torch.full((rank, 8), 1.0 + number), f"{at}lora_B.weight": torch.full((rows, rank), 1.0 + number)}
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({**CONFIG, **config}))
    return folder


def read(folder: Path, **how: Any) -> Any:
    from modelwright_plugins.adapter import _peft

    return _peft.read(folder, ["qkv"], "llama", SIZES, **{"rank": 4, "scale": 1.0, "dora": False, **how})


def test_each_part_has_its_rows_and_columns(tmp_path: Path) -> None:
    found = read(written(tmp_path, {}, ("self_attn.q_proj", "self_attn.v_proj")))
    (each,) = found.values()
    assert each["a"][:, 0].tolist() == [1, 1, 2, 2]  # A of queries above that of values
    b = each["b"].tolist()  # a group: two heads of queries (4 rows), a key (2), a value (2); theirs is scaled by 4 / 2
    assert b == 2 * (4 * [[2, 2, 0, 0]] + 2 * [[0, 0, 0, 0]] + 2 * [[0, 0, 4, 4]])


def test_rows_by_hand() -> None:
    q, k, v = (rows.tolist() for _, rows in linear_layers("llama", SIZES)["qkv"])
    assert (q, k, v) == ([0, 1, 2, 3, 8, 9, 10, 11], [4, 5, 12, 13], [6, 7, 14, 15])
    (name, rows), (up, _) = linear_layers("llama", SIZES)["fc1"]
    assert (name, up, rows.tolist()) == ("mlp.gate_proj", "mlp.up_proj", [0, 1, 2, 3, 4, 5])
    ((_, fused),) = linear_layers("gpt2", SIZES)["qkv"]
    assert fused.tolist() == q + k + v


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"peft_type": "IA3"}, "is IA3; what can be read is LORA"),
        ({"use_dora": True}, "adapter=dora reads it"),
        ({"bias": "all"}, "has bias=all, which is not read"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save="),
        ({"alpha_pattern": {"q_proj": 3}}, "alpha_pattern="),
        ({"rank_pattern": {"q_proj": 3}}, "rank_pattern="),
        ({"init_lora_weights": "pissa"}, "has init_lora_weights=pissa, which is not read"),  # the base has lost what A and B were made of
        ({"init_lora_weights": "pissa_niter_16"}, "init_lora_weights="),
        ({"init_lora_weights": "olora"}, "init_lora_weights="),
        ({"init_lora_weights": "corda", "corda_config": {"rank": 2}}, "init_lora_weights="),
        ({"loftq_config": {"loftq_bits": 4}}, "loftq_config="),
        ({"alora_invocation_tokens": [1, 2]}, "alora_invocation_tokens="),  # A and B count behind these tokens alone
        ({"lora_bias": True}, "lora_bias="),
        ({"some_setting_of_a_later_peft": 0.5}, "some_setting_of_a_later_peft=0.5, which is not read"),
        ({"r": "x"}, "no adapter_config.json and adapter_model.safetensors of a LoRA"),
    ],
)
def test_settings_that_are_not_read(config: dict[str, Any], why: str, tmp_path: Path) -> None:
    with pytest.raises(ModelwrightError, match=why):
        read(written(tmp_path, config))


def test_settings_that_change_nothing_are_read(tmp_path: Path) -> None:
    from peft import LoraConfig

    plain = LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"], layers_to_transform=[0], use_rslora=True).to_dict()
    plain |= {"peft_type": "LORA", "target_modules": ["q_proj"]}
    for drawn in (True, False, "gaussian", "orthogonal", "eva"):
        assert read(written(tmp_path, plain | {"init_lora_weights": drawn})), drawn


def test_a_folder_without_weights(tmp_path: Path) -> None:
    with pytest.raises(ModelwrightError, match=r"has no weights in adapter_model.safetensors"):
        read(written(tmp_path, {}, ()))


def test_layers_and_ranks_that_do_not_fit(tmp_path: Path) -> None:
    both = written(tmp_path, {}, ("self_attn.q_proj", "self_attn.k_proj"), 3)
    with pytest.raises(ModelwrightError, match=r"of rank 6 together; adapter.rank=6"):
        read(both)
    with pytest.raises(ModelwrightError, match=r"o_proj.lora_A.weight is of no layer that is adapted here; adapter.targets=\['qkv'\]"):
        read(written(tmp_path, {}, ("self_attn.o_proj",)))
    with pytest.raises(ModelwrightError, match=r"other.lora_A.weight is of no layer that is adapted here$"):
        read(written(tmp_path, {}, ("self_attn.other",)))


def test_values_that_are_none(tmp_path: Path) -> None:
    assert LoRA(init_from=tmp_path).problems({})[0] == f"adapter.init_from: there is no adapter_config.json in {tmp_path}"
    assert LoRA(init_from=tmp_path).saved == LoRA()
    for bad, why in (
        ({"length": 0}, "length is 0"),
        ({"start": "text"}, "text is ''"),
        ({"text": "x"}, "text is 'x' with start=vocabulary"),
    ):
        with pytest.raises(ValueError, match=why):
            PromptTuning(**bad)
    for bad, why in (({"length": 0}, "length is 0"), ({"hidden": 0}, "hidden is 0"), ({"std": 0.0}, "std is 0.0")):
        with pytest.raises(ValueError, match=why):
            PrefixTuning(**bad)
    told = PromptTuning(start="text", text="x", tokenizer=tmp_path)
    assert told.saved == PromptTuning(start="random") and "no tokenizer.json" in told.problems({})[0]
