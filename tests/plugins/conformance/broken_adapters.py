"""Adapters that break one promise each."""

from __future__ import annotations

from typing import Any, ClassVar

from broken_table import breaks

from modelwright_plugins.adapter.lora import LoRA


class Small(LoRA):
    def apply(self, chunks: list[Any], *, seed: int) -> None:
        super().apply(chunks, seed=seed)
        for chunk in chunks:
            for name, p in chunk.named_parameters():
                self.change(chunk, name, p)

    def change(self, chunk: Any, name: str, p: Any) -> None: ...


@breaks("adapter", "['decoder.final_layernorm.weight'] in one of both")
class Thawing(Small):
    def change(self, chunk: Any, name: str, p: Any) -> None:
        if "final_layernorm" in name:
            p.requires_grad_(True)


@breaks("adapter", "logits differ by up to")
class Starting(Small):
    def change(self, chunk: Any, name: str, p: Any) -> None:
        if name.endswith(".b"):
            p.data.fill_(0.01)


@breaks("adapter", "under {'tensor': 2} loss differs by")
class Halving(Small):
    """Each tensor rank has its own A, and takes it for the whole."""

    def change(self, chunk: Any, name: str, p: Any) -> None:
        if name.endswith("linear_qkv.adapter.a") and chunk.config.tensor_model_parallel_size > 1:
            p.data.mul_(0.5)


@breaks("adapter", "merged, the plain model computes the same")
class Losing(LoRA):
    def merge(self, chunks: list[Any]) -> None:
        for chunk in chunks:
            for name, p in chunk.named_parameters():
                if name.endswith(".b"):
                    p.data.zero_()
        super().merge(chunks)


@breaks("adapter", "in one of both")
class Claiming(LoRA):
    """It says that checkpoints hold the whole model."""

    adapts: ClassVar[bool] = False


@breaks("adapter", "they are not lines")
class Wordy(LoRA):
    def problems(self, parts: Any) -> list[str]:
        return ["two\nlines"]
