"""One user's list in NumPy."""

import numpy as np

from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.requests import task_of


def setup(inputs: Inputs, *, k: int) -> Task:
    """A product, -inf for what was seen, `argpartition`, and k numbers sorted."""
    users_UD = np.array(inputs["user_vectors"])
    items_ID = np.array(inputs["item_vectors"])
    seen, indptr = np.array(inputs["seen_items"]), np.array(inputs["seen_indptr"])
    scores_I = np.empty(len(items_ID), np.float32)

    def answer(users_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        user = users_B[0]
        np.dot(items_ID, users_UD[user], out=scores_I)
        scores_I[seen[indptr[user] : indptr[user + 1]]] = -np.inf
        best = np.argpartition(scores_I, -k)[-k:]
        best = best[np.argsort(-scores_I[best])]
        return best[None], scores_I[best][None]

    return task_of(answer, inputs, batch=1)
