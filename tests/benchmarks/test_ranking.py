"""The ranking benchmark: its inputs, and peers that give the lists that ours gives."""

from typing import Any

import numpy as np
import pytest

from benchmarks.harness.system import Inputs
from benchmarks.ranking import PEERS, K, catalogue, systems

USERS, ITEMS = 70, 3_000


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    made = catalogue(ITEMS, num_users=USERS)()
    random = np.random.default_rng(3)
    return {
        **made,
        # Small enough that no sigmoid rounds to 1.
        "user_vectors": np.float32(0.05) * made["user_vectors"],
        "test_users": np.arange(USERS).repeat(40),
        "test_items": random.permuted(np.tile(np.arange(ITEMS), (USERS, 1)), axis=1)[
            :, :40
        ].reshape(-1),
    }


def test_seen_items_are_sorted_by_user_and_different(inputs: Inputs) -> None:
    indptr, seen = inputs["seen_indptr"], inputs["seen_items"]
    assert (np.diff(indptr) == 50).all()
    rows = seen.reshape(USERS, 50)
    assert (np.diff(rows) > 0).all()
    assert rows.min() >= 0
    assert rows.max() < ITEMS


def by_hand(inputs: Inputs) -> np.ndarray:
    scores = np.asarray(inputs["user_vectors"] @ inputs["item_vectors"].T)
    rows = np.arange(USERS).repeat(50)
    scores[rows, inputs["seen_items"]] = -np.inf
    return -np.sort(-scores, axis=1)[:, :K]


def outputs_of(module: str, inputs: Inputs, **options: Any) -> dict[str, np.ndarray]:
    setup = pytest.importorskip(module, reason="PyTorch is absent").setup
    task = setup(inputs, k=K, **options)
    assert task.units == USERS
    return task.outputs()


def test_ours(inputs: Inputs) -> None:
    outputs = outputs_of("benchmarks.ours.ranking", inputs)
    np.testing.assert_allclose(outputs["scores"], by_hand(inputs), rtol=1e-5)
    assert 0 < outputs["recall"] < 1


@pytest.mark.slow
@pytest.mark.parametrize("options", PEERS.values(), ids=PEERS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Of torch.compile.
def test_peers(inputs: Inputs, options: dict[str, Any]) -> None:
    outputs = outputs_of("benchmarks.torch_baseline.ranking", inputs, **options)
    wanted = outputs_of("benchmarks.ours.ranking", inputs)
    np.testing.assert_allclose(outputs["scores"], wanted["scores"], rtol=1e-5)
    assert outputs["ndcg"] == pytest.approx(wanted["ndcg"], abs=1e-6)


def test_rows_have_names_of_their_own() -> None:
    names = [system.name for system in systems()]
    assert len(set(names)) == len(names)
    assert any("tuned malloc" in name for name in names)
