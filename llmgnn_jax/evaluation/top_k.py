"""Exact top-k of wide rows on device, faster than `lax.top_k` where rows are long.

Shape legend: `B` rows, `W` columns, `N` blocks of a row.
"""

import jax
import jax.numpy as jnp
from jax import lax

BLOCK = 64
"""Columns of a block. Rows whose width is a multiple of it are ranked without a copy.

About sqrt(W / k) balances the two stages, and the optimum is flat.
"""

_MIN_BLOCKS = 4
"""With fewer than this many blocks a candidate the first stage saves nothing."""

_MIN_WIDTH = 8_192
"""Below it `lax.top_k` alone is as fast."""


def uses_blocks(width: int, k: int) -> bool:
    """Whether rows of this width are ranked in two stages."""
    return width >= max(_MIN_WIDTH, _MIN_BLOCKS * BLOCK * k)


def top_k(scores_BW: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    """The k best columns of each row, best first; equal scores: lower column first.

    Long rows are cut into blocks of neighbouring columns. The k blocks with the best
    maxima (equal maxima: the earlier block) hold the k best columns: a column outside
    them is preceded by one column of each, since that one is larger, or equal and to
    the left. So `lax.top_k` sorts the maxima and then the columns of k blocks only, and
    the result is exact.

    Args:
        scores_BW: (B, W) float32, below +inf; -0.0 equals 0.0. If a row holds NaN, its
            first score is NaN and its columns mean nothing.
        k: How many; at most W.

    Returns:
        (B, k) scores and (B, k) int32 columns.
    """
    width = scores_BW.shape[1]
    if not uses_blocks(width, k):
        return lax.top_k(_positive_zero(scores_BW), k)
    # The compiled maximum may skip NaN; a sum cannot, and is fastest as a product.
    has_nan_B = jnp.isnan(scores_BW @ jnp.ones(width, scores_BW.dtype))
    if width % BLOCK:
        padding = ((0, 0), (0, -width % BLOCK))
        scores_BW = jnp.pad(scores_BW, padding, constant_values=-jnp.inf)
    blocks_BNW = scores_BW.reshape(scores_BW.shape[0], -1, BLOCK)
    # Zeros are made equal after each reduction: before it, that would cost a copy.
    _, best_Bk = lax.top_k(_positive_zero(blocks_BNW.max(axis=-1)), k)
    # In ascending order again, so that candidates are ordered by column for ties.
    best_Bk = jnp.sort(best_Bk, axis=-1)
    candidates = jnp.take_along_axis(blocks_BNW, best_Bk[:, :, None], axis=1)
    candidates = _positive_zero(candidates.reshape(candidates.shape[0], -1))
    top_scores_Bk, places_Bk = lax.top_k(candidates, k)
    blocks_Bk = jnp.take_along_axis(best_Bk, places_Bk // BLOCK, axis=1)
    top_scores_Bk = jnp.where(has_nan_B[:, None], jnp.nan, top_scores_Bk)
    return top_scores_Bk, blocks_Bk * BLOCK + places_Bk % BLOCK


def _positive_zero(scores: jax.Array) -> jax.Array:
    """`lax.top_k` orders 0.0 before -0.0, which would break ties by sign."""
    return jnp.where(scores == 0, jnp.zeros_like(scores), scores)
