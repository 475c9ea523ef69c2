"""The fused step's benchmark: both sides have the same gradients and losses."""

import numpy as np
import pytest

from benchmarks import fused_step, graphs
from benchmarks.fused_weights import random_weights
from benchmarks.harness.system import Inputs

USERS, ITEMS, ROWS = 40, 30, 64


def pairs() -> graphs.Interactions:
    """Each user likes a quarter of the items, and nobody everything."""
    random = np.random.default_rng(0)
    liked = random.random((USERS, ITEMS)) < 0.25
    liked[np.arange(USERS), np.arange(USERS) % ITEMS] = True
    users, items = np.nonzero(liked)
    return graphs.Interactions(
        num_users=USERS,
        num_items=ITEMS,
        users=users.astype(np.int32),
        items=items.astype(np.int32),
    )


@pytest.fixture(scope="module", params=["all", "in_batch"])
def case(request: pytest.FixtureRequest) -> tuple[dict, Inputs]:
    setting = {
        **fused_step.SETTING,
        "width": fused_step.WIDTH,
        "negatives": request.param,
        "batch_size": ROWS,
    }
    return setting, fused_step.inputs_of(pairs, setting)()


# To compile takes minutes, and a run of the benchmark compares those peers too.
_EAGER = [name for name, options in fused_step.PEERS.items() if len(options) == 1]


@pytest.mark.slow
@pytest.mark.parametrize("peer", _EAGER)
@pytest.mark.filterwarnings("ignore:Sparse (invariant|CSR):UserWarning")
def test_peers_compute_what_ours_does(case: tuple[dict, Inputs], peer: str) -> None:
    ours = pytest.importorskip("benchmarks.ours.fused_step")
    theirs = pytest.importorskip(
        "benchmarks.torch_baseline.fused_step", reason="PyTorch is absent"
    )
    if peer.startswith("PyG"):
        pytest.importorskip("torch_geometric", reason="PyG is absent")
    setting, inputs = case
    wanted = ours.setup(inputs, **setting, backend="csr").outputs()
    options = {**fused_step.SETTING, **fused_step.PEERS[peer]}
    got = theirs.setup(inputs, **options).outputs()
    assert got.keys() == wanted.keys()
    for name, array in wanted.items():
        scale = np.abs(array).max()
        assert scale > 0, name
        assert np.abs(got[name] - array).max() <= 1e-4 * scale, name


def test_a_row_is_never_told_to_leave_its_own_positive(
    case: tuple[dict, Inputs],
) -> None:
    setting, inputs = case
    every_item = setting["negatives"] == "all"
    rows = np.arange(ROWS)
    liked = np.zeros((USERS, ITEMS), bool)
    liked[inputs["users"], inputs["items"]] = True
    for users, positives, bias in zip(
        inputs["batch_users"],
        inputs["batch_positives"],
        inputs["batch_bias"],
        strict=True,
    ):
        own = positives if every_item else rows
        assert liked[users, positives].all()
        assert (bias[rows, own] == 0).all()
        items = np.arange(ITEMS) if every_item else positives
        left_out = np.isinf(bias)
        left_out[rows, own] = True
        np.testing.assert_array_equal(left_out, liked[users][:, items])


def test_weights_move_both_ways() -> None:
    fused = pytest.importorskip(
        "benchmarks.torch_baseline.fused", reason="PyTorch is absent"
    )
    import torch

    weights = random_weights(num_nodes=5, text_dim=6, dim=4, seed=0)
    model = fused.FusedModel(
        weights, item_texts=torch.zeros(3, 6), user_sums=torch.zeros(2, 6)
    )
    back = model.ours()
    assert back.keys() == weights.keys()
    for name, array in weights.items():
        np.testing.assert_array_equal(back[name], array)


def test_rows_have_names_of_their_own() -> None:
    names = [system.name for system in fused_step.systems({})]
    assert len(set(names)) == len(names)
