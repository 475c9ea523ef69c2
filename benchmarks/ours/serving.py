"""Serving as `serving.Recommender` does it: `evaluation.user_lists`, `Ranker`."""

import numpy as np

from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.ours.device import peak_mb
from benchmarks.requests import task_of
from llmgnn_jax.data.csr import Csr
from llmgnn_jax.evaluation.ranker import Ranker
from llmgnn_jax.evaluation.user_lists import UserLists


def setup(inputs: Inputs, *, k: int, batch: int) -> Task:
    """Lists of `batch` users a run."""
    vectors_UD = np.array(inputs["user_vectors"])
    ranker = Ranker(np.array(inputs["item_vectors"]))
    seen = Csr(
        indptr=np.array(inputs["seen_indptr"]), indices=np.array(inputs["seen_items"])
    )

    of_users = UserLists(ranker, vectors_UD, seen=seen)

    def answer_one(users_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        items, scores = of_users.best(int(users_B[0]), k=k)
        return items[None], scores[None]

    def answer_many(users_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        lists = ranker.rank(vectors_UD[users_B], seen=seen.take(users_B), k=k)
        return lists.items, lists.scores

    answer = answer_one if batch == 1 else answer_many
    return task_of(answer, inputs, batch=batch, device_peak_mb=peak_mb())
