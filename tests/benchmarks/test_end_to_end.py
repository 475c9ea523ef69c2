"""A whole run on either side: files, sampler, the same losses, metrics and notes."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.end_to_end import (
    EPOCH,
    PEERS,
    SETTING,
    check_metrics,
    phases,
    systems,
)
from benchmarks.harness.parity import ParityError
from benchmarks.harness.system import Inputs
from benchmarks.whole_runs import Phases, WholeRuns
from llmgnn_jax.data.sources.lightgcn import read_lightgcn

USERS, ITEMS, GROUPS = 60, 90, 3
STEPS = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Users of a group have half of the group's items, and a few more in test."""
    random = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("planted")
    lines: dict[str, list[str]] = {"train.txt": [], "test.txt": []}
    for user in range(USERS):
        items = random.permutation(np.arange(user % GROUPS, ITEMS, GROUPS))
        for name, part in (("train.txt", items[:15]), ("test.txt", items[15:20])):
            lines[name].append(" ".join(map(str, [user, *part])))
    for name, text in lines.items():
        (path / name).write_text("\n".join(text) + "\n")
    return path


@pytest.fixture(scope="module")
def inputs(folder: Path) -> Inputs:
    from benchmarks.ours.end_to_end import config_of, first_inputs

    return {
        "folder": np.asarray(str(folder)),
        **first_inputs(config_of(str(folder), steps=1, seed=0)),
    }


@pytest.fixture(scope="module")
def our_outputs(inputs: Inputs) -> dict[str, np.ndarray]:
    outputs: dict[str, np.ndarray] = task_of("train.py", inputs).outputs()
    return outputs


def torch_module(name: str) -> Any:
    pytest.importorskip("torch", reason="PyTorch is absent")
    return importlib.import_module(f"benchmarks.torch_baseline.{name}")


def task_of(variant: str, inputs: Inputs) -> Any:
    system = next(one for one in systems(STEPS) if one.variant == variant)
    if system.system == "pytorch":
        pytest.importorskip("torch", reason="PyTorch is absent")
    module, _, function = system.setup.partition(":")
    return getattr(importlib.import_module(module), function)(inputs, **system.options)


def test_the_peer_reads_what_ours_reads(tmp_path: Path) -> None:
    # Spaces at ends, an empty line, a user without items, no newline at the end.
    (tmp_path / "train.txt").write_text("0 3 1\n\n1\n2  0 12 \n3 1")
    (tmp_path / "test.txt").write_text("0 0\n")
    users, items = torch_module("pairs").read_pairs(tmp_path / "train.txt")
    dataset = read_lightgcn(tmp_path)
    named = [
        (int(dataset.user_ids[user]), int(dataset.item_ids[item]))
        for user, item in zip(dataset.users, dataset.items, strict=True)
    ]
    assert list(zip(users.tolist(), items.tolist(), strict=True)) == named[:-1]


def test_the_peers_sampler_draws_users_uniformly_and_no_known_negative() -> None:
    pairs_of = torch_module("pairs")
    # The first user has all items but one, the last one has a single one.
    liked = np.zeros((5, 8), bool)
    liked[0, 1:] = liked[1, ::2] = liked[2, 3:5] = liked[4, 6] = True
    pairs = pairs_of.Pairs.of(*np.nonzero(liked), *liked.shape)
    count = 20_000
    users, positives, negatives = (
        pairs_of.Sampler(pairs, seed=0).draw(count).cpu().numpy()
    )
    assert liked[users, positives - 5].all()
    assert not liked[users, negatives - 5].any()
    active = [0, 1, 2, 4]
    expected = count / len(active)
    drawn = np.bincount(users, minlength=5)
    assert drawn[3] == 0
    assert (np.abs(drawn[active] - expected) < 5 * expected**0.5).all()
    # Of the second user's four items each as often.
    own = np.bincount(positives[users == 1] - 5, minlength=8)[::2]
    assert (np.abs(own - own.mean()) < 5 * own.mean() ** 0.5).all()


