"""Friends as links of the graph, and as what is recommended; groups."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from llmgnn_jax.config import Config, replace
from llmgnn_jax.errors import UserError
from llmgnn_jax.recipes import recipe
from llmgnn_jax.serving.recommender import Recommender
from llmgnn_jax.training.prepare import prepare
from llmgnn_jax.training.run import evaluate, fit


@pytest.fixture(scope="module")
def config() -> Config:
    return replace(
        recipe("synthetic"),
        **{"train.steps": 60, "graph.backend": "segment", "evaluation.ks": (5, 10)},
    )


@pytest.fixture(scope="module")
def friends(config: Config) -> Config:
    return replace(
        config,
        **{"data.target": "friends", "graph.relations": ("interactions",)},
    )


@pytest.fixture(scope="module")
def run(friends: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("social") / "run"
    fit(friends, out=out)
    return out


def test_friends_are_found_among_strangers(run: Path) -> None:
    results = evaluate(run).results
    assert results is not None
    rows = results["models"]
    assert {"common_neighbours", "adamic_adar", "popularity", "graph"} <= set(rows)
    assert rows["graph"]["test"]["ndcg@10"] > rows["popularity"]["test"]["ndcg@10"]
    # Lists of people would name them.
    assert results["examples"] == []
    text = (run / "report.html").read_text("utf-8")
    assert ">u17<" not in text


def test_neither_oneself_nor_friends_are_recommended(run: Path) -> None:
    prepared = prepare(Recommender.load(run)._prepared.config)
    recommender, data = Recommender.load(run), prepared.dataset
    known = {
        data.item_ids[item]
        for item in data.items[data.users == data.user_ids.index("u7")]
    }
    everyone = recommender.recommend(user="u7", k=data.num_users)
    found = {one.id for one in everyone}
    assert not found & (known | {"u7"})
    assert len(found) == data.num_users - len(known) - 1
    newcomer = recommender.recommend(items=["u0", "u4"], k=5)
    assert not {one.id for one in newcomer} & {"u0", "u4"}


def test_links_change_what_is_trained(config: Config) -> None:
    plain = prepare(config)
    linked = prepare(replace(config, **{"graph.relations": ("friends", "genre")}))
    assert linked.split.split_hash == plain.split.split_hash
    assert linked.split.fingerprint(masking="", metric="ndcg@10") == (
        plain.split.fingerprint(masking="", metric="ndcg@10")
    )
    assert int(linked.graph.plan.num_edges) > int(plain.graph.plan.num_edges)
    assert linked.graph.layout.other_capacity == 4
    np.testing.assert_array_equal(linked.history.indices, plain.history.indices)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"graph.relations": ("freinds",)}, "did you mean 'friends'"),
        ({"data.target": "followers"}, r"data\.target"),
        (
            {
                "graph.relations": ("friends",),
                "graph.relation_weight": 0.5,
                "graph.fanouts": (3, 3),
                "train.negatives": "in_batch",
            },
            r"graph\.fanouts: expected none with links of other weights",
        ),
    ],
)
def test_what_cannot_be_is_told(
    config: Config, changes: dict[str, object], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        prepare(replace(config, **changes))


def test_links_reach_sampled_steps(config: Config, tmp_path: Path) -> None:
    sampled = replace(
        config,
        **{
            # The report explains an example by the relations that this stands for.
            "graph.relations": ("all",),
            "graph.fanouts": (4, 4),
            "train.negatives": "in_batch",
        },
    )
    results = fit(sampled, out=tmp_path / "run").results
    assert results is not None
    assert results["models"]["graph"]["test"]["ndcg@10"] > 0


def test_a_run_knows_its_links(config: Config) -> None:
    plain = prepare(config)
    assert plain.data_hash == plain.split.split_hash
    linked = prepare(replace(config, **{"graph.relations": ("friends",)}))
    friends = linked.dataset.relations["friends"]
    fewer = dataclasses.replace(
        friends,
        heads=friends.heads[1:],
        tails=friends.tails[1:],
        weights=friends.weights[1:],
    )
    others = dataclasses.replace(linked.dataset, relations={"friends": fewer})
    split = dataclasses.replace(linked.split, dataset=others)
    changed = dataclasses.replace(linked, dataset=others, split=split)
    assert changed.split.split_hash == linked.split.split_hash
    assert len({one.data_hash for one in (plain, linked, changed)}) == 3
