"""Ranking losses: pure functions of scores.

Shapes: B rows, K negatives of each. A loss is one number a row, so that the mean is a
global sum over a global count however rows are spread over devices.
"""

import jax
import jax.numpy as jnp


def bpr(
    positive_B: jax.Array, negative_BK: jax.Array, *, keep_BK: jax.Array
) -> jax.Array:
    """Bayesian personalised ranking: -log sigmoid(s+ - s-), (Rendle et al. 2009).

    Args:
        positive_B: (B,) scores of the positives.
        negative_BK: (B, K) scores of the negatives.
        keep_BK: (B, K) bool; False leaves a pair out.

    Returns:
        (B,) each row's mean over its negatives; 0 for a row that has none.
    """
    pairs_BK = -jax.nn.log_sigmoid(positive_B[:, None] - negative_BK)
    kept_B = jnp.sum(keep_BK, axis=1)
    return jnp.sum(jnp.where(keep_BK, pairs_BK, 0.0), axis=1) / jnp.maximum(kept_B, 1)


def hardest(negative_BK: jax.Array, *, keep_BK: jax.Array) -> jax.Array:
    """(B, K) bool, of each row's kept negatives the one that scores highest.

    Dynamic negative sampling: Zhang et al. 2013, "Optimizing top-n collaborative
    filtering via dynamic negative item sampling". A row that has none keeps none.

    Args:
        negative_BK: (B, K) scores of the negatives.
        keep_BK: (B, K) bool; False leaves one out.
    """
    scores_BK = jnp.where(keep_BK, negative_BK, -jnp.inf)
    best_B1 = jnp.argmax(scores_BK, axis=1, keepdims=True)
    return keep_BK & (jnp.arange(keep_BK.shape[1])[None, :] == best_B1)


def sampled_softmax(
    positive_B: jax.Array,
    negative_BK: jax.Array,
    *,
    keep_BK: jax.Array,
    log_expected_K: jax.Array,
) -> jax.Array:
    """Softmax over the positive and its negatives, with logQ correction.

    -s+ + log(exp s+ + sum over kept k of exp(s_k - log n_k)), n_k how often negative k
    is expected among the K drawn, so that the sum estimates the one over the catalogue
    (Bengio and Senecal 2008; Yi et al. 2019). With every item once, n_k = 1, it is the
    full softmax.

    Args:
        positive_B: (B,) scores of the positives.
        negative_BK: (B, K) scores of the negatives.
        keep_BK: (B, K) bool; False leaves a negative out.
        log_expected_K: (K,) log n_k.

    Returns:
        (B,) cross-entropies.
    """
    corrected_BK = jnp.where(keep_BK, negative_BK - log_expected_K[None, :], -jnp.inf)
    # The positive is always there, so no row is all -inf.
    logits_B1K = jnp.concatenate([positive_B[:, None], corrected_BK], axis=1)
    return jax.nn.logsumexp(logits_B1K, axis=1) - positive_B
