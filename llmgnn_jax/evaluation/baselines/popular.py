"""The same for everyone."""

import time

import jax
import jax.numpy as jnp
import numpy as np

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.evaluation.baselines.fitted import Baseline


def popularity(train: Csr, num_items: int) -> Baseline:
    """Scores an item by its number of train users."""
    start = time.perf_counter()
    counts = np.bincount(train.indices, minlength=num_items).astype(np.float32)
    return Baseline(
        name="popularity",
        score_chunk=_same_for_all,
        data={"scores": jnp.asarray(counts)},
        seconds=time.perf_counter() - start,
        budget={"trials": 1, "grid": {}, "chosen": {}},
    )


def _same_for_all(data: dict[str, jax.Array], users_B: jax.Array) -> jax.Array:
    scores_I = data["scores"]
    return jnp.broadcast_to(scores_I[None], (users_B.shape[0], scores_I.shape[0]))
