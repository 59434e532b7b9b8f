"""The built-in plugin: every kind and every built-in component, by name. It comes in through the same door as anybody's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelwright.hooks import hookimpl

if TYPE_CHECKING:
    from modelwright.registry import Registry

HERE = "modelwright_plugins"


@hookimpl
def on_run_end(error: BaseException | None) -> None:
    from modelwright_plugins.preemption import ask_again

    ask_again(error)


@hookimpl
def on_step_end(step: int, metrics: Mapping[str, float]) -> None:
    if trial := os.environ.get("MODELWRIGHT_TRIAL"):  # a job of a sweep that Optuna leads
        from modelwright_plugins.sweep.pruning import report

        report(trial, step, metrics)


@hookimpl
def modelwright_register(registry: Registry) -> None:
    def kind(name: str, interface: str, *, many: bool = False, default: str | None = None) -> None:
        registry.add_kind(name, f"{HERE}.{name}:{interface}", many=many, default=default)

    kind("source", "Source")
    kind("filter", "Filter", many=True)
    kind("deduper", "Deduper", many=True)
    kind("executor", "Executor", default="local")
    kind("mixture", "Mixture", default="proportional")
    kind("curriculum", "Curriculum", default="shuffled")
    kind("tokenizer", "Tokenizer", default="byte_level_bpe")
    kind("architecture", "Architecture")
    kind("objective", "Objective", default="causal_lm")
    kind("aligner", "Aligner")
    kind("optimizer", "Optimizer", default="adamw")
    kind("schedule", "Schedule", default="cosine")
    kind("parallel", "Parallel", default="megatron")
    kind("precision", "Precision", default="fp32")
    kind("kernel", "Kernel", default="torch")
    kind("attention", "Attention", default="native")
    kind("stability", "Stability", default="finite")
    kind("tracker", "Tracker", many=True, default="jsonl")
    kind("generator", "Generator", default="sampling")

    def add(kind: str, module: str, **components: str) -> None:
        for name, attribute in components.items():
            registry.add(kind, name, f"{HERE}.{kind}.{module}:{attribute}")

    add("source", "python_library", python_library="PythonLibrary")
    add("source", "jsonl", jsonl="Jsonl")
    add("source", "text", text="Text")
    add("source", "parquet", parquet="Parquet")
    add("source", "code", code="Code")
    add("source", "warc", warc="Warc")
    add("source", "hugging_face", hugging_face="HuggingFace")
    add("source", "conversations", conversations="Conversations")
    add("source", "mixture", mixture="Mixture")
    add("source", "examples", examples="Examples")
    add("filter", "language", language="Language", language_langid="LangId", language_fasttext="FastTextLanguage")
    add("filter", "gopher", gopher_quality="GopherQuality", gopher_repetition="GopherRepetition")
    add("filter", "c4", c4_quality="C4Quality", c4_paragraph="C4Paragraph", c4_badwords="C4BadWords")
    add("filter", "fineweb", fineweb_quality="FineWebQuality")
    add("filter", "length", length="Length", symbol_ratio="SymbolRatio")
    add("filter", "url", url_blocklist="URLBlocklist")
    add("filter", "regex", regex="Regex")
    add("filter", "boilerplate", boilerplate="Boilerplate")
    add("filter", "toxicity", toxic_words="ToxicWords", toxicity_classifier="ToxicityClassifier")
    add("filter", "quality", quality_classifier="QualityClassifier")
    add("filter", "pii", pii="PII")
    add("filter", "decontamination", decontamination="Decontamination")
    add("filter", "perplexity", perplexity="Perplexity")
    add("filter", "code", code_lines="CodeLines")
    add("deduper", "exact", exact="Exact")
    add("deduper", "minhash", minhash="MinHash")
    add("deduper", "substring", substring="Substring")
    add("deduper", "semantic", semantic="Semantic")
    add("deduper", "parts", lines="Lines", paragraphs="Paragraphs", sentences="Sentences")
    add("executor", "local", local="Local")
    add("executor", "ray", ray="Ray")
    add("executor", "slurm", slurm="Slurm")
    add("mixture", "weights", proportional="Proportional", fixed="Fixed", temperature="Temperature", unimax="UniMax")
    add("mixture", "phases", phases="Phases")
    add("mixture", "doremi", doremi="DoReMi")
    add("curriculum", "orders", shuffled="Shuffled", sorted="Sorted")
    add("tokenizer", "bpe", byte_level_bpe="ByteLevelBPE")
    add("architecture", "decoder", causal_decoder="CausalDecoder")
    add("architecture", "prefix", prefix_decoder="PrefixDecoder")
    add("architecture", "encoder_decoder", encoder_decoder="EncoderDecoder")
    add("architecture", "encoder", encoder="Encoder")
    add("architecture", "electra", electra="Electra")
    add("architecture", "mamba", mamba="Mamba")
    add("objective", "causal_lm", causal_lm="CausalLM")
    add("objective", "prefix_lm", prefix_lm="PrefixLM")
    add("objective", "masked_lm", masked_lm="MaskedLM")
    add("objective", "replaced_tokens", replaced_token_detection="ReplacedTokenDetection")
    add("objective", "span_boundary", span_boundary="SpanBoundary")
    add("objective", "sentence_pairs", next_sentence="NextSentence", sentence_order="SentenceOrder")
    add("objective", "fill_in_the_middle", fill_in_the_middle="FillInTheMiddle")
    add("objective", "bart", bart="BART")
    add("objective", "distillation", distillation="Distillation")
    add("objective", "multi_token", multi_token="MultiToken")
    add("objective", "span_corruption", span_corruption="SpanCorruption")
    add("objective", "mixture_of_denoisers", mixture_of_denoisers="MixtureOfDenoisers")
    add("objective", "multitask", multitask="Multitask")
    add("aligner", "sft", sft="SFT")
    add("aligner", "dpo", dpo="DPO")
    add("aligner", "kto", kto="KTO")
    add("aligner", "orpo", orpo="ORPO")
    add("aligner", "simpo", simpo="SimPO")
    add("aligner", "rrhf", rrhf="RRHF")
    add("aligner", "c_rlft", c_rlft="CRLFT")
    add("optimizer", "adam", adam="Adam", adamw="AdamW")
    add("optimizer", "sgd", sgd="SGD")
    add("optimizer", "adafactor", adafactor="Adafactor")
    add("optimizer", "lion", lion="Lion")
    add("optimizer", "muon", muon="Muon")
    add("optimizer", "soap", soap="SOAP")
    add("optimizer", "sophia", sophia="Sophia")
    add("schedule", "warmup", cosine="Cosine", linear="Linear", constant="Constant")
    add("schedule", "inverse_sqrt", inverse_sqrt="InverseSqrt")
    add("schedule", "wsd", wsd="WSD")
    add("parallel", "megatron", megatron="Megatron")
    add("precision", "floats", fp32="FP32", bf16="BF16", fp16="FP16")
    add("precision", "fp8", fp8_delayed="FP8Delayed", fp8_current="FP8Current", fp8_blockwise="FP8Blockwise", mxfp8="MXFP8")
    add("kernel", "local", torch="Torch")
    add("kernel", "transformer_engine", transformer_engine="TransformerEngine")
    add("stability", "spikes", finite="Finite", z_score="ZScore")
    add("attention", "cores", native="Native", sdpa="SDPA", reference="Reference")
    add("attention", "transformer_engine", transformer_engine="TransformerEngine")
    add("tracker", "jsonl", jsonl="Jsonl")
    add("tracker", "wandb", wandb="WandB")
    add("generator", "sampling", sampling="Sampling")
    add("stage", "curate", curate="Curate")
    add("stage", "train_tokenizer", train_tokenizer="TrainTokenizer")
    add("stage", "tokenize", tokenize="Tokenize")
    add("stage", "mix", mix="Mix")
    add("stage", "prepare", prepare="Prepare")
    add("stage", "train", train="Train")
    add("stage", "align", align="Align")
    add("stage", "evaluate", evaluate="Evaluate")
    add("stage", "report", report="WriteReport")
    add("command", "help", help="Help")
    add("command", "run", run="Run")
    add("command", "resume", resume="Resume")
    add("command", "list", list="List")
    add("command", "show", show="Show")
    add("command", "plan", plan="Plan")
    add("command", "compare", compare="Compare")
    add("command", "doctor", doctor="Doctor")
    add("command", "completion", completion="Completion")
    add("command", "scaling", scaling="Scaling")
    add("command", "docs", docs="Docs")
    registry.add("command", "new-plugin", f"{HERE}.command.new_plugin:NewPlugin")
    add("conformance", "component", component="Components")
    add("conformance", "source", source="Sources")
    add("conformance", "filter", filter="Filters")
    add("conformance", "deduper", deduper="Dedupers")
    add("conformance", "executor", executor="Executors")
    add("conformance", "mixture", mixture="Mixtures")
    add("conformance", "curriculum", curriculum="Curricula")
    add("conformance", "tokenizer", tokenizer="Tokenizers")
    add("conformance", "architecture", architecture="Architectures")
    add("conformance", "objective", objective="Objectives")
    add("conformance", "aligner", aligner="Aligners")
    add("conformance", "optimizer", optimizer="Optimizers")
    add("conformance", "schedule", schedule="Schedules")
    add("conformance", "parallel", parallel="Parallels")
    add("conformance", "precision", precision="Precisions")
    add("conformance", "kernel", kernel="Kernels")
    add("conformance", "attention", attention="Attentions")
    add("conformance", "stability", stability="Stabilities")
    add("conformance", "tracker", tracker="Trackers")
    add("conformance", "generator", generator="Generators")
    add("conformance", "stage", stage="Stages")
    add("conformance", "command", command="Commands")
