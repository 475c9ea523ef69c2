"""The texts that benchmarks encode, and how much of a batch is padding.

Shapes: N texts, D width.

Texts travel to the workers as arrays of bytes: both sides are given the same strings.
"""

import csv
import gzip
import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.harness import Unavailable
from benchmarks.harness.system import Inputs
from benchmarks.shared_folder import shared_folder
from llmgnn_jax.errors import UserError

_NO_GENRES = "(no genres listed)"


def movies() -> list[str]:
    """MovieLens' ml-latest-small: title, genres and tags of each of 9,742 movies.

    Tags are those of all users, each once, in the order of the file.

    Raises:
        Unavailable: If the data are out of reach.
    """
    folder = _folder("ml-latest-small")
    tags: dict[str, dict[str, None]] = {}
    with (folder / "tags.csv").open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            tags.setdefault(row["movieId"], {})[row["tag"]] = None
    texts = []
    with (folder / "movies.csv").open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            genres = row["genres"].replace(_NO_GENRES, "").replace("|", ", ")
            parts = (row["title"], genres, ", ".join(tags.get(row["movieId"], {})))
            texts.append(". ".join(part for part in parts if part))
    return texts


def reviews() -> list[str]:
    """Amazon's gift cards (2018, 5-core): summary and text of each review.

    Raises:
        Unavailable: If the data are out of reach.
    """
    path = _folder("amazon-giftcards-5core") / "Gift_Cards_5.json.gz"
    texts = []
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            review = json.loads(line)
            parts = (review.get("summary", ""), review.get("reviewText", ""))
            texts.append(". ".join(part for part in parts if part))
    return [text for text in texts if text]


def subset(texts: Sequence[str], count: int | None, *, seed: int = 0) -> list[str]:
    """Some of the texts, drawn without replacement, in their order; all if None."""
    if count is None or count >= len(texts):
        return list(texts)
    drawn = np.random.default_rng(seed).permutation(len(texts))[:count]
    return [texts[row] for row in np.sort(drawn)]


def pack_texts(texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Texts as what workers load: UTF-8, one after another, and where each ends."""
    encoded = [text.encode("utf-8") for text in texts]
    return {
        "text_bytes": np.frombuffer(b"".join(encoded), np.uint8),
        "text_ends": np.cumsum([len(text) for text in encoded], dtype=np.int64),
    }


def unpack_texts(inputs: Inputs) -> list[str]:
    """What `pack_texts` packed."""
    data, ends = inputs["text_bytes"].tobytes(), inputs["text_ends"].tolist()
    return [
        data[start:end].decode("utf-8") for start, end in itertools.pairwise([0, *ends])
    ]


def padding_of_batches(
    token_counts: np.ndarray, sizes: np.ndarray, *, batch_size: int
) -> float:
    """The share of padding where texts are sorted by size and batched.

    This is what sentence-transformers does: the size of a text is its number of
    characters, and a batch is padded to its longest text.

    Args:
        token_counts: (N,) tokens of each text.
        sizes: (N,) what they are sorted by, the largest first.
        batch_size: Texts of a batch; the last batch may have fewer.

    Returns:
        From 0 to 1; 0 for no texts.
    """
    counts = token_counts[np.argsort(-sizes)]
    starts = range(0, len(counts), batch_size)
    batches = [counts[start : start + batch_size] for start in starts]
    places = sum(int(batch.max()) * len(batch) for batch in batches)
    return 1 - int(counts.sum()) / places if places else 0.0


def mean_cosine(vectors: np.ndarray, reference: np.ndarray) -> float:
    """The mean over texts of the cosine between a vector and its reference.

    Args:
        vectors: (N, D), of any length: bfloat16's are not of length 1.
        reference: (N, D).
    """
    dots, here, there = (
        np.einsum("nd,nd->n", one, other, dtype=np.float64)
        for one, other in (
            (vectors, reference),
            (vectors, vectors),
            (reference, reference),
        )
    )
    return float((dots / np.sqrt(here * there)).mean())


def _folder(name: str) -> Path:
    try:
        return shared_folder(name)
    except UserError as error:
        raise Unavailable(str(error)) from None
