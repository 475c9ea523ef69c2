"""Word vectors learned from texts: skip-gram with negative sampling.

For a word w with the words c of its window, and K words n drawn from the vocabulary,

    loss = sum_c -log sigma(v_w . u_c) - sum_k m_k log sigma(-v_w . u_(n_k))

where m_k is the number of c that are not n_k. Mikolov et al. 2013,
https://arxiv.org/abs/1310.4546, with their subsampling of frequent words, their
noise (unigram ** 0.75) and their window (of random width up to `window`). Two things
make it fast on wide machines: the words of a window share their negatives (Ji et al.
2016, https://arxiv.org/abs/1604.04661), and B places of the corpus are one step. The
gradients of a step touch the rows of its words alone. A frequent word occurs often in
a step, which plain gradient descent would not survive; so each row has the step size of
its own history: Adagrad (Duchi et al. 2011) with one number a row.

Every draw is keyed by (seed, epoch, step, row). On a CPU a run repeats bit for bit; on
a GPU the order in which equal rows are added up is not fixed.

Shapes: V vocabulary, D width, B rows of a step, W words around one, K negatives,
X = W + K, R rows to add to.
"""

import dataclasses
import functools
import logging
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from llmgnn_jax.errors import UserError
from llmgnn_jax.graph.sampling.words import key_words, threefry_2x32
from llmgnn_jax.text.checks import check_sizes
from llmgnn_jax.text.corpus import corpus_of
from llmgnn_jax.text.windows import (
    DeviceCorpus,
    Windows,
    draw_windows,
    kept_words,
    on_device,
    steps_of,
)

logger = logging.getLogger(__name__)

_EPSILON = 1e-12
# Of an epoch at least: fewer would learn nothing from a small corpus.
_STEPS = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class SkipGramConfig:
    """How word vectors are learned.

    Attributes:
        dim: D.
        window: Words to each side at most; the width of each window is drawn.
        negatives: K, shared by the words of a window.
        min_count: How often a word must occur.
        subsample: Share of the corpus above which a word is left out at random; 0 for
            never.
        epochs: How often the corpus is read.
        batch_size: B; less where an epoch would have fewer than 64 steps.
        learning_rate: Adagrad's, falling to 0 over the run.

    Raises:
        UserError: If a value is out of range.
    """

    dim: int = 100
    window: int = 5
    negatives: int = 5
    min_count: int = 5
    subsample: float = 1e-3
    epochs: int = 5
    batch_size: int = 512
    learning_rate: float = 0.1

    def __post_init__(self) -> None:
        check_sizes(self)
        if not self.learning_rate > 0:
            raise UserError.field(
                "learning_rate", expected="a number above 0", got=self.learning_rate
            )
        if not 0 <= self.subsample <= 1:
            raise UserError.field(
                "subsample", expected="a share from 0 to 1", got=self.subsample
            )


class LearnedVectors(NamedTuple):
    """What was learned.

    Attributes:
        words: V words, the frequent first.
        vectors: (V, D) float32: v of the loss.
    """

    words: list[str]
    vectors: np.ndarray


class Tables(NamedTuple):
    """What is trained.

    Attributes:
        inputs_VD: v, the vectors of words.
        outputs_VD: u, the vectors of their neighbours.
        input_squares_V: Sum of the mean squares of each row's gradients.
        output_squares_V: Likewise.
    """

    inputs_VD: jax.Array
    outputs_VD: jax.Array
    input_squares_V: jax.Array
    output_squares_V: jax.Array


