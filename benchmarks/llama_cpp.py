"""Whether llama.cpp's converter makes of our quantized files the matrices that their formats' descriptions say.

    python benchmarks/llama_cpp.py convert_hf_to_gguf.py

The converter is that of a checkout of https://github.com/ggml-org/llama.cpp; of it `dequant_model` alone is read and run, on the small
models that tests/plugins/engine/test_quantized_out.py exports. A line for each: the largest difference of a matrix from what
tests/plugins/engine/unpacking.py reads, number by number in float64, of the largest number; or why it was refused; and the tensors that
were left over, which the converter does not know. The exit code is 1 if a matrix differs by more than 1e-6.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
import tempfile
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import load_file

TESTS = Path(__file__).parents[1] / "tests/plugins"  # whose models and descriptions of formats these are


def dequantizing(converter: Path) -> Any:
    """The converter's method, without the rest of its file, which wants packages that are not needed for it."""
    source = converter.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name == "dequant_model":
            own: dict[str, Any] = {"torch": torch}
            text = textwrap.dedent(" " * node.col_offset + ast.get_source_segment(source, node))
            exec("from __future__ import annotations\n" + text, own)
            return own["dequant_model"]
    sys.exit(f"{converter} has no dequant_model; it is convert_hf_to_gguf.py of llama.cpp, of October 2025 or later")


def compared(folder: Path, dequantize: Any) -> tuple[float, str]:
    """(the largest difference, what is to be said of it)."""
    from unpacking import unpacked

    told = json.loads((folder / "config.json").read_text(encoding="utf-8"))["quantization_config"]
    every = {name: value for file in folder.glob("*.safetensors") for name, value in load_file(file).items()}
    kind = "/".join(str(told[key]) for key in ("quant_method", "format", "bits") if key in told)
    model = SimpleNamespace(hparams={"quantization_config": told}, lazy=False, _is_nvfp4=False)
    model.model_tensors = {name: lambda value=value: value for name, value in every.items()}
    try:
        dequantize(model)
        theirs = {name: tensor() for name, tensor in model.model_tensors.items()}
    except (NotImplementedError, AssertionError) as e:
        return 0.0, f"{kind:<40} refused: {str(e) or type(e).__name__}"
    ours = unpacked(every, told)
    quantized = [name for name in ours if name not in every or every[name].dtype != theirs[name].dtype]
    far = max(((ours[name] - theirs[name].double()).abs().max() / ours[name].abs().max()).item() for name in quantized)
    left = sorted({name.rpartition(".")[2] for name in theirs if name not in ours})
    return far, f"{kind:<40} {far:.1e}, {len(quantized)} matrices" + (f"; left over: {', '.join(left)}" if left else "")


def main() -> int:
    sys.path[:0] = [str(TESTS / "engine"), str(TESTS / "stage")]
    from exported_models import tokenizer
    from quantized_models import CASES, made
    from ranks import on_ranks

    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("converter", type=Path)
    dequantize, wrong = dequantizing(asked.parse_args().converter), 0
    with tempfile.TemporaryDirectory() as made_in:
        out = Path(made_in)
        tokenizer(out / "tokenizer")
        on_ranks(made, 1, out / "made", groups=1, out=str(out))
        for name in CASES:
            far, said = compared(out / name / "hugging_face", dequantize)
            wrong += far > 1e-6
            print(f"{name:<16} {said}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
