"""Ranking as `train.py` and `serve` do it: `evaluation.ranker.rank_factors`."""

import jax.numpy as jnp
import numpy as np

from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.ours.device import peak_mb
from benchmarks.rankings import outputs_of
from llmgnn_jax.data.csr import Csr
from llmgnn_jax.evaluation.ranker import rank_factors
from llmgnn_jax.evaluation.ranking import Rankings


def setup(inputs: Inputs, *, k: int, memory_limit_mb: float = 256) -> Task:
    """Lists of all users under a cap of memory, by default that of `rank_factors`."""
    users = jnp.asarray(inputs["user_vectors"])
    items = jnp.asarray(inputs["item_vectors"])
    seen = Csr(
        indptr=np.asarray(inputs["seen_indptr"]),
        indices=np.asarray(inputs["seen_items"]),
    )

    def ranked() -> Rankings:
        return rank_factors(
            users, items, seen=seen, k=k, memory_limit_mb=memory_limit_mb
        )

    def outputs() -> dict[str, np.ndarray]:
        lists = ranked()
        return outputs_of(lists.items, lists.scores, inputs)

    return Task(run=ranked, outputs=outputs, units=len(users), device_peak_mb=peak_mb())