def learn_word_vectors(
    texts: Sequence[str], *, config: SkipGramConfig | None = None, seed: int
) -> LearnedVectors:
    """Learns a vector for each frequent word of some texts.

    Args:
        texts: Any strings; words are as `words.words_of` cuts them.
        config: How; the defaults if None.
        seed: Of all draws.

    Raises:
        UserError: If a text is no str or no word is frequent enough.
    """
    config = config or SkipGramConfig()
    corpus = corpus_of(texts, min_count=config.min_count)
    batch_size = min(config.batch_size, -(-len(corpus.tokens_N) // _STEPS))
    tables, losses = _train(
        on_device(corpus, subsample=config.subsample),
        initial_tables(len(corpus.words), config.dim, seed=seed),
        key_words(jax.random.key(seed)),
        dataclasses.replace(config, batch_size=batch_size),
    )
    for epoch, loss in enumerate(np.asarray(losses), 1):
        logger.info("skip-gram: epoch %d, loss of a pair %.4f", epoch, loss)
    return LearnedVectors(corpus.words, np.asarray(tables.inputs_VD))


def initial_tables(words: int, dim: int, *, seed: int) -> Tables:
    """word2vec's: v uniform in +- 1 / (2 D), u 0."""
    drawn = np.random.default_rng(seed).random((words, dim), np.float32)
    return Tables(
        jnp.asarray((drawn - np.float32(0.5)) / dim),
        jnp.zeros((words, dim)),
        jnp.zeros(words),
        jnp.zeros(words),
    )


def update(
    tables: Tables, windows: Windows, learning_rate: jax.Array
) -> tuple[Tables, jax.Array]:
    """One step.

    Returns:
        The tables, and the mean loss of a pair (w, c).
    """
    words_B, contexts_BW, near_BW, negatives_BK = windows
    same_BKW = negatives_BK[:, :, None] == contexts_BW[:, None, :]
    times_BK = (near_BW[:, None, :] & ~same_BKW).sum(axis=2).astype(jnp.float32)
    v_BD = tables.inputs_VD[words_B]
    others_BX = jnp.concatenate([contexts_BW, negatives_BK], axis=1)
    u_BXD = tables.outputs_VD[others_BX]
    scores_BX = _dot("bd,bxd->bx", v_BD, u_BXD)
    width = contexts_BW.shape[1]
    weights_BX = jnp.concatenate([near_BW.astype(jnp.float32), times_BK], axis=1)
    sign_1X = jnp.where(jnp.arange(others_BX.shape[1]) < width, -1.0, 1.0)[None]
    loss = (weights_BX * jax.nn.softplus(sign_1X * scores_BX)).sum()
    slope_BX = weights_BX * sign_1X * jax.nn.sigmoid(sign_1X * scores_BX)
    d_v_BD = _dot("bx,bxd->bd", slope_BX, u_BXD)
    d_u_BXD = slope_BX[:, :, None] * v_BD[:, None, :]
    inputs_VD, input_squares_V = _adagrad(
        tables.inputs_VD, tables.input_squares_V, words_B, d_v_BD, learning_rate
    )
    dim = v_BD.shape[1]
    outputs_VD, output_squares_V = _adagrad(
        tables.outputs_VD,
        tables.output_squares_V,
        others_BX.reshape(-1),
        d_u_BXD.reshape(-1, dim),
        learning_rate,
    )
    new = Tables(inputs_VD, outputs_VD, input_squares_V, output_squares_V)
    return new, loss / jnp.maximum(near_BW.sum(), 1)


@functools.partial(jax.jit, static_argnames="config", donate_argnames="tables")
def _train(
    data: DeviceCorpus, tables: Tables, words_2: jax.Array, config: SkipGramConfig
) -> tuple[Tables, jax.Array]:
    """All epochs: the trained tables, and the mean loss of a pair in each epoch."""

    def epoch(tables: Tables, number: jax.Array) -> tuple[Tables, jax.Array]:
        key = threefry_2x32(
            (words_2[0], words_2[1]), (jnp.uint32(0), number.astype(jnp.uint32))
        )
        kept = kept_words(key, data)
        steps = steps_of(kept.size, config.batch_size)

        def one(
            step: jax.Array, state: tuple[Tables, jax.Array]
        ) -> tuple[Tables, jax.Array]:
            windows = draw_windows(
                key,
                data.noise,
                kept,
                step,
                batch_size=config.batch_size,
                window=config.window,
                negatives=config.negatives,
            )
            done = (number + step / steps) / config.epochs
            tables, loss = update(state[0], windows, config.learning_rate * (1 - done))
            return tables, state[1] + loss

        # As many steps as the words that are left need: the loop's length is no shape.
        start = (tables, jnp.float32(0))
        tables, loss = jax.lax.fori_loop(0, steps, one, start)
        return tables, loss / jnp.maximum(steps, 1)

    return jax.lax.scan(epoch, tables, jnp.arange(config.epochs))


def _adagrad(
    table_VD: jax.Array,
    squares_V: jax.Array,
    rows_R: jax.Array,
    gradients_RD: jax.Array,
    learning_rate: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Adds to the rows that are named, as often as they are."""
    squares_V = squares_V.at[rows_R].add(jnp.square(gradients_RD).mean(axis=1))
    scale_R = learning_rate * jax.lax.rsqrt(squares_V[rows_R] + _EPSILON)
    return table_VD.at[rows_R].add(-scale_R[:, None] * gradients_RD), squares_V


def _dot(formula: str, left: jax.Array, right: jax.Array) -> jax.Array:
    return jnp.einsum(formula, left, right, precision=jax.lax.Precision.HIGHEST)
