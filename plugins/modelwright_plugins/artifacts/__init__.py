"""The types of what stages hand to each other, each with the layout of its file or folder."""

from __future__ import annotations

from typing import ClassVar

from modelwright.component import Artifact


class Documents(Artifact):
    """A folder of cleaned text: `*.jsonl.gz`, one datatrove document a line.

    Each line is {"text": str, "id": str, "metadata": {"group": str, ...}}; `group` is the key that must never be split
    between training and held-out data (here: the top-level module that a file belongs to). Of what else metadata holds, numbers that are
    none (NaN, infinite) are null, and integers may have any size. `split.json` beside them says which
    are held out: {"held_out": [groups], "bytes": {"train", "held_out"}}. `funnel.json` beside
    them is a list, in order, of {"step": str, "kind": "source" | "filter" | "deduper", "documents_in": int,
    "documents_out": int, "bytes_in": int, "bytes_out": int, "dropped": {reason: documents}, "examples":
    [{"id", "reason", "text"}]} (UTF-8 bytes of the text; examples are few and cut short), with the source's
    quarantined records as {"file", "line" or "offset", "reason"} under "quarantined", capped, and their whole count under
    "quarantined_count" and the commonest reasons, without their numbers, in "quarantined_reasons": {reason: records}. Documents that a
    step kept and whose text it changed are counted as "edited", with the bytes that they lost as "edited_bytes", and a few are
    "edits": [{"id", "pieces": [["same" | "gone" | "new", text]]}]. A filter that is `Measured` has
    "measured", the number of documents in a sample of those that came to it, and "statistics": {name: a histogram of the sample, as
    `stage/_histogram.py` says}. None of this depends on how many tasks there were.
    """

    name: ClassVar[str] = "documents"


class CurationReport(Artifact):
    """One HTML file that opens with no network: what each step of a curation did, and what its thresholds do."""

    name: ClassVar[str] = "curation.html"
    published: ClassVar[bool] = True


class Tokenizer(Artifact):
    """A folder with a Hugging Face `tokenizer.json` and `tokenizer_config.json`, whose `eos_token` is the end of a document: token 0 of
    those that are trained here."""

    name: ClassVar[str] = "tokenizer"


class TokenShards(Artifact):
    """A folder of Megatron indexed datasets: `train.bin/.idx` and `held_out.bin/.idx`, one sequence a document, each
    ending in the end-of-document token; and `shards.json` with {"train" | "held_out": {"documents", "tokens", "bytes",
    "groups"}, "vocab_size": int, "end_of_document": int} (bytes of UTF-8 text; `groups` is the sorted list of group keys).
    `held_out.jsonl` has a line for each held-out document, in the shard's order: {"id": str, "group": str, "bytes": int}.
    Where they are mixed, there are also `blend.json` (`artifacts/blend.py`) and each domain's training text as `train_DOMAIN.bin/.idx`,
    and shards.json has {"domains": {name: {"shard", "documents", "tokens", "bytes"}}}."""

    name: ClassVar[str] = "token_shards"


class Examples(Artifact):
    """A folder of examples that aligners learn from, all of one kind, as rows of tokens with a mask of those that are targets.

    For each part, train and held_out (`artifacts/examples.py` reads them; rows of one example follow one another):
    `PART_tokens.npy` int32 [tokens], rows one after another; `PART_mask.npy` uint8 [tokens], 1: a target (the assistant's), 0: context;
    `PART_values.npy` float32 [tokens], only where kind is "steps": the label at each step's last token, NaN elsewhere;
    `PART_rows.npy` int64 [rows + 1], where rows begin in tokens; `PART_examples.npy` int64 [examples + 1], where examples begin in rows;
    `PART_scores.npy` float32 [rows], NaN: none; `PART.jsonl`, a line an example: {"id", "group", "source"?, "answer"?}, of a prompt
    its turns as "prompt", of others held out those before the last reply as "messages", with "tools"? of both.
    A row is a prompt and a reply, and ends in the end-of-document token; where kind is "prompt" it is a prompt, ready to be answered.
    `examples.json`: {"kind", "vocab_size", "end_of_document", "template" (the Jinja itself), "loss_on", "tokenizer" (SHA-256 of its
    tokenizer.json), "train" and "held_out": {"examples", "rows", "tokens", "targets", "longest" (tokens in the longest row)},
    "dropped": {reason: examples}, "cut_prompts": examples whose prompts were made shorter}."""

    name: ClassVar[str] = "examples"


class Checkpoint(Artifact):
    """A folder of `step_00000200/` Megatron distributed checkpoints, `latest.json` naming the last whole one, and `model.json`
    with what is needed to build the model again (the architecture, its name and parameters, the vocabulary's size)."""

    name: ClassVar[str] = "checkpoint"

    def weights(self) -> str:
        """Which weights are there, as a component's fingerprint tells it: both files' texts and times; empty where there is neither."""
        told = [self.path / file for file in ("model.json", "latest.json")]
        return " ".join(f"{file} {file.read_text()} {file.stat().st_mtime_ns}" for file in told if file.is_file())


class PeftAdapter(Artifact):
    """A folder with an adapter as Hugging Face's PEFT has it: `adapter_config.json` and `adapter_model.safetensors`."""

    name: ClassVar[str] = "peft_adapter"
    published: ClassVar[bool] = True


class HuggingFaceModel(Artifact):
    """A folder with a model as Hugging Face has it: `config.json`, `generation_config.json`, safetensors, the tokenizer's files,
    `README.md` (the model card)."""

    name: ClassVar[str] = "hugging_face"
    published: ClassVar[bool] = True


class Quantization(Artifact):
    """A JSON file on a quantized model beside the one that it was made of: {"quantizer": {"name", "fields"}, "parameters": {"matrices",
    "others"}, "bits": of a weight of its matrices, "bytes": {"matrices", "others", "before"} (of weights as they are saved),
    "held_out": {"rows", "original", "quantized", "kl", "agreement", "tokens"} (nats a token; null: it gives no likelihood), "layers":
    [{"name", "outputs", "inputs", "bytes", "bits", "weight_sqnr", "output_sqnr"}] (dB, or null), "scores": as an Evaluation's}."""

    name: ClassVar[str] = "quantization.json"
    published: ClassVar[bool] = True


class QuantizationReport(Artifact):
    """One HTML file that opens with no network: what quantizing has done to each layer, and to what the model says."""

    name: ClassVar[str] = "quantization.html"
    published: ClassVar[bool] = True


class Metrics(Artifact):
    """A file with one JSON object a training step: step, tokens, loss, grad_norm, lr, tokens_per_second."""

    name: ClassVar[str] = "metrics.jsonl"
    published: ClassVar[bool] = True


class Evaluation(Artifact):
    """A JSON file on a model: {"parameters": its numbers, where its checkpoint has them all, "samples": [{"prompt", "text"}], "scores":
    [{"evaluator" (empty: held-out text), "name", "value", "low", "high", "count", "better"}]}; with `evaluate.every`
    "checkpoints": [{"step", "scores"}]; of held-out text also "held_out", "context", "model" and "baselines" ({"bits_per_byte",
    "bits_per_token", "loss" (nats a token), "perplexity", …}), "beats", "beaten", "groups": bits per byte of each group."""

    name: ClassVar[str] = "evaluation.json"
    published: ClassVar[bool] = True


class Report(Artifact):
    """One HTML file that opens with no network."""

    name: ClassVar[str] = "report.html"
    published: ClassVar[bool] = True
