"""The fused step with a trained encoder: all sides have the same gradients, losses."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import fused_text_step, graphs
from benchmarks.harness.system import Inputs

USERS, ITEMS, ROWS = 40, 30, 64
WORDS = ["a", "heist", "film", "with", "robots", "and", "wolves", "in", "space"]


def films() -> fused_text_step.Films:
    """Each user likes a quarter of the items; texts are of one word to twelve."""
    random = np.random.default_rng(0)
    liked = random.random((USERS, ITEMS)) < 0.25
    liked[np.arange(USERS), np.arange(USERS) % ITEMS] = True
    users, items = np.nonzero(liked)
    pairs = graphs.Interactions(
        num_users=USERS,
        num_items=ITEMS,
        users=users.astype(np.int32),
        items=items.astype(np.int32),
    )
    counts = random.integers(1, 13, ITEMS)
    return fused_text_step.Films(
        pairs=pairs, texts=[" ".join(random.choice(WORDS, count)) for count in counts]
    )


@pytest.fixture(scope="module", params=["full", "lora"])
def case(
    request: pytest.FixtureRequest, tiny_encoder: Path
) -> tuple[dict[str, object], Inputs]:
    setting = fused_text_step.setting_of(
        request.param, encoder=str(tiny_encoder), rows=ROWS
    )
    return setting, fused_text_step.inputs_of(films, setting)()


@pytest.mark.slow
def test_peers_compute_what_ours_does(case: tuple[dict[str, object], Inputs]) -> None:
    ours = pytest.importorskip("benchmarks.ours.fused_text_step")
    theirs = pytest.importorskip(
        "benchmarks.torch_baseline.fused_text_step", reason="PyTorch is absent"
    )
    setting, inputs = case
    wanted = ours.setup(inputs, **setting, backend="csr").outputs()
    adapted = [name for name in wanted if name.startswith("gradient.adapter.")]
    assert bool(adapted) == (setting["mode"] == "lora")
    peers = [
        system
        for system in fused_text_step.systems(setting)
        if system.system == "pytorch"
        # To compile takes minutes, and a run of the benchmark compares those peers too.
        and not any(word in system.name for word in ("compile", "malloc", "PEFT"))
    ]
    assert len(peers) > 3
    for system in peers:
        got = theirs.setup(inputs, **system.options).outputs()
        assert got.keys() == wanted.keys()
        for name, array in wanted.items():
            scale = np.abs(array).max()
            assert scale > 0, name
            error = np.abs(got[name] - array).max() / scale
            assert error <= fused_text_step.TOLERANCE, (system.name, name, error)


def test_every_item_of_a_batch_is_encoded_once(
    case: tuple[dict[str, object], Inputs],
) -> None:
    _, inputs = case
    counts = np.diff(inputs["token_ends"], prepend=0)
    assert (counts > 0).all()
    assert counts.min() < counts.max()
    assert len(inputs["item_texts"]) == ITEMS
    for fresh, positives in zip(
        inputs["batch_fresh"], inputs["batch_positives"], strict=True
    ):
        np.testing.assert_array_equal(np.sort(fresh[fresh >= 0]), np.unique(positives))


def test_texts_that_are_not_encoded_are_read_from_the_store() -> None:
    peer = pytest.importorskip(
        "benchmarks.torch_baseline.fused_text_step", reason="PyTorch is absent"
    )
    inputs = {
        "token_ids": np.arange(1, 11),
        "token_ends": np.array([1, 3, 6, 10]),
        "batch_fresh": np.array([[2, 0, -1]]),
        "batch_positives": np.array([[0, 3, 2, 3]]),
    }
    for parts, order in ((1, [2, 0]), (2, [2, 0]), ("no padding", [2, 0])):
        (texts,) = peer.texts_of(inputs, parts)
        assert texts.stored_M.tolist() == [3]
        assert texts.vectors_K.tolist() == [1, 2, 0, 2]
        assert [order[place] for place in texts.fresh_P.tolist()] == [2, 0]
    assert len(peer.texts_of(inputs, 2)[0].parts) == 2


def test_what_pads_is_counted() -> None:
    peer = pytest.importorskip(
        "benchmarks.torch_baseline.fused_text_step", reason="PyTorch is absent"
    )
    inputs = {
        "token_ids": np.arange(1, 7),
        "token_ends": np.array([1, 4, 6]),
        "batch_fresh": np.array([[0, 1, 2]]),
        "batch_positives": np.array([[0, 1, 2]]),
    }
    padding = [
        peer.padding_of(peer.texts_of(inputs, parts)) for parts in (1, 3, "no padding")
    ]
    assert padding == pytest.approx([1 / 3, 0, 0])


def test_rows_have_names_of_their_own() -> None:
    for mode in ("full", "lora"):
        setting = fused_text_step.setting_of(mode)
        names = [one.name for one in fused_text_step.systems(setting)]
        assert len(set(names)) == len(names)
