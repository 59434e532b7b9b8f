"""New tokens a second: Modelwright against Hugging Face's `generate`, the same weights, prompts and tokens drawn.

    OMP_NUM_THREADS=1 python benchmarks/generate.py

One thread, FP32, in one process. Hugging Face makes a Llama and saves it, and Modelwright loads that folder. Prompts are of different
lengths; nothing ends a reply, so that both draw as many tokens. They take turns, so that a noisy machine disturbs both; the ratio is the
median of the turns' ratios of processor time. Greedy and beam search must give the same tokens. The exit code is 1 if a ratio is below 1,
or tokens differ.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

VOCABULARY, CONTEXT = 4096, 512
SIZES = {
    "2 x 128": {"num_hidden_layers": 2, "hidden_size": 128, "num_attention_heads": 4, "num_key_value_heads": 4, "intermediate_size": 344},
    "8 x 512": {"num_hidden_layers": 8, "hidden_size": 512, "num_attention_heads": 8, "num_key_value_heads": 4, "intermediate_size": 1376},
}


@dataclass(frozen=True)
class Case:
    size: str
    rows: int
    how: str  # greedy, sampling or beam
    new: int  # tokens of each row

    def __str__(self) -> str:
        return f"{self.size}, {self.rows:>2} rows, {self.how}"


CASES = [
    *(Case("2 x 128", rows, how, 64) for rows in (1, 32) for how in ("greedy", "sampling")),
    Case("2 x 128", 8, "beam", 48),
    *(Case("8 x 512", rows, how, 32) for rows in (1, 16) for how in ("greedy", "sampling")),
    Case("8 x 512", 4, "beam", 24),
]


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--turns", type=int, default=7, help="turns of each side")
    turns = ask.parse_args().turns
    torch.set_num_threads(1)
    bad = False
    print(f"{'layers x width, batch':<32}{'Modelwright':>14}{'transformers':>14}{'ratio':>8}  tokens")
    for size in SIZES:
        with models(size) as (ours, theirs):
            for case in (case for case in CASES if case.size == size):
                ratio, same = measured(case, ours, theirs, turns)
                bad |= ratio < 1 or same is False
    sys.exit(bad)


@contextmanager
def models(size: str) -> Iterator[tuple[Any, Any]]:
    """The same model, of both."""
    import transformers

    from modelwright_plugins.attention.cores import SDPA
    from modelwright_plugins.engine.hugging_face_in import Incoming
    from modelwright_plugins.engine.model import build
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.kernel.local import Torch
    from modelwright_plugins.parallel.megatron import Megatron
    from modelwright_plugins.precision.floats import FP32

    torch.manual_seed(1)
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY, **SIZES[size], max_position_embeddings=CONTEXT, tie_word_embeddings=False, initializer_range=0.05,
        attn_implementation="sdpa", bos_token_id=None, eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    theirs = transformers.LlamaForCausalLM(config).eval()
    with tempfile.TemporaryDirectory() as folder, started(Megatron(), seed=1):
        theirs.save_pretrained(folder)
        incoming = Incoming.of(Path(folder))
        how: dict[str, Any] = {"parallel": Megatron(), "precision": FP32(), "kernel": Torch(), "attention": SDPA()}
        ours = build(incoming.architecture, **how, vocab_size=VOCABULARY, sequence_length=CONTEXT)
        incoming.load(ours, vocab_size=VOCABULARY)
        yield ours, theirs


def measured(case: Case, ours: Any, theirs: Any, turns: int) -> tuple[float, bool | None]:
    """The ratio of tokens a second, and whether the tokens were the same (None: they need not be). It prints them."""
    draw = random.Random(case.rows)
    prompts = [[draw.randrange(1, VOCABULARY) for _ in range(draw.randint(32, 64))] for _ in range(case.rows)]
    both: list[Callable[[], list[list[int]]]] = [own(case, ours, prompts), stock(case, theirs, prompts)]
    same = None if case.how == "sampling" else both[0]() == both[1]()
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(turns + 1):
        for generate, found in zip(both, seconds, strict=True):
            began = time.process_time()
            generate()
            if turn:  # the first one warms up
                found.append(time.process_time() - began)
    ratio = statistics.median(b / a for a, b in zip(*seconds, strict=True))
    rates = [case.rows * case.new / statistics.median(found) for found in seconds]
    told = {True: "same", False: "OTHERS", None: ""}[same]
    print(f"{case!s:<32}{rates[0]:>10,.0f} t/s{rates[1]:>10,.0f} t/s{ratio:>7.2f}x  {told}", flush=True)
    return ratio, same


def own(case: Case, chunks: Any, prompts: list[list[int]]) -> Callable[[], list[list[int]]]:
    from modelwright_plugins.engine.generation import generate
    from modelwright_plugins.generator.beam import Beam
    from modelwright_plugins.generator.sampling import Sampling

    generator = {
        "greedy": Sampling(temperature=0, max_new_tokens=case.new),
        "sampling": Sampling(temperature=0.8, top_p=0.95, max_new_tokens=case.new),
        "beam": Beam(beams=4, max_new_tokens=case.new),
    }[case.how]
    how: dict[str, Any] = {"end": (), "context": CONTEXT, "seeds": range(len(prompts)), "vocab_size": VOCABULARY}
    return lambda: [one.tokens for one in generate(chunks, prompts, generator, **how)]


def stock(case: Case, model: Any, prompts: list[list[int]]) -> Callable[[], list[list[int]]]:
    length = max(map(len, prompts))
    ids = torch.tensor([[0] * (length - len(prompt)) + prompt for prompt in prompts])
    seen = torch.tensor([[0] * (length - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    how: dict[str, Any] = {
        "greedy": {"do_sample": False},
        "sampling": {"do_sample": True, "temperature": 0.8, "top_p": 0.95, "top_k": 0},
        "beam": {"do_sample": False, "num_beams": 4},
    }[case.how]

    def generate() -> list[list[int]]:
        found: list[list[int]] = model.generate(ids, attention_mask=seen, max_new_tokens=case.new, **how)[:, length:].tolist()
        return found

    return generate


if __name__ == "__main__":
    main()
