"""Real GGUF files of small models: what llama.cpp's converter writes, said independently."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
NORMAL, CONTROL = 1, 3


def write_gguf_model(folder: Path, target: Path, *, quantise: bool = False) -> Path:
    """Write the Llama of a model folder as a GGUF file, in 8 bits where that is asked for."""
    from gguf import GGMLQuantizationType, GGUFWriter
    from gguf.quants import quantize
    from safetensors.numpy import load_file

    config = json.loads((folder / "config.json").read_text())
    n_heads, n_keys = config["num_attention_heads"], config["num_key_value_heads"]
    writer = GGUFWriter(target, "llama")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(n_heads)
    writer.add_head_count_kv(n_keys)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_vocab_size(config["vocab_size"])
    _add_tokenizer(writer, json.loads((folder / "tokenizer.json").read_text()))
    for name, weights in load_file(folder / "model.safetensors").items():
        tensor = weights.astype(np.float32)
        if "q_proj" in name or "k_proj" in name:
            tensor = _interleave(tensor, n_heads if "q_proj" in name else n_keys)
        if quantise and tensor.ndim == 2:
            kind = GGMLQuantizationType.Q8_0
            writer.add_tensor(rename(name), quantize(tensor, kind), raw_dtype=kind)
        else:
            writer.add_tensor(rename(name), tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def rename(name: str) -> str:
    """Return what llama.cpp calls a tensor of transformers' Llama."""
    stem = name.removesuffix(".weight")
    if not stem.startswith("model.layers."):
        return f"{NAMES[stem]}.weight"
    _, _, number, rest = stem.split(".", 3)
    return f"blk.{number}.{NAMES[rest]}.weight"


def _interleave(weights: np.ndarray, n_heads: int) -> np.ndarray:
    """Order each head's rows as llama.cpp turns them: pairs side by side, not halves."""
    halves = weights.reshape(n_heads, 2, -1, weights.shape[1])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weights.shape))


def _add_tokenizer(writer, document: dict) -> None:
    vocabulary = document["model"]["vocab"]
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    special = {each["content"] for each in document["added_tokens"] if each["special"]}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([CONTROL if token in special else NORMAL for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in document["model"]["merges"]])
    writer.add_bos_token_id(vocabulary["<|begin|>"])
    writer.add_eos_token_id(vocabulary["<|end|>"])
    writer.add_add_bos_token(True)
