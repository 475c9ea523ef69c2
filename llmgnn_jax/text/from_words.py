"""Word vectors as an encoder of texts, from a file or learned from the texts.

    words = word_encoder(Path("glove.6B.100d.txt"))
    encoder = as_text_encoder(words, max_length=256)

A text's vector is the mean over its words. What the vocabulary lacks counts as 0, which
leaves the direction of the mean, and so a vector of unit length, as it is.

Shapes: V words, D width.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from llmgnn_jax.assets.named_path import named_path
from llmgnn_jax.text.encode import TextEncoder
from llmgnn_jax.text.encoders.model import EncoderModel, declare
from llmgnn_jax.text.encoders.word_vectors import WordVectorsConfig
from llmgnn_jax.text.heads import Head
from llmgnn_jax.text.pooling import TextPooling
from llmgnn_jax.text.skip_gram import SkipGramConfig, learn_word_vectors
from llmgnn_jax.text.word_files import read_word_file
from llmgnn_jax.text.words import FIRST_ID, WordTokenizer

MAX_WORDS = 512
"""Of a text, where no more are asked for."""

WORD_FILES = (".txt", ".vec", ".bin")
"""How the names of files of word vectors end."""


class WordEncoder(NamedTuple):
    """What `TextEncoder` is made of.

    Attributes:
        model: `WordVectors` with its table.
        tokenizer: Cuts texts into words of the table.
        weights: Hex hash of the table's values, wherever they came from.
    """

    model: EncoderModel
    tokenizer: WordTokenizer
    weights: str


def is_word_file(source: str | Path) -> bool:
    """Whether a source names a file of word vectors (and no folder) that is there."""
    path = Path(source)
    return path.suffix in WORD_FILES and named_path(path).is_file()


def word_encoder(
    source: str | Path | Sequence[str],
    *,
    max_tokens: int = MAX_WORDS,
    limit: int | None = None,
    skip_gram: SkipGramConfig | None = None,
    seed: int = 0,
) -> WordEncoder:
    """Word vectors as an encoder.

    Args:
        source: A file of word vectors (see `word_files`), or the texts to learn them
            from.
        max_tokens: Longest text in words; what is longer is cut.
        limit: Words to read from a file at most; None for all.
        skip_gram: How they are learned from texts; the defaults if None.
        seed: Of the learning.

    Raises:
        UserError: If the file cannot be read, or no word of the texts is frequent
            enough.
    """
    if isinstance(source, (str, Path)):
        words, vectors = read_word_file(Path(source), limit=limit)
    else:
        words, vectors = learn_word_vectors(source, config=skip_gram, seed=seed)
    return encoder_of_words(words, vectors, max_tokens=max_tokens)


def encoder_of_words(
    words: Sequence[str], vectors: np.ndarray, *, max_tokens: int = MAX_WORDS
) -> WordEncoder:
    """Word vectors at hand as an encoder.

    Args:
        words: V different words.
        vectors: (V, D) float32.
        max_tokens: Longest text in words.
    """
    table = word_table(vectors)
    config = WordVectorsConfig(
        vocab_size=len(table), dim=table.shape[1], max_tokens=max_tokens
    )
    declared = declare(config)
    params = {"words": jnp.asarray(table)}
    assert declared.params.keys() == params.keys(), "a table is all that there is"
    return WordEncoder(
        model=declared._replace(params=params),
        tokenizer=WordTokenizer(words),
        weights=hashlib.sha256(table.tobytes()).hexdigest(),
    )


def as_text_encoder(
    words: WordEncoder,
    *,
    pooling: TextPooling = "mean",
    head: Head = "dense",
    max_length: int,
) -> TextEncoder:
    """Word vectors as the other encoders are used.

    Args:
        words: Of `max_length` tokens at least.
        pooling: How token vectors become one.
        head: As in `TextEncoder`.
        max_length: Longest text in words; what is longer is cut.

    Raises:
        UserError: If an option is out of range.
    """
    return TextEncoder(
        model=words.model,
        tokenizer=words.tokenizer,
        weights=words.weights,
        pooling=pooling,
        head=head,
        max_length=max_length,
    )


def word_table(vectors: np.ndarray) -> np.ndarray:
    """The table of an encoder over words: (V, D) vectors to (V + 2, D) float32.

    Rows of 0 stand before the first word: padding, and what the vocabulary lacks.
    """
    table = np.zeros((len(vectors) + FIRST_ID, vectors.shape[1]), np.float32)
    table[FIRST_ID:] = vectors
    return table
