"""What systems that rank must agree on."""

import numpy as np

from benchmarks.harness.system import Inputs
from llmgnn_jax.data.csr import Csr
from llmgnn_jax.evaluation.metrics import evaluate_rankings


def outputs_of(
    items: np.ndarray, scores: np.ndarray, inputs: Inputs
) -> dict[str, np.ndarray]:
    """Scores of the lists, which must not rise, and metrics on a test part.

    Args:
        items: (U, K), best first.
        scores: (U, K) theirs.
        inputs: With "test_users" and "test_items", if there is a test part.
    """
    outputs = {"scores": scores}
    if "test_users" in inputs:
        num_users, k = items.shape
        num_items = len(inputs["item_vectors"])
        positives = Csr.from_pairs(
            np.asarray(inputs["test_users"]),
            np.asarray(inputs["test_items"]),
            num_users,
        )
        users = np.arange(num_users, dtype=np.int32)
        metrics = evaluate_rankings(
            items.astype(np.int32), users, positives, ks=(k,), num_items=num_items
        )
        for name in ("recall", "ndcg"):
            outputs[name] = np.asarray([metrics.mean[f"{name}@{k}"]])
    return outputs
