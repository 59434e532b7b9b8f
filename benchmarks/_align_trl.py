"""TRL's side of `align.py`: its trainers, whole, which wait for their turn between steps. It needs no Modelwright."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, TrainerCallback

LENGTH = 256


class Turns(TrainerCallback):
    """The end of a step is where the other side has its turn."""

    def __init__(self, steps: int) -> None:
        self.steps, self.done = steps, 0

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        sys.stdin.readline()
        self.began = time.process_time()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.done += 1
        if self.done % self.steps == 0:
            print(f"\nrate {self.steps / (time.process_time() - self.began)}", flush=True)
            sys.stdin.readline()
            self.began = time.process_time()


def main() -> None:
    torch.set_num_threads(1)
    folder, method, turns, steps = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer" / "tokenizer.json"), eos_token="<|endoftext|>")
    tokenizer.pad_token = tokenizer.eos_token
    config = LlamaConfig(
        hidden_size=128, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4, intermediate_size=344,
        vocab_size=len(tokenizer), max_position_embeddings=LENGTH, tie_word_embeddings=False, attn_implementation="sdpa", bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    rows = json.loads((folder / "texts.json").read_text(encoding="utf-8"))
    settings = {
        "output_dir": tempfile.mkdtemp(dir=folder), "report_to": [], "use_cpu": True, "learning_rate": 1e-5,
        "lr_scheduler_type": "constant", "max_steps": (turns + 2) * steps, "logging_steps": 1, "save_strategy": "no", "disable_tqdm": True,
        "max_grad_norm": 1.0,
        "bf16": False, "gradient_checkpointing": False, "dataloader_pin_memory": False,
    }  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder / "llama")
    model = LlamaForCausalLM.from_pretrained(folder / "llama", attn_implementation="sdpa", dtype=torch.float32)
    given: dict[str, Any] = {"model": model, "processing_class": tokenizer, "callbacks": [Turns(steps)]}
    if method == "dpo":
        from trl import DPOConfig, DPOTrainer

        args = DPOConfig(**settings, per_device_train_batch_size=8, precompute_ref_log_probs=True, beta=0.1)
        trainer = DPOTrainer(**given, ref_model=LlamaForCausalLM(config), args=args, train_dataset=Dataset.from_list(rows))
    else:
        from trl import GRPOConfig, GRPOTrainer

        args = GRPOConfig(
            **settings, per_device_train_batch_size=32, num_generations=4, max_completion_length=32, beta=0.04, temperature=1.0, top_p=1.0,
            use_vllm=False,
        )  # fmt: skip
        prompts = Dataset.from_list([{"prompt": row["prompt"]} for row in rows])
        trainer = GRPOTrainer(
            **given, reward_funcs=[lambda completions, **_: [0.01 * len(text) for text in completions]], args=args, train_dataset=prompts
        )
    trainer.train()


if __name__ == "__main__":
    main()
