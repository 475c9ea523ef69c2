"""Buckets of relative positions, as T5 and MPNet have them.

Raffel et al. 2020, section 2.1, https://arxiv.org/abs/1910.10683.
"""

import numpy as np


def relative_buckets(
    length: int, *, num_buckets: int, max_distance: int = 128
) -> np.ndarray:
    """The bucket of each pair of places.

    Half of the buckets are for what comes later. In each half the first half is one
    distance each, and the rest are distances up to `max_distance` on a logarithmic
    scale; what is further shares the last one.

    Returns:
        (L, L) int32 from 0 to `num_buckets` - 1; row: who asks, column: who is asked.
    """
    ahead = np.arange(length)[None, :] - np.arange(length)[:, None]
    half = num_buckets // 2
    exact = half // 2
    distance = np.abs(ahead)
    # float32 as in PyTorch: at the borders of buckets float64 rounds another way.
    scale = np.float32(np.log(max_distance / exact))
    log = np.log(np.maximum(distance, 1).astype(np.float32) / np.float32(exact)) / scale
    far = exact + (log * np.float32(half - exact)).astype(np.int32)
    within = np.where(distance < exact, distance, np.minimum(far, half - 1))
    return (within + np.where(ahead > 0, half, 0)).astype(np.int32)
