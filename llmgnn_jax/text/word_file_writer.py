"""Word vectors to a file, in the formats that `word_files` reads.

Shapes: V words, D width.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np

from llmgnn_jax.errors import UserError

WordFormat: TypeAlias = Literal["word2vec", "glove", "binary"]
"""Text with a header, text without one, binary."""


def write_word_file(
    path: Path,
    *,
    words: Sequence[str],
    vectors: np.ndarray,
    format: WordFormat = "word2vec",
) -> None:
    """Writes word vectors; what was there is replaced when the new file is whole.

    Args:
        path: Ends in ".bin" if and only if the format is "binary".
        words: V different words without white space.
        vectors: (V, D) numbers; text has as many digits as float32 needs to come back.
        format: "word2vec", "glove" or "binary".

    Raises:
        UserError: If the format is unknown or not that of the name, the sizes do not
            agree, or a word cannot be written.
    """
    vectors = np.asarray(vectors, np.float32)
    _check_writable(path, words, vectors, format)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as file:
            if format != "glove":
                file.write(b"%d %d\n" % vectors.shape)
            for word, vector in zip(words, vectors, strict=True):
                file.write(word.encode("utf-8") + b" ")
                if format == "binary":
                    file.write(vector.astype("<f4").tobytes() + b"\n")
                else:
                    # str of a float32 is the shortest that gives it back.
                    file.write(" ".join(map(str, vector)).encode("ascii") + b"\n")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _check_writable(
    path: Path, words: Sequence[str], vectors: np.ndarray, format: WordFormat
) -> None:
    if format not in get_args(WordFormat):
        raise UserError.field(
            "format", expected=f"one of {', '.join(get_args(WordFormat))}", got=format
        )
    if (path.suffix == ".bin") != (format == "binary"):
        raise UserError.field(
            "path", expected='a name in ".bin" for "binary" alone', got=path.name
        )
    if vectors.ndim != 2 or len(words) != len(vectors) or not vectors.size:
        raise UserError.field(
            "vectors",
            expected=f"one or more rows, one for each of {len(words)} words",
            got=f"shape {vectors.shape}",
        )
    if not np.isfinite(vectors).all():
        raise UserError.field("vectors", expected="finite numbers", got="others")
    if len(set(words)) < len(words):
        raise UserError.field("words", expected="different ones", got="repeated ones")
    for word in words:
        if not word or any(character in word for character in " \r\n"):
            raise UserError.field(
                "words", expected="words without spaces and lines", got=repr(word)
            )