# That torch does not check what is sparse.
@pytest.mark.filterwarnings("ignore:.*[Ss]parse (CSR|invariant).*:UserWarning")
@pytest.mark.parametrize(
    "variant",
    [
        pytest.param(
            variant,
            marks=[
                pytest.mark.slow,
                # Of torch.compile.
                pytest.mark.filterwarnings("ignore::DeprecationWarning"),
            ]
            if options["compiled"]
            else [],
        )
        for variant, options in PEERS.items()
    ],
)
def test_losses_agree_from_one_table_and_the_same_batches(
    variant: str, inputs: Inputs, our_outputs: dict[str, np.ndarray]
) -> None:
    wanted = our_outputs
    got = task_of(variant, inputs).outputs()
    assert set(got) == set(wanted)
    for name, array in wanted.items():
        np.testing.assert_allclose(got[name], array, rtol=2e-5, err_msg=name)
    assert wanted["train_users"].tolist() == [15] * USERS
    assert wanted["losses"][0] > 0


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["train.py", next(iter(PEERS))])
def test_whole_runs_find_what_was_planted(variant: str, inputs: Inputs) -> None:
    task = task_of(variant, inputs)
    assert not task.warms_up
    assert task.notes == {"steps": STEPS}
    task.run()
    task.run()
    metrics = task.notes["metrics"]
    # Of 75 items that a user has not, its 15 of the group come first.
    assert metrics["recall@20"] > 0.95
    assert metrics["ndcg@20"] > 0.3
    assert 0 < metrics["loss"] < 0.7
    first, second = task.notes["of_runs"]["loss"]
    assert first != second, "runs have seeds of their own"
    assert set(task.notes["seconds"]) == {"read", "build", "train", "rank", "compile"}


def test_the_peers_metrics_are_those_of_our_evaluation() -> None:
    end_to_end, pairs_of = torch_module("end_to_end"), torch_module("pairs")
    import torch

    from llmgnn_jax.data.csr import Csr
    from llmgnn_jax.evaluation.metrics import evaluate_rankings

    random = np.random.default_rng(1)
    users, items = random.integers(6, size=12), random.integers(30, size=12)
    users[users == 2] = 3  # One without a test item.
    lists = np.argsort(random.random((6, 30)), axis=1)[:, :20]
    wanted = evaluate_rankings(
        lists, np.arange(6), Csr.from_pairs(users, items, 6), ks=(20,), num_items=30
    ).mean
    test = pairs_of.Pairs.of(users, items, 6, 30)
    recall, ndcg = end_to_end._metrics(
        torch.from_numpy(lists).to(end_to_end.DEVICE), test
    )
    assert recall == pytest.approx(wanted["recall@20"])
    assert ndcg == pytest.approx(wanted["ndcg@20"])


def row(system: str, **metrics: float) -> dict[str, Any]:
    seconds = {"read": 1.0, "build": 1.0, "train": 9.0, "rank": 1.0, "compile": 0.5}
    named = {"recall@20": 0.1, "ndcg@20": 0.08, "loss": 0.4, **metrics}
    return {
        "system": system,
        "variant": "a",
        "compile_s": 0.0,
        "notes": {"steps": EPOCH, "seconds": seconds, "metrics": named},
    }


def test_metrics_must_agree_after_the_runs() -> None:
    document = {"rows": [row("llmgnn_jax"), row("pytorch", loss=0.41)]}
    check_metrics(document, None)
    assert [one["compile_s"] for one in document["rows"]] == [0.5, 0.5]
    assert "| pytorch a | 1.00 | 1.00 | 9.00 |" in phases(document)
    document["rows"].append(row("pytorch", **{"ndcg@20": 0.083}))
    document["rows"][-1]["notes"]["steps"] = EPOCH - 1
    check_metrics(document, None)
    document["rows"][-1]["notes"]["steps"] = EPOCH
    with pytest.raises(ParityError, match=r"pytorch a: ndcg@20 is 0\.0830.*0\.0800"):
        check_metrics(document, None)


def test_each_run_has_a_seed_of_its_own_and_finite_metrics() -> None:
    runs = WholeRuns(steps=STEPS)
    notes = runs.notes
    for seed, loss in enumerate([3.0, 1.0, 2.0]):
        assert runs.seed == seed
        timed = Phases()
        with timed.timed("train"):
            pass
        timed.seconds["train"] = 10 * loss
        runs.add(timed, {"loss": loss})
    assert notes["seconds"] == {"train": 20.0}
    assert notes["metrics"] == {"loss": 2.0}
    assert notes["of_runs"] == {"loss": [3.0, 1.0, 2.0]}
    with pytest.raises(ValueError, match="run 3: expected finite metrics"):
        runs.add(Phases(), {"loss": float("nan")})


def test_rows_have_names_of_their_own() -> None:
    names = [system.name for system in systems(STEPS)]
    assert len(set(names)) == len(names) == 2 * (1 + len(PEERS))
    assert SETTING["width"] == 64
