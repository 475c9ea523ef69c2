"""Encoders that need no checkpoint: made from the very texts that they are to read.

    words   the mean of word vectors that skip-gram learns from the texts
    lstm    an LSTM in both directions over these word vectors, random at first
    cnn     convolutions of three widths over them, random at first

    encoder = encoder_from_texts("words", texts, seed=0)

The random ones are there to be trained with a model (`text.mode full`).

Shapes: V words, D width.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import jax.numpy as jnp

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encode import TextEncoder
from llmgnn_jax.text.encoders.cnn import CNNConfig
from llmgnn_jax.text.encoders.layers import ComputeDtype
from llmgnn_jax.text.encoders.lstm import LSTMConfig
from llmgnn_jax.text.encoders.model import initialise
from llmgnn_jax.text.fingerprint import params_hash
from llmgnn_jax.text.from_words import (
    MAX_WORDS,
    as_text_encoder,
    encoder_of_words,
    word_table,
)
from llmgnn_jax.text.heads import Head
from llmgnn_jax.text.pooling import TextPooling
from llmgnn_jax.text.skip_gram import SkipGramConfig, learn_word_vectors
from llmgnn_jax.text.words import WordTokenizer

FromTexts: TypeAlias = Literal["words", "lstm", "cnn"]

FROM_TEXTS: tuple[FromTexts, ...] = get_args(FromTexts)
RANDOM_AT_FIRST: tuple[FromTexts, ...] = ("lstm", "cnn")
"""Those that say nothing before they are trained."""

# A catalogue is a small corpus: a word counts from its second time on, and is read
# often enough to have moved.
_SKIP_GRAM = SkipGramConfig(dim=128, min_count=2, epochs=10)
_HIDDEN = 128  # Of each direction of the LSTM.
_FILTERS = 100  # Of each width of the CNN, as Kim 2014 has them.


def encoder_from_texts(
    kind: FromTexts,
    texts: Sequence[str],
    *,
    pooling: TextPooling = "mean",
    head: Head = "dense",
    max_length: int = 256,
    dtype: ComputeDtype = "float32",
    seed: int = 0,
) -> TextEncoder:
    """Learns word vectors from texts, and puts an encoder over them.

    Args:
        kind: "words", "lstm" or "cnn".
        texts: To learn from: of the train part alone.
        pooling: How token vectors become one.
        head: As in `TextEncoder`.
        max_length: Longest text in words; what is longer is cut.
        dtype: Operands of the matrix products; "words" has none.
        seed: Of the learning and of the random weights.

    Raises:
        UserError: If no word of the texts comes twice, or an option is out of range.
    """
    try:
        learned = learn_word_vectors(texts, config=_SKIP_GRAM, seed=seed)
    except UserError as error:
        raise UserError(f"the encoder {kind}, learned from texts: {error}") from error
    max_tokens = max(MAX_WORDS, max_length)
    if kind == "words":
        words = encoder_of_words(learned.words, learned.vectors, max_tokens=max_tokens)
        return as_text_encoder(words, pooling=pooling, head=head, max_length=max_length)
    # Of unit variance, as random ones are: what reaches the gates and the filters.
    table = word_table(learned.vectors / learned.vectors.std())
    shape = {
        "vocab_size": len(table),
        "dim": table.shape[1],
        "max_tokens": max_tokens,
    }
    config: LSTMConfig | CNNConfig = (
        LSTMConfig(**shape, hidden_size=_HIDDEN, directions=2)
        if kind == "lstm"
        else CNNConfig(**shape, filters=_FILTERS)
    )
    model = initialise(config, seed=seed, dtype=dtype)
    model = model._replace(params={**model.params, "words": jnp.asarray(table)})
    return TextEncoder(
        model=model,
        tokenizer=WordTokenizer(learned.words),
        weights=params_hash(model.params),
        pooling=pooling,
        head=head,
        max_length=max_length,
        dtype=dtype,
    )
