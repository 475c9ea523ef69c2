"""The serving benchmark: requests, and peers that give the lists that ours gives."""

from typing import Any

import numpy as np
import pytest

from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.ranking import catalogue
from benchmarks.requests import task_of
from benchmarks.serving import BATCH, BATCHES, ONE_BY_ONE, K, requests, systems

USERS, ITEMS = 70, 3_000


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    return requests(catalogue(ITEMS, num_users=USERS))()


def by_hand(inputs: Inputs, users: np.ndarray) -> np.ndarray:
    scores = np.asarray(inputs["user_vectors"] @ inputs["item_vectors"].T)
    scores[np.arange(USERS).repeat(50), inputs["seen_items"]] = -np.inf
    return -np.sort(-scores[users], axis=1)[:, :K]


def check(task: Task, inputs: Inputs, batch: int) -> None:
    task.run()
    assert task.units == batch
    outputs = task.outputs()
    users = inputs["requests"][: max(256, batch)]
    np.testing.assert_allclose(outputs["scores"], by_hand(inputs, users), rtol=1e-5)
    np.testing.assert_allclose(outputs["named"], outputs["scores"], rtol=1e-4)


def test_runs_ask_for_one_user_after_another(inputs: Inputs) -> None:
    asked: list[int] = []

    def answer(users_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked.extend(users_B)
        return np.zeros((len(users_B), K), int), np.zeros((len(users_B), K))

    few = {**inputs, "requests": inputs["requests"][:7]}
    task = task_of(answer, few, batch=3)
    for _ in range(3):
        task.run()
    assert asked == [*few["requests"][:6], *few["requests"][:3]]


def test_users_ask_in_no_order(inputs: Inputs) -> None:
    assert len(np.unique(inputs["requests"])) == USERS
    assert (np.diff(inputs["requests"]) < 0).any()


@pytest.mark.parametrize("batch", [1, BATCH])
def test_ours(inputs: Inputs, batch: int) -> None:
    from benchmarks.ours.serving import setup

    check(setup(inputs, k=K, batch=batch), inputs, batch)


def test_numpy(inputs: Inputs) -> None:
    from benchmarks.numpy_baseline.serving import setup

    check(setup(inputs, k=K), inputs, 1)


PEERS = [(1, name, options) for name, options in ONE_BY_ONE.items()]
PEERS += [(BATCH, name, options) for name, options in BATCHES.items()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("batch", "options"),
    [(batch, options) for batch, _, options in PEERS],
    ids=[f"{batch}: {name}" for batch, name, _ in PEERS],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Of torch.compile.
def test_peers(inputs: Inputs, batch: int, options: dict[str, Any]) -> None:
    module = pytest.importorskip(
        "benchmarks.torch_baseline.serving", reason="PyTorch is absent"
    )
    check(module.setup(inputs, k=K, batch=batch, **options), inputs, batch)


def test_rows_have_names_of_their_own() -> None:
    for batch in (1, BATCH):
        names = [system.name for system in systems(batch)]
        assert len(set(names)) == len(names)
