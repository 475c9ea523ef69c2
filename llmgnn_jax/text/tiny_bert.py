"""An encoder in memory, for tests."""

from collections.abc import Iterable

from llmgnn_jax.text.encode import TextEncoder
from llmgnn_jax.text.encoders.bert_config import BertConfig
from llmgnn_jax.text.encoders.model import initialise
from llmgnn_jax.text.fingerprint import params_hash
from llmgnn_jax.text.heads import Head
from llmgnn_jax.text.pooling import TextPooling
from llmgnn_jax.text.tokens import tiny_tokenizer


def tiny_bert(
    words: Iterable[str],
    *,
    seed: int = 0,
    dim: int = 32,
    pooling: TextPooling = "mean",
    head: Head = "dense",
    max_length: int = 64,
    batch_tokens: int | None = None,
) -> TextEncoder:
    """A BERT of 2 layers with random weights in memory, for tests.

    Args:
        words: What its tokenizer knows, in lower case.
        seed: Of the weights.
        dim: D, a multiple of 4.
        pooling: As in `TextEncoder.load`.
        head: As in `TextEncoder.load`.
        max_length: As in `TextEncoder.load`.
        batch_tokens: As in `TextEncoder.load`.
    """
    tokenizer = tiny_tokenizer(words)
    config = BertConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=dim,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=2 * dim,
        max_position_embeddings=max_length,
    )
    model = initialise(config, seed=seed)
    return TextEncoder(
        model=model,
        tokenizer=tokenizer,
        weights=params_hash(model.params),
        pooling=pooling,
        head=head,
        max_length=max_length,
        batch_tokens=batch_tokens,
    )
