"""What a step of skip-gram reads: windows of the corpus and words drawn as noise.

Mikolov et al. 2013, https://arxiv.org/abs/1310.4546: frequent words are left out at
random, windows are of random width, and the noise is unigram ** 0.75. Every draw is
keyed by (key of the epoch, step, row).

Shapes: V vocabulary, N words of all texts, M words that an epoch keeps, B rows of a
step, W words around one, K negatives.
"""

from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from llmgnn_jax.graph.sampling.words import multiply_high, row_words, threefry_2x32
from llmgnn_jax.text.corpus import Corpus

Key: TypeAlias = tuple[jax.Array, jax.Array]
"""Two words of uint32."""

# Streams of random words of an epoch.
_KEPT, _DRAWN = 0, 1


class Noise(NamedTuple):
    """A distribution over the vocabulary, to draw from in two look-ups.

    Walker's alias method: a place is drawn uniformly, and is kept or handed on.

    Attributes:
        accept_V: uint32, a place is kept where a random word is below.
        alias_V: int32, which word it is handed on to.
    """

    accept_V: jax.Array
    alias_V: jax.Array


class DeviceCorpus(NamedTuple):
    """A corpus and what is drawn by its counts, on the device.

    Attributes:
        tokens_N: (N,) int32 words.
        texts_N: (N,) int32, the text of each.
        keep_V: See `keep_words`.
        noise: See `noise_of`.
    """

    tokens_N: jax.Array
    texts_N: jax.Array
    keep_V: jax.Array
    noise: Noise


class Kept(NamedTuple):
    """The corpus without what an epoch leaves out, moved together.

    Attributes:
        tokens_N: (N,) int32, of which the first M mean something.
        texts_N: (N,) int32 likewise.
        size: () int32, M.
    """

    tokens_N: jax.Array
    texts_N: jax.Array
    size: jax.Array


class Windows(NamedTuple):
    """The words of a step.

    Attributes:
        words_B: int32.
        contexts_BW: int32 words around each.
        near_BW: bool, which of them belong to the window; none in rows beyond the end.
        negatives_BK: int32.
    """

    words_B: jax.Array
    contexts_BW: jax.Array
    near_BW: jax.Array
    negatives_BK: jax.Array


def on_device(corpus: Corpus, *, subsample: float) -> DeviceCorpus:
    """A corpus where steps read it; `subsample` as in `keep_words`."""
    return DeviceCorpus(
        jnp.asarray(corpus.tokens_N),
        jnp.asarray(corpus.texts_N),
        jnp.asarray(keep_words(corpus.counts, subsample=subsample)),
        noise_of(corpus.counts),
    )


def keep_words(counts: np.ndarray, *, subsample: float) -> np.ndarray:
    """(V,) uint32: a word is kept where a random word is not above.

    The probability is sqrt(t / f) + t / f, as word2vec's program has it, where f is the
    word's share of the corpus and t is `subsample`.
    """
    ratio = subsample * counts.sum() / counts if subsample else np.ones(len(counts))
    share = np.minimum(np.sqrt(ratio) + ratio, 1.0)
    return np.floor(share * 0xFFFFFFFF).astype(np.uint32)


def noise_of(counts: np.ndarray, *, power: float = 0.75) -> Noise:
    """Words in proportion to counts ** power (Vose's way to make the tables)."""
    weights = counts.astype(np.float64) ** power
    share = weights * (len(weights) / weights.sum())
    accept, alias = np.ones(len(share)), np.arange(len(share), dtype=np.int32)
    small = np.flatnonzero(share < 1).tolist()
    large = np.flatnonzero(share >= 1).tolist()
    left = share.tolist()
    while small and large:
        low, high = small.pop(), large[-1]
        accept[low], alias[low] = left[low], high
        left[high] -= 1 - left[low]
        if left[high] < 1:
            small.append(large.pop())
    words = np.minimum(np.floor(accept * 2.0**32), 0xFFFFFFFF).astype(np.uint32)
    return Noise(jnp.asarray(words), jnp.asarray(alias))


def kept_words(key: Key, data: DeviceCorpus) -> Kept:
    """Leaves frequent words out, as the key of an epoch has it."""
    tokens_N, texts_N = data.tokens_N, data.texts_N
    rows_N = jnp.arange(len(tokens_N), dtype=jnp.int32)
    random_N = row_words(jnp.stack(key), rows_N, stream=_KEPT, count=1, xp=jnp)[:, 0]
    keep_N = random_N <= data.keep_V[tokens_N]
    # What is left out is written beyond the end, which drops it.
    places_N = jnp.where(keep_N, jnp.cumsum(keep_N) - 1, len(tokens_N))
    tokens, texts = (
        jnp.zeros_like(values).at[places_N].set(values, mode="drop")
        for values in (tokens_N, texts_N)
    )
    return Kept(tokens, texts, keep_N.sum())


def steps_of(size: jax.Array, batch_size: int) -> jax.Array:
    """Steps in which every word is read once."""
    return (size + batch_size - 1) // batch_size


def draw_windows(
    key: Key,
    noise: Noise,
    kept: Kept,
    step: jax.Array,
    *,
    batch_size: int,
    window: int,
    negatives: int,
) -> Windows:
    """The words of a step: each row reads a stretch of the corpus of its own in order.

    Args:
        key: Of the epoch.
        noise: What negatives are drawn from.
        kept: What the epoch reads.
        step: () int32 from 0, below `steps_of(M, B)`.
        batch_size: B.
        window: Words to each side at most: W is twice as many.
        negatives: K.
    """
    rows_B = jnp.arange(batch_size, dtype=jnp.int32)
    places_B = rows_B * steps_of(kept.size, batch_size) + step
    step_key = threefry_2x32(key, (jnp.uint32(_DRAWN), step.astype(jnp.uint32)))
    random = row_words(
        jnp.stack(step_key), rows_B, stream=0, count=1 + 2 * negatives, xp=jnp
    )
    reach_B = 1 + multiply_high(random[:, 0], jnp.uint32(window)).astype(jnp.int32)
    by_W = jnp.asarray([*range(-window, 0), *range(1, window + 1)], jnp.int32)
    around_BW = places_B[:, None] + by_W[None]
    near_BW = (around_BW >= 0) & (around_BW < kept.size)
    near_BW &= jnp.abs(by_W)[None] <= reach_B[:, None]
    real_B = places_B < kept.size
    places_B = jnp.clip(places_B, 0, kept.size - 1)
    around_BW = jnp.clip(around_BW, 0, kept.size - 1)
    near_BW &= kept.texts_N[around_BW] == kept.texts_N[places_B][:, None]
    drawn_BK = multiply_high(random[:, 1::2], jnp.uint32(len(noise.alias_V)))
    drawn_BK = drawn_BK.astype(jnp.int32)
    accepted_BK = random[:, 2::2] < noise.accept_V[drawn_BK]
    return Windows(
        words_B=kept.tokens_N[places_B],
        contexts_BW=kept.tokens_N[around_BW],
        near_BW=near_BW & real_B[:, None],
        negatives_BK=jnp.where(accepted_BK, drawn_BK, noise.alias_V[drawn_BK]),
    )
