"""The BERT family's parameters by Hugging Face's names."""

import re

from llmgnn_jax.text.encoders.bert_config import BertConfig

# What a layer's parts are called: ours -> theirs.
_BERT_DENSE = {
    "attention.query": "attention.self.query",
    "attention.key": "attention.self.key",
    "attention.value": "attention.self.value",
    "attention.output": "attention.output.dense",
    "feed_forward.intermediate": "intermediate.dense",
    "feed_forward.output": "output.dense",
}
_BERT_NORMS = {
    "attention_norm": "attention.output.LayerNorm",
    "output_norm": "output.LayerNorm",
}
_MPNET_DENSE = {
    "attention.query": "attention.attn.q",
    "attention.key": "attention.attn.k",
    "attention.value": "attention.attn.v",
    "attention.output": "attention.attn.o",
    "feed_forward.intermediate": "intermediate.dense",
    "feed_forward.output": "output.dense",
}
_MPNET_NORMS = {
    "attention_norm": "attention.LayerNorm",
    "output_norm": "output.LayerNorm",
}
_DISTILBERT_DENSE = {
    "attention.query": "attention.q_lin",
    "attention.key": "attention.k_lin",
    "attention.value": "attention.v_lin",
    "attention.output": "attention.out_lin",
    "feed_forward.intermediate": "ffn.lin1",
    "feed_forward.output": "ffn.lin2",
}
_DISTILBERT_NORMS = {
    "attention_norm": "sa_layer_norm",
    "output_norm": "output_layer_norm",
}
# Family -> where its layers are, and what their parts are called.
_LAYERS = {
    "bert": ("encoder.layer", _BERT_DENSE, _BERT_NORMS),
    "roberta": ("encoder.layer", _BERT_DENSE, _BERT_NORMS),
    "xlm-roberta": ("encoder.layer", _BERT_DENSE, _BERT_NORMS),
    "distilbert": ("transformer.layer", _DISTILBERT_DENSE, _DISTILBERT_NORMS),
    "mpnet": ("encoder.layer", _MPNET_DENSE, _MPNET_NORMS),
}
# What checkpoints carry beside the encoder: a buffer, the pooler, heads.
_IGNORED = re.compile(
    r"(embeddings\.position_ids|pooler\..*|cls\..*|lm_head\..*|classifier\..*"
    r"|pre_classifier\..*|vocab_\w+\..*|qa_outputs\..*)\Z"
)
# A model with a head keeps its encoder below one of these.
_PREFIXES = ("bert.", "roberta.", "distilbert.", "mpnet.")


def bert_names(config: BertConfig) -> dict[str, str]:
    """The name table: our parameter's path, with dots -> Hugging Face's tensor.

    Where our path ends in "kernel", ours is the transpose.
    """
    table = {
        "embeddings.words": "embeddings.word_embeddings.weight",
        "embeddings.positions": "embeddings.position_embeddings.weight",
    }
    if config.type_vocab_size:
        table["embeddings.types"] = "embeddings.token_type_embeddings.weight"
    if config.relative_attention_num_buckets:
        table["relative_bias"] = "encoder.relative_attention_bias.weight"
    norms = {"embeddings.norm": "embeddings.LayerNorm"}
    blocks, dense, layer_norms = _LAYERS[config.family]
    for number in range(config.num_hidden_layers):
        layer, block = f"layer_{number}.", f"{blocks}.{number}."
        for ours, theirs in dense.items():
            table[f"{layer}{ours}.kernel"] = f"{block}{theirs}.weight"
            table[f"{layer}{ours}.bias"] = f"{block}{theirs}.bias"
        norms |= {layer + ours: block + theirs for ours, theirs in layer_norms.items()}
    for ours, theirs in norms.items():
        table[f"{ours}.scale"] = f"{theirs}.weight"
        table[f"{ours}.bias"] = f"{theirs}.bias"
    return table


def plain_bert_name(name: str) -> str | None:
    """A tensor's name in the table; None for what is no part of the encoder.

    Drops the prefix of models with a head, and old TensorFlow's endings.
    """
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    if _IGNORED.match(name):
        return None
    if name.endswith(".gamma"):
        return f"{name.removesuffix('.gamma')}.weight"
    if name.endswith(".beta"):
        return f"{name.removesuffix('.beta')}.bias"
    return name
