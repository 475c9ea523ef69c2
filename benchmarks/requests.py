"""Users that ask, one after another or in batches, and what all answers must share."""

import itertools
from collections.abc import Callable

import numpy as np

from benchmarks.harness import Task
from benchmarks.harness.system import Inputs

Answer = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""(B,) user numbers -> (B, k) item numbers and scores, on the host."""

_CHECKED = 256


def task_of(
    answer: Answer,
    inputs: Inputs,
    *,
    batch: int,
    device_peak_mb: Callable[[], float] | None = None,
) -> Task:
    """A run answers the next `batch` users of `inputs["requests"]`, round and round.

    Its outputs, of the first users: scores of their lists, and those of the items that
    the lists name.
    """
    users = np.asarray(inputs["requests"], np.int64)
    requests = [
        users[first : first + batch]
        for first in range(0, len(users) - batch + 1, batch)
    ]
    following = itertools.cycle(requests)

    def run() -> None:
        answer(next(following))

    def outputs() -> dict[str, np.ndarray]:
        asked = requests[: max(1, _CHECKED // batch)]
        answers = [answer(users) for users in asked]
        items = np.concatenate([items for items, _ in answers])
        scores = np.concatenate([scores for _, scores in answers])
        vectors = np.asarray(inputs["user_vectors"])[np.concatenate(asked)]
        named = np.asarray(inputs["item_vectors"])[items]
        return {"scores": scores, "named": np.einsum("ud,ukd->uk", vectors, named)}

    return Task(run=run, outputs=outputs, units=batch, device_peak_mb=device_peak_mb)
