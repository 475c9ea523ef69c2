"""Runs of data that the caller holds in memory."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from llmgnn_jax.config import Config, replace
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.memory import source_of
from llmgnn_jax.data.node_dataset import NodeDataset
from llmgnn_jax.data.node_splits import split_nodes
from llmgnn_jax.data.synthetic import synthetic
from llmgnn_jax.errors import UserError
from llmgnn_jax.recipes import recipe
from llmgnn_jax.serving.recommender import Recommender
from llmgnn_jax.training.run import evaluate, fit


@pytest.fixture(scope="module")
def data() -> Dataset:
    return synthetic()


@pytest.fixture(scope="module")
def config() -> Config:
    return replace(
        recipe("synthetic"),
        **{
            "train.steps": 20,
            "graph.backend": "segment",
            "evaluation.ks": (10,),
            "evaluation.baselines": False,
        },
    )


@pytest.fixture(scope="module")
def run(
    config: Config, data: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("memory") / "run"
    fit(replace(config, **{"data.source": "nowhere"}), dataset=data, out=out)
    return out


def _tests(run: Path) -> object:
    results = json.loads((run / "results.json").read_text("utf-8"))
    return results["protocol"], results["models"]["graph"]["test"]


def test_it_is_the_run_of_the_same_data_by_name(
    config: Config, run: Path, tmp_path: Path
) -> None:
    fit(config, out=tmp_path / "run")
    assert _tests(run) == _tests(tmp_path / "run")
    split = (run / "split.json").read_text("utf-8")
    assert split == (tmp_path / "run" / "split.json").read_text("utf-8")


def test_the_folder_says_name_and_content(run: Path, data: Dataset) -> None:
    source = json.loads((run / "config.json").read_text("utf-8"))["data"]["source"]
    assert source == f"memory:synthetic@{data.content_hash()[:16]}"


def test_it_is_loaded_and_measured_with_the_data(run: Path, data: Dataset) -> None:
    before = _tests(run)
    # The name is for people.
    renamed = dataclasses.replace(data, name="another name")
    recommender = Recommender.load(run, dataset=renamed)
    assert len(recommender.recommend(user=data.user_ids[3], k=4)) == 4
    evaluate(run, dataset=data)
    assert _tests(run) == before


def test_what_was_left_out_for_its_value_is_known_in_serving(
    config: Config, data: Dataset, tmp_path: Path
) -> None:
    values = np.where(np.arange(data.num_interactions) % 9 == 0, 1.0, 5.0)
    rated = dataclasses.replace(data, values=values)
    low = replace(config, **{"data.min_value": 4.0, "train.steps": 2})
    out = tmp_path / "run"
    fit(low, dataset=rated, out=out)
    recommender = Recommender.load(out, dataset=rated)
    user, item = rated.users[0], rated.items[0]
    listed = recommender.recommend(user=rated.user_ids[user], k=rated.num_items)
    assert rated.item_ids[item] not in {one.id for one in listed}


def _other(data: Dataset) -> Dataset:
    values = data.values.copy()
    values[0] += 1
    return dataclasses.replace(data, values=values)


@pytest.mark.parametrize(
    "again",
    [
        Recommender.load,
        evaluate,
        lambda run, **given: fit(
            replace(recipe("synthetic"), **{"train.steps": 20}),
            out=run,
            resume=True,
            **given,
        ),
    ],
    ids=["load", "evaluate", "resume"],
)
def test_without_its_data_it_is_refused_in_a_line(
    run: Path, data: Dataset, again: Callable[..., object]
) -> None:
    for given in ({}, {"dataset": _other(data)}):
        with pytest.raises(
            UserError,
            match=r"^data.source 'memory:synthetic@\w{16}': expected the data set of "
            r"that content, .*; in Python, give it as dataset=\.\.\. to Recommender",
        ):
            again(run, **given)


def test_commands_say_how_to_give_it(
    run: Path, llmgnn: Callable[..., tuple[int, str, str]]
) -> None:
    for words in (
        ("recommend", str(run), "--user", "u1"),
        ("evaluate", str(run)),
        ("train", "synthetic", "--resume", "--out", str(run)),
    ):
        code, out, told = llmgnn(*words)
        assert (code, out) == (2, "")
        [line] = [one for one in told.splitlines() if "data.source" in one]
        assert "expected the data set of that content" in line
        assert "give it as dataset=..." in line


def test_a_resumed_run_is_one_that_went_on(
    config: Config, data: Dataset, run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    half = replace(config, **{"train.steps": 10})
    fit(half, dataset=data, out=out)
    fit(config, dataset=data, out=out, resume=True)
    whole, resumed = (Recommender.load(one, dataset=data) for one in (run, out))
    assert whole.version == resumed.version


def test_ratings(data: Dataset, tmp_path: Path) -> None:
    rated = dataclasses.replace(data, values=1.0 + data.items % 5)
    config = replace(recipe("ml-100k-rating"), models=("graph",), **{"train.steps": 4})
    fit(config, dataset=rated, out=tmp_path / "run")
    recommender = Recommender.load(tmp_path / "run", dataset=rated)
    found = recommender.predict(user=rated.user_ids[0], item=rated.item_ids[0])
    assert 1 <= found.rating <= 5


def _nodes() -> NodeDataset:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 60)
    pairs = np.unique(np.sort(rng.integers(0, 60, (150, 2)), axis=1), axis=0)
    return NodeDataset(
        name="rings",
        features=rng.normal(size=(60, 4)) + labels[:, None],
        labels=labels,
        edges=pairs[pairs[:, 0] < pairs[:, 1]],
        class_names=("a", "b"),
    )


def test_node_classification(tmp_path: Path) -> None:
    nodes = _nodes()
    config = replace(
        recipe("cora-gcn"), **{"train.steps": 4, "graph.backend": "segment"}
    )
    with pytest.raises(UserError, match=r"expected random, got rings"):
        fit(config, dataset=nodes, out=tmp_path / "none")
    out = tmp_path / "drawn"
    drawn = replace(config, **{"data.split": "random"})
    fit(drawn, dataset=nodes, out=out)
    with pytest.raises(UserError, match=r"^data.source 'memory:rings@"):
        evaluate(out)
    assert evaluate(out, dataset=nodes).results
    # With a split of its own.
    split = split_nodes(nodes, seed=3)
    fit(config, dataset=split, out=tmp_path / "split")
    assert evaluate(tmp_path / "split", dataset=split).results
    with pytest.raises(UserError, match=r"expected the data set of that content"):
        evaluate(tmp_path / "split", dataset=split_nodes(nodes, seed=4))
    with pytest.raises(UserError, match=r"expected the data set of that content"):
        evaluate(tmp_path / "split", dataset=nodes)


def test_data_of_another_kind_are_refused(
    config: Config, data: Dataset, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with pytest.raises(UserError, match=r"dataset: expected a Dataset, .* NodeData"):
        fit(config, dataset=_nodes(), out=out)
    with pytest.raises(
        UserError, match=r"dataset: expected a NodeDataset or .* Dataset"
    ):
        fit(recipe("cora-gcn"), dataset=data, out=out)
    with pytest.raises(UserError, match=r"dataset: expected a Dataset, .* one dict"):
        source_of({})  # type: ignore[arg-type]
    columned = replace(config, **{"data.columns": ("user=customer",)})
    with pytest.raises(UserError, match=r"--data.columns: expected none but with a ta"):
        fit(columned, dataset=data, out=out)
    assert not out.exists()


def test_a_run_that_reads_its_data_takes_none(
    config: Config, data: Dataset, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    fit(replace(config, **{"train.steps": 2}), out=out)
    with pytest.raises(UserError, match=r"dataset: expected none: .* reads 'synth"):
        Recommender.load(out, dataset=data)
