"""The decoder family's parameters by Hugging Face's names, and by llama.cpp's."""

import re

from llmgnn_jax.text.encoders.decoder_config import DecoderConfig

# What a layer's parts are called: ours -> theirs.
_DENSE = {
    "attention.query": "self_attn.q_proj",
    "attention.key": "self_attn.k_proj",
    "attention.value": "self_attn.v_proj",
    "attention.output": "self_attn.o_proj",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}
_NORMS = {
    "attention_norm": "input_layernorm",
    "mlp_norm": "post_attention_layernorm",
}
_HEAD_NORMS = {
    "attention.query_norm": "self_attn.q_norm",
    "attention.key_norm": "self_attn.k_norm",
}
# What checkpoints carry beside the decoder: a buffer, heads of classifiers.
_IGNORED = re.compile(r"(.*\.rotary_emb\.inv_freq|score\..*|classifier\..*)\Z")

_GGUF_LAYER = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
_GGUF_OTHER = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}

LM_HEAD = "lm_head.weight"
GGUF_LM_HEAD = _GGUF_OTHER[LM_HEAD]
GGUF_ROPE_FACTORS = "rope_freqs.weight"


def decoder_names(config: DecoderConfig) -> dict[str, str]:
    """The name table: our parameter's path, with dots -> Hugging Face's tensor.

    Where our path ends in "kernel", ours is the transpose.
    """
    table = {"words": "model.embed_tokens.weight", "norm.scale": "model.norm.weight"}
    if config.head == "own":
        table["lm_head.kernel"] = LM_HEAD
    biased = {
        "attention.query": config.input_bias,
        "attention.key": config.input_bias,
        "attention.value": config.input_bias,
        "attention.output": config.attention_bias,
    }
    norms = _NORMS | (_HEAD_NORMS if config.head_norms else {})
    for number in range(config.num_hidden_layers):
        layer, block = f"layer_{number}.", f"model.layers.{number}."
        for ours, theirs in _DENSE.items():
            table[f"{layer}{ours}.kernel"] = f"{block}{theirs}.weight"
            if biased.get(ours, config.mlp_bias):
                table[f"{layer}{ours}.bias"] = f"{block}{theirs}.bias"
        for ours, theirs in norms.items():
            table[f"{layer}{ours}.scale"] = f"{block}{theirs}.weight"
    return table


def plain_decoder_name(name: str) -> str | None:
    """A tensor's name in the table; None for what is no part of the decoder.

    Adds the prefix that models without a head are saved without.
    """
    if _IGNORED.match(name):
        return None
    return name if name.startswith(("model.", "lm_head.")) else f"model.{name}"


def gguf_names(config: DecoderConfig) -> dict[str, str]:
    """As `decoder_names`, with the tensors of a llama's GGUF file."""
    return {ours: _gguf_name(theirs) for ours, theirs in decoder_names(config).items()}


def plain_gguf_name(name: str) -> str | None:
    """A tensor's name in the table of GGUF; None for what is no parameter."""
    return None if name == GGUF_ROPE_FACTORS else name


def _gguf_name(name: str) -> str:
    if name in _GGUF_OTHER:
        return _GGUF_OTHER[name]
    _, _, number, part = name.split(".", 3)
    part, _, kind = part.rpartition(".")
    return f"blk.{number}.{_GGUF_LAYER[part]}.{kind}"
