"""Spaces: what is drawn, what is read, what is refused."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmgnn_jax.config import Config, replace, unused_fields
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.search_budget import is_range, search_budget
from llmgnn_jax.tuning.baselines import BASELINES
from llmgnn_jax.tuning.named import SPACES
from llmgnn_jax.tuning.space import checked_space, draw, read_space

SPACE: dict[str, Any] = {
    "train.learning_rate": (1e-3, 1e-1, "log"),
    "fusion.modality_dropout": (0, 0.5, "uniform"),
    "graph.num_layers": (1, 3, "uniform"),
    "train.batch_size": (64, 1_024, "log"),
    "train.negatives": ("in_batch", "uniform"),
    "graph.fanouts": ((), (4, 2)),
}


def drawn(name: str, count: int = 2_000) -> list[Any]:
    space = {name: SPACE[name]}
    return [draw(space, seed=0, trial=number)[name] for number in range(count)]


def test_ranges_are_filled_on_their_scales() -> None:
    rates = np.asarray(drawn("train.learning_rate"))
    assert rates.min() >= 1e-3
    assert rates.max() <= 1e-1
    # A third of the decades' width has a third of the draws.
    for low in (-3, -3 + 2 / 3, -3 + 4 / 3):
        between = (rates > 10**low) & (rates < 10 ** (low + 2 / 3))
        assert between.mean() == pytest.approx(1 / 3, abs=0.04)
    shares = np.asarray(drawn("fusion.modality_dropout"))
    assert np.histogram(shares, bins=5, range=(0, 0.5))[0] == pytest.approx(
        [400] * 5, abs=80
    )
    layers = drawn("graph.num_layers")
    assert {type(one) for one in layers} == {int}
    for number in (1, 2, 3):
        assert layers.count(number) == pytest.approx(667, abs=80)
    sizes = np.asarray(drawn("train.batch_size"))
    assert sizes.min() == 64
    assert 1_000 < sizes.max() <= 1_024
    assert (sizes < 256).mean() == pytest.approx(0.5, abs=0.05)
    assert drawn("graph.fanouts").count((4, 2)) == pytest.approx(1_000, abs=100)


def test_numbers_can_be_typed() -> None:
    for value in drawn("train.learning_rate", 50):
        assert float(f"{value:.4g}") == value


def test_a_draw_hangs_on_its_seed_its_number_and_its_field_alone() -> None:
    first = draw(SPACE, seed=0, trial=5)
    turned = dict(reversed(SPACE.items()))
    assert draw(turned, seed=0, trial=5) == first
    for name in SPACE:
        alone = draw({name: SPACE[name]}, seed=0, trial=5)
        assert alone == {name: first[name]}
    assert draw(SPACE, seed=1, trial=5) != first
    assert draw(SPACE, seed=0, trial=6) != first
    # Two fields of one range are not drawn alike.
    pair = draw(
        {"train.l2": (0.1, 0.5, "log"), "fusion.anchor": (0.1, 0.5, "log")},
        seed=0,
        trial=0,
    )
    assert pair["train.l2"] != pair["fusion.anchor"]


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "space: expected a field with something to choose, got none"),
        ({"train.l2": (0.1,)}, "space: expected a field with something to choose"),
        ({"train.l3": (1, 2)}, "space: train.l3: .* got another one; .*train.l2"),
        ({"data.split": ("random", "temporal")}, "space: data.split: expected a field"),
        ({"seed": (0, 1)}, "space: seed: expected a field of graph, text, fusion"),
        ({"train": (0, 1)}, "space: train: expected a field"),
        ({"train.l2": (0.1, 0.1)}, "space: train.l2: expected different choices"),
        ({"train.l2": (), "train.steps": (1, 2)}, "train.l2: expected choices, got no"),
        ({"train.steps": (1, 2.5)}, "train.steps: expected a whole number, got 2.5"),
        ({"train.loss": ("bpr", "mse")}, "space: train.loss: expected .*, got 'mse'"),
        ({"train.l2": (0.0, 1.0, "log")}, "train.l2: expected a range above 0 for log"),
        ({"train.l2": (1.0, 0.1, "log")}, "train.l2: expected a range from low to hi"),
        ({"train.l2": (0.0, math.inf, "uniform")}, "expected a range from low to high"),
        ({"train.steps": (1, 2.5, "log")}, "expected choices, or a range of whole"),
        ({"train.loss": (1, 2, "log")}, "train.loss: expected choices, got"),
        ({"train.l2": ("a", 2, "log")}, "train.l2: expected choices, or a range of nu"),
    ],
)
def test_spaces_that_are_refused(space: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        checked_space(space)
    assert "\n" not in str(caught.value)


def test_a_file(tmp_path: Path) -> None:
    file = tmp_path / "space.toml"
    file.write_text(
        """
        "train.l2" = [1e-4, 1, "log"]

        [graph]
        num_layers = [1, 2]
        filter = "none"
        fanouts = [[], [3]]
        """,
        "utf-8",
    )
    assert checked_space(read_space(file)) == {
        "graph.fanouts": ((), (3,)),
        "graph.filter": ("none",),
        "graph.num_layers": (1, 2),
        "train.l2": (1e-4, 1.0, "log"),
    }
    file.write_text("train.l2 = [", "utf-8")
    with pytest.raises(UserError, match=r"space.toml: expected a TOML file, got"):
        read_space(file)
    with pytest.raises(UserError, match="expected a TOML file, got No such file"):
        read_space(tmp_path / "none.toml")


@pytest.mark.parametrize("name", SPACES)
def test_named_spaces(name: str) -> None:
    """Each makes configurations, and all that it draws is read."""
    named = SPACES[name]
    base = Config(recipe="any", models=(named.model,))
    for trial in range(20):
        config = replace(base, **draw(named.space, seed=0, trial=trial))
        assert not set(named.space) & set(unused_fields(config)) - {"graph.init_scale"}


def test_baselines_are_what_they_are_called() -> None:
    made = {
        name: replace(
            Config(recipe="any", models=(SPACES[name].model,)),
            **draw(SPACES[name].space, seed=0, trial=0),
        )
        for name in BASELINES
    }
    assert made["bpr_mf"].graph.num_layers == 0
    for name in ("bpr_mf", "lightgcn"):
        one = made[name]
        assert (one.train.loss, one.train.negatives) == ("bpr", "uniform")
        assert (one.graph.filter, one.graph.init) == ("none", "normal")
    assert SPACES["lightgcn"].space["graph.num_layers"] == (1, 2, 3, 4)
    assert made["two_tower"].models == ("text",)
    assert made["two_tower"].text.towers == "two"
    # As much is searched for each.
    free = {
        name: sum(is_range(of) or len(of) > 1 for of in SPACES[name].space.values())
        for name in BASELINES
    }
    assert max(free.values()) - min(free.values()) <= 2


def test_what_lies_at_an_edge() -> None:
    space = {
        "a": (1e-3, 1e-1, "log"),
        "b": (1e-3, 1e-1, "log"),
        "c": (0.0, 1.0, "uniform"),
        "d": (1, 2, 4),
        "e": (1, 2),
        "f": ("x", "y", "z"),
    }
    chosen = {"a": 1.1e-3, "b": 1e-2, "c": 0.96, "d": 4, "e": 2, "f": "x"}
    budget = search_budget(space, chosen, trials=7, metric="ndcg@10", value=0.5)
    assert budget == {
        "trials": 7,
        "grid": {name: list(values) for name, values in space.items()},
        "chosen": chosen,
        "chosen_by": "valid ndcg@10",
        "value": 0.5,
        "at_edge": ["a", "c", "d"],
    }
