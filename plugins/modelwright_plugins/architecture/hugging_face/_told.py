"""Keys of any config.json that change nothing of what is computed: what files hold of tokens, of generation, of tools that wrote them."""

from __future__ import annotations

TOKENS = {
    "bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id", "sep_token_id", "cls_token_id", "unk_token_id",
    "mask_token_id",
}  # fmt: skip
FILES = {
    "architectures", "model_type", "torch_dtype", "dtype", "transformers_version", "auto_map", "tokenizer_class", "_name_or_path",
    "_commit_hash", "transformers.js_config", "is_llama_config", "unsloth_fixed", "unsloth_version",
}  # fmt: skip
TASKS = {
    "task_specific_params", "id2label", "label2id", "num_labels", "_num_labels", "problem_type", "finetuning_task", "prefix",
    "is_encoder_decoder",
}  # fmt: skip
COMPUTING = {  # the same numbers in another way, or more of them
    "use_cache", "return_dict", "keys_to_ignore_at_inference", "_attn_implementation", "_attn_implementation_autoset",
    "attn_implementation", "_experts_implementation", "output_attentions", "output_hidden_states", "output_scores", "torchscript",
    "use_bfloat16", "tf_legacy_loss", "chunk_size_feed_forward", "gradient_checkpointing",
}  # fmt: skip
GENERATION = {  # transformers 2 to 4 wrote them here, too
    "max_length", "max_new_tokens", "min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups", "diversity_penalty",
    "temperature", "top_k", "top_p", "typical_p", "repetition_penalty", "length_penalty", "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size", "bad_words_ids", "num_return_sequences", "return_dict_in_generate", "forced_bos_token_id",
    "forced_eos_token_id", "remove_invalid_values", "exponential_decay_length_penalty", "suppress_tokens", "begin_suppress_tokens",
}  # fmt: skip
TOLD = TOKENS | FILES | TASKS | COMPUTING | GENERATION
