"""Nothing of the test part reaches what is tuned, whatever it says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmgnn_jax.config import Config, ModelName, replace
from llmgnn_jax.data.splits import NoTestPart, Split
from llmgnn_jax.evaluation.baselines import tuned_baselines
from llmgnn_jax.training.measure import measure
from llmgnn_jax.training.prepare import Prepared, prepare_split
from llmgnn_jax.tuning import search

pytestmark = pytest.mark.usefixtures("workplace")

Both = Callable[[], tuple[Split, Split]]

SPACE = {"train.learning_rate": (1e-2, 1e-1, "log")}


# With the filter, the first vectors and the texts, all that reads the train part.
EVERYTHING = {"graph.filter": "item_item", "graph.init": "spectral"}


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ("graph", {}),
        pytest.param("text", {}, marks=pytest.mark.slow),
        pytest.param("fused", EVERYTHING, marks=pytest.mark.slow),
    ],
)
def test_trained_models_are_tuned_alike_whatever_test_says(
    config: Config,
    both: Both,
    tiny_encoder: Path,
    tmp_path: Path,
    model: ModelName,
    changes: dict[str, str],
) -> None:
    config = replace(
        config,
        **{"parallel.groups": 1, "text.encoder": str(tiny_encoder), **changes},
    )
    found = []
    for number, split in enumerate(both()):
        found.append(
            search(
                config,
                space=SPACE,
                model=model,
                trials=2,
                split=split.without_test(),
                file=tmp_path / f"{number}.jsonl",
            )
        )
    first, second = found
    assert [one.value for one in first.trials] == [one.value for one in second.trials]
    assert first.best.trial == second.best.trial
    assert first.config == second.config
    # It is even the same search: the one may go on with the other's trials.
    headers = [
        (tmp_path / f"{number}.jsonl").read_text("utf-8").splitlines()[0]
        for number in range(2)
    ]
    assert headers[0] == headers[1]


def test_baselines_are_tuned_alike_whatever_test_says(
    config: Config, both: Both, tiny_encoder: Path
) -> None:
    changes = {"parallel.groups": 1, "text.encoder": str(tiny_encoder)}
    budgets = []
    for split in both():
        prepared = prepare_split(
            replace(config, models=("text",), **changes), split.without_test()
        )
        text = prepared.features.text
        assert text is not None
        found = tuned_baselines(
            prepared.history,
            prepared.on_valid.positives,
            num_items=split.dataset.num_items,
            item_vectors=np.asarray(text.item_IT)[: split.dataset.num_items],
            grids={
                "item_knn": {"neighbours": (5, 20), "shrink": (0.0, 10.0)},
                "ease": {"l2": (10.0, 100.0, 1_000.0)},
                "gf_cf": {"rank": (4, 8), "ideal_weight": (0.3,)},
                "text_knn": {"neighbours": (5, 20), "centred": (1.0,)},
            },
        )
        budgets.append({name: one.budget for name, one in found.items()})
    assert len(budgets[0]) == 5
    assert budgets[0] == budgets[1]


def test_from_the_files_on(config: Config, workplace: Path) -> None:
    """The same from two folders that differ in their test files alone."""
    rng = np.random.default_rng(0)
    draws = [rng.permutation(30)[:12].tolist() for _ in range(40)]
    found = []
    for name, turn in (("one", 0), ("other", 5)):
        folder = workplace / name / "data"
        folder.mkdir(parents=True)
        for file, rows in (
            ("train.txt", [row[:9] for row in draws]),
            ("test.txt", [row[9:] for row in np.roll(draws, turn, axis=0).tolist()]),
        ):
            text = [
                f"{user} {' '.join(map(str, row))}" for user, row in enumerate(rows)
            ]
            (folder / file).write_text("\n".join(text) + "\n", "utf-8")
        source = {"data.source": str(folder), "data.split": "published"}
        found.append(
            search(replace(config, **source), space=SPACE, model="graph", trials=1)
        )
    assert found[0].trials[0].value == found[1].trials[0].value
    tests = [
        (workplace / name / "data" / "test.txt").read_text("utf-8")
        for name in ("one", "other")
    ]
    assert tests[0] != tests[1]


def test_a_trial_that_asks_for_test_fails(
    config: Config, both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Callable[[Prepared], Any]] = [
        lambda prepared: prepared.split.held_out("test"),
        lambda prepared: prepared.split.seen("test"),
        lambda prepared: measure(prepared, [], command="none"),
    ]
    for ask in asked:

        def reads_test(_: str, prepared: Prepared, ask: Any = ask) -> None:
            ask(prepared)

        monkeypatch.setattr("llmgnn_jax.tuning.random_search.set_up", reads_test)
        with pytest.raises(NoTestPart, match="tuning reads valid"):
            search(config, space=SPACE, model="graph", trials=1)
