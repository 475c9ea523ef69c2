"""The task rating: a step by hand, which way is better, whole runs, what is refused."""

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.config import Config, replace
from llmgnn_jax.data import catalog
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.contract import check_results
from llmgnn_jax.models.recommender import ModelSpec
from llmgnn_jax.serving.recommender import NewItem, Recommender
from llmgnn_jax.training import rating
from llmgnn_jax.training.draws import draw_examples
from llmgnn_jax.training.loop import train_model
from llmgnn_jax.training.prepare import Prepared
from llmgnn_jax.training.program import Program
from llmgnn_jax.training.rating_data import held_out_ratings, rating_data
from llmgnn_jax.training.rating_step import rating_loss
from llmgnn_jax.training.run import evaluate, fit
from llmgnn_jax.training.trained import Setup, set_up
from llmgnn_jax.training.trainees import place_trainee

pytestmark = pytest.mark.usefixtures("workplace")

RATING = {"task": "rating", "evaluation.metric": "rmse"}
NOISE = 0.3


@pytest.fixture(scope="module")
def config(tiny_config: Config) -> Config:
    return replace(tiny_config, **RATING, **{"rating.bias_l2": 0.01, "train.l2": 0.01})


def planted(*, seed: int = 0, users: int = 60, items: int = 40) -> Dataset:
    """mu + b_u + b_i + what three kinds of users think of three kinds of films.

    A user has no bias but its kind's opinion; texts name the kind of a film.
    """
    rng = np.random.default_rng(seed)
    pairs = rng.permutation(users * items)[: users * items * 6 // 10]
    who, what = np.divmod(pairs, items)
    opinions = np.array([[1.2, -0.8, -0.4], [-0.4, 1.2, -0.8], [-0.8, -0.4, 1.2]])
    values = 3.0 + opinions[who % 3, what % 3]
    values += 0.5 * rng.normal(size=users)[who] + 0.4 * rng.normal(size=items)[what]
    values += NOISE * rng.normal(size=len(who))
    kinds = ("space robots", "country cooking", "bank heist")
    titles = tuple(f"Film {number}" for number in range(items))
    return Dataset(
        name="planted",
        user_ids=tuple(f"u{number}" for number in range(users)),
        item_ids=tuple(f"i{number}" for number in range(items)),
        users=who,
        items=what,
        values=values,
        timestamps=np.arange(len(who)),
        item_titles=titles,
        item_texts=tuple(kinds[number % 3] for number in range(items)),
    )


@pytest.fixture
def planted_data(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Whatever source a run names."""
    made = planted()
    monkeypatch.setattr(catalog, "load", lambda source, **_: made)
    return made


# A step


def made(small: Any, sides: str, **changes: Any) -> tuple[Prepared, Setup]:
    changes = {"fusion.modality_dropout": 0.0, "rating.bias_l2": 0.2, **changes}
    prepared = small(sides, **RATING, **changes).prepared
    setup = set_up(sides, prepared)
    # Biases and null vectors start at 0, where little could go wrong.
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: leaf + 0.1 * jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype),
        setup.snapshot.state.params,
    )
    state = dataclasses.replace(setup.snapshot.state, params=params)
    snapshot = dataclasses.replace(setup.snapshot, state=state)
    return prepared, dataclasses.replace(setup, snapshot=snapshot)


class Reference:
    """The loss of a step in float64 by loops; nothing is dropped."""

    def __init__(self, prepared: Prepared, spec: ModelSpec, *, step: int) -> None:
        self.prepared, self.spec = prepared, spec
        config = prepared.config
        data = rating_data(prepared)
        example_key, _ = jax.random.split(jax.random.key(config.seed))
        examples = np.asarray(
            draw_examples(
                example_key,
                jnp.int32(step),
                jnp.arange(config.train.batch_size),
                num_examples=data.num_examples,
                batch=config.train.batch_size,
            )
        )
        self.rows = [
            (int(data.users_E[e]), int(data.items_E[e]), float(data.values_E[e]))
            for e in examples
        ]
        history = prepared.history
        self.history = [
            set(history.row(user).tolist()) for user in range(history.num_rows)
        ]
        graph = prepared.graph
        self.matrix = np.zeros((graph.num_nodes, graph.num_nodes))
        for user, items in enumerate(self.history):
            for item in items:
                likers = sum(item in other for other in self.history)
                weight = (len(items) * likers) ** -0.5
                node = graph.user_capacity + item
                self.matrix[user, node] = self.matrix[node, user] = weight
        text = prepared.features.text
        assert text is not None
        self.texts = np.asarray(text.item_IT, np.float64)

    def vector(self, params: Any, graph: Any, text: Any) -> np.ndarray:
        if self.spec.sides == "graph":
            return graph
        projected = text @ params["text_projection"]
        if self.spec.sides == "text":
            return projected
        fusion = params["fusion"]
        both = np.concatenate([graph, projected])
        hidden = both @ fusion["kernel"] + fusion["bias"]
        hidden = np.where(hidden > 0, hidden, 0.2 * hidden)
        return hidden @ fusion["output_kernel"] + fusion["output_bias"]

    def __call__(self, params: Any) -> float:
        config, spec = self.prepared.config, self.spec
        mean = float(np.mean(self.prepared.train.values, dtype=np.float64))
        nodes = ego = None
        if spec.uses_graph:
            ego = params["node_embedding"]
            once = self.matrix @ ego
            nodes = (ego + once + self.matrix @ once) / 3
        total = 0.0
        for user, item, value in self.rows:
            node = spec.user_capacity + item
            others = sorted(self.history[user] - {item})
            said = self.texts[others].sum(axis=0)
            said = said / np.linalg.norm(said)
            user_D = self.vector(params, None if nodes is None else nodes[user], said)
            item_D = self.vector(
                params, None if nodes is None else nodes[node], self.texts[item]
            )
            biases = params["user_bias"][user], params["item_bias"][item]
            total += (value - mean - sum(biases) - user_D @ item_D) ** 2
            total += 0.5 * config.rating.bias_l2 * (biases[0] ** 2 + biases[1] ** 2)
            if ego is not None:
                rows = ego[user] @ ego[user] + ego[node] @ ego[node]
                total += 0.5 * config.train.l2 * rows
        loss = total / len(self.rows)
        if spec.sides == "fused":
            start = self.start
            loss += config.fusion.anchor * sum(
                np.sum((params["fusion"][name] - start[name]) ** 2) for name in start
            )
        return float(loss)

    @property
    def start(self) -> dict[str, np.ndarray]:
        _, setup = self.prepared, set_up(self.spec.sides, self.prepared)
        first = setup.snapshot.state.params["fusion"]
        return {name: np.asarray(value, np.float64) for name, value in first.items()}


@pytest.mark.parametrize("sides", ["graph", "text", "fused"])
def test_loss_and_gradient_are_those_of_the_formula(small: Any, sides: Any) -> None:
    prepared, setup = made(small, sides)
    state = setup.snapshot.state
    data = dataclasses.replace(rating_data(prepared), features=prepared.features)
    reference = Reference(prepared, setup.spec, step=3)

    def loss(params: Any) -> jax.Array:
        return rating_loss(
            params,
            setup.definition,  # type: ignore[arg-type]
            data,
            key=jax.random.wrap_key_data(state.key_data),
            step=jnp.int32(3),
            config=prepared.config,
        )[0]

    value, gradient = jax.value_and_grad(loss)(state.params)
    exact = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), state.params)
    assert float(value) == pytest.approx(reference(exact), rel=1e-5)
    rng = np.random.default_rng(1)
    for _ in range(3):
        way = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), exact)
        ends = [
            reference(jax.tree.map(lambda p, w: p + by * w, exact, way))  # noqa: B023
            for by in (1e-5, -1e-5)
        ]
        along = sum(
            float(np.sum(np.asarray(g, np.float64) * w))
            for g, w in zip(
                jax.tree.leaves(gradient), jax.tree.leaves(way), strict=True
            )
        )
        assert along == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-3, abs=1e-4)


def test_parts_of_a_batch_are_the_batch(small: Any) -> None:
    prepared, setup = made(small, "fused")
    data = dataclasses.replace(rating_data(prepared), features=prepared.features)

    def loss(**part: Any) -> float:
        config = prepared.config
        if part:
            config = replace(config, **{"train.accumulate": 4})
        found, _ = rating_loss(
            setup.snapshot.state.params,
            setup.definition,  # type: ignore[arg-type]
            data,
            key=jax.random.key(0),
            step=jnp.int32(0),
            config=config,
            **part,
        )
        return float(found)

    parts = [loss(part=jnp.int32(number)) for number in range(4)]
    assert np.mean(parts) == pytest.approx(loss(), rel=1e-5)


def test_what_steps_read_does_not_depend_on_numbers(small: Any) -> None:
    prepared, _ = made(small, "graph")
    data = rating_data(prepared)
    split, rows = prepared.split, prepared.split.train
    assert data.num_examples == len(rows)
    held = sorted(
        zip(*map(np.asarray, (data.users_E, data.items_E, data.values_E)), strict=True)
    )
    kept = split.dataset
    assert held == sorted(
        zip(kept.users[rows], kept.items[rows], kept.values[rows], strict=True)
    )
    order = np.random.default_rng(0).permutation(kept.num_users)
    again = kept.taken(
        rows=np.arange(kept.num_interactions),
        users=order,
        items=np.arange(kept.num_items),
    )
    other = dataclasses.replace(
        prepared,
        dataset=again,
        split=dataclasses.replace(split, dataset=again),
        train=dataclasses.replace(split, dataset=again).training(),
    )
    named = np.asarray(rating_data(other).users_E)
    np.testing.assert_array_equal(order[named], np.asarray(data.users_E))


def test_a_pair_that_was_seen_is_not_asked_for(small: Any) -> None:
    prepared, _ = made(small, "graph")
    data, split = prepared.dataset, prepared.split
    # The first test row repeats a train pair, the second one another test pair.
    users, items = data.users.copy(), data.items.copy()
    first, second, third = split.test[:3]
    users[first], items[first] = users[split.train[0]], items[split.train[0]]
    users[second], items[second] = users[third], items[third]
    changed = dataclasses.replace(data, users=users, items=items)
    prepared = dataclasses.replace(
        prepared, dataset=changed, split=dataclasses.replace(split, dataset=changed)
    )
    asked = held_out_ratings(prepared, "test")
    assert len(asked) == len(split.test) - 1
    both = (asked.users == users[third]) & (asked.items == items[third])
    assert both.sum() == 2


# The loop


@pytest.fixture
def scripted(small: Any, tmp_path: Path) -> Any:
    """(rmse of each validation, fields) -> how training ended."""

    def run(values: list[float], **changes: Any) -> Any:
        prepared, setup = made(
            small,
            "graph",
            **{
                "train.steps": 10 * len(values),
                "train.validate_every": 10,
                "train.patience": 2,
                **changes,
            },
        )
        found = iter(values)
        trainee = place_trainee(
            "graph",
            prepared,
            setup,
            data=rating_data(prepared),
            of_batch=rating_loss,
            judged=lambda *_: {"rmse": next(found), "mae": 0.0},
        )
        return train_model(trainee, prepared.config, folder=tmp_path)

    return run


def test_the_lowest_error_is_the_best(scripted: Any) -> None:
    end = scripted([1.2, 1.0, 1.1, 1.05, 0.5])
    # Two worse ones after the second: the last was never reached.
    assert int(end.state.step) == 40
    assert end.progress.best_step == 20
    assert end.progress.best_value == -1.0
    changed = jax.tree.map(
        lambda a, b: bool(np.any(a != b)), end.best_params, end.state.params
    )
    assert any(jax.tree.leaves(changed))


def test_errors_that_fall_are_trained_on(scripted: Any) -> None:
    end = scripted([1.2, 1.1, 1.0, 0.9])
    assert int(end.state.step) == 40
    assert end.progress.best_step == 40


def test_what_is_said_is_the_error_itself(
    scripted: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    scripted([1.2, 1.0, 1.1])
    assert "best valid rmse 1.0000 at 20" in capsys.readouterr().err


def test_a_run_compiles_its_step_once(
    small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs: list[Program] = []
    build = rating.place_trainee

    def kept(*arguments: Any, **options: Any) -> Any:
        made = build(*arguments, **options)
        programs.append(made.program)
        return made

    monkeypatch.setattr(rating, "place_trainee", kept)
    prepared, _ = made(
        small,
        "fused",
        **{"train.steps": 11, "train.validate_every": 3, "train.checkpoint_every": 5},
    )
    rating.fit_model("fused", prepared, folder=tmp_path)
    (program,) = programs
    assert program._cache_size() == 1  # type: ignore[attr-defined]


# Whole runs


def test_planted_ratings_are_recovered(config: Config, planted_data: Dataset) -> None:
    run = fit(
        replace(
            config,
            **{
                "models": ("graph", "fused"),
                "graph.num_layers": 1,
                "graph.embedding_dim": 8,
                "train.batch_size": 256,
                "train.learning_rate": 0.01,
                "train.half_life": 400,
                "train.l2": 0.02,
                "train.steps": 1200,
                "train.steps_per_call": 40,
                "train.checkpoint_every": 1200,
            },
        ),
        out="run",
    )
    assert run.results is not None
    check_results(run.results)
    quality = {name: row["test"] for name, row in run.results["models"].items()}
    # The noise is what nobody can foresee.
    assert NOISE * 0.85 < quality["graph"]["rmse"] < NOISE * 1.35
    assert NOISE * 0.85 < quality["fused"]["rmse"] < NOISE * 1.35
    assert quality["user_item_bias"]["rmse"] > 2.5 * NOISE
    assert quality["global_mean"]["rmse"] > quality["user_item_bias"]["rmse"]
    assert list(quality["fused"]) == ["rmse", "mae"]
    low, high = run.results["models"]["fused"]["ci95"]["rmse"]
    assert low < quality["fused"]["rmse"] < high
    beside = {one["b"]: one for one in run.results["comparisons"]}
    assert beside["user_item_bias"]["metric"] == "mse"
    assert beside["user_item_bias"]["delta"] < 0
    assert beside["user_item_bias"]["p"] < 0.01
    protocol = run.results["protocol"]
    assert (protocol["task"], protocol["k"]) == ("rating", [])


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory, cache_folder: Path, config: Config
) -> Path:
    """Not to be written to."""
    folder = tmp_path_factory.mktemp("rated") / "run"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("LLMGNN_CACHE", str(cache_folder))
        fit(config, out=folder, command="llmgnn train tiny")
    return folder


def test_best_is_lowest_in_the_report(run: Path) -> None:
    results = json.loads((run / "results.json").read_text("utf-8"))
    best = min(
        results["models"], key=lambda name: results["models"][name]["test"]["rmse"]
    )
    page = (run / "report.html").read_text("utf-8")
    bold = re.findall(r'<td class="best">([0-9.]+)</td>', page)
    for part, metric in (("valid", "rmse"), ("test", "rmse"), ("test", "mae")):
        lowest = min(row[part][metric] for row in results["models"].values())
        assert f"{lowest:.4f}" in bold
    words = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert re.search(rf"{best} (is best|has the lowest rmse) on test: ", words)
    # The first row of the table is the best one.
    assert re.search(rf"seconds {best}\b", words)
    assert "below 0 where the first is better" in words


def test_evaluate_measures_the_same(run: Path, llmgnn: Any, tmp_path: Path) -> None:
    before = json.loads((run / "results.json").read_text("utf-8"))
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    code, out, _ = llmgnn("evaluate", copy)
    assert code == 0
    assert re.search(r"model +rmse +rmse +mae +seconds", out)
    after = json.loads((copy / "results.json").read_text("utf-8"))
    for name, row in before["models"].items():
        assert after["models"][name]["test"] == row["test"]
        assert after["models"][name]["valid"] == row["valid"]
    assert evaluate(copy).results is not None


def test_a_resumed_run_repeats_an_uninterrupted_one(config: Config) -> None:
    changed = replace(
        config,
        **{
            "models": ("fused",),
            "train.steps": 12,
            "train.validate_every": 4,
            "train.checkpoint_every": 6,
            "evaluation.baselines": False,
        },
    )
    fit(changed, out="whole")
    fit(replace(changed, **{"train.steps": 6}), out="parts")
    fit(changed, out="parts", resume=True)

    def logged(folder: str) -> list[Any]:
        lines = Path(folder, "metrics.jsonl").read_text("utf-8").splitlines()
        kept = ("step", "loss", "gradient_norm", "valid")
        return [
            {key: one[key] for key in kept if key in one}
            for one in map(json.loads, lines)
        ]

    assert logged("whole")[-5:] == logged("parts")[-5:]
    one, other = (
        json.loads(Path(folder, "results.json").read_text("utf-8"))["models"]["fused"]
        for folder in ("whole", "parts")
    )
    assert one["test"] == other["test"]
    assert one["budget"] == other["budget"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"graph.layer": "gcn"},
        {"graph.num_layers": 0},
        {"graph.fanouts": (3, 2)},
        {"text.mode": "full", "text.texts_per_step": 20},
        {"data.split": "temporal"},
        {"data.split": "cold_items", "data.cold_share": 0.2},
        {"data.split": "cold_users"},
        {"fusion.kind": "gate", "fusion.alignment": 0.1},
        {"graph.contrast": 0.1, "graph.text_pull": 0.1},
        {"train.accumulate": 2, "train.table_optimizer": "rowwise_adagrad"},
        {"evaluation.metric": "mae"},
        {"graph.init": "text"},
    ],
    ids=lambda changes: ",".join(changes),
)
def test_every_way_to_train_gives_a_whole_run(config: Config, changes: Any) -> None:
    short = {"train.steps": 4, "train.checkpoint_every": 4, "train.validate_every": 2}
    results = fit(replace(config, **short, **changes), out="run").results
    assert results is not None
    check_results(results)
    for name in ("graph", "text", "fused"):
        assert 0.5 < results["models"][name]["test"]["rmse"] < 3
    Recommender.load("run").predict(user="u1", item="i1")


def test_without_a_validation_part(config: Config) -> None:
    short = {"train.steps": 4, "train.checkpoint_every": 4}
    cold = {"data.split": "cold_items", "data.valid_share": 0.0}
    results = fit(
        replace(config, **short, **cold, models=("graph",)), out="run"
    ).results
    assert results is not None
    assert results["models"]["graph"]["valid"] == {}
    assert list(results["models"]) == ["global_mean", "graph"]


# Whoever is new


def test_what_nobody_rated_has_the_user_s_bias_alone(
    config: Config, planted_data: Dataset
) -> None:
    short = {"train.steps": 40, "train.checkpoint_every": 40, "models": ("graph",)}
    cold = {"data.split": "cold_items", "data.cold_share": 0.2}
    fit(replace(config, **short, **cold), out="run")
    recommender = Recommender.load("run")
    params = recommender._model.params
    mean = float(np.mean(recommender._prepared.train.values, dtype=np.float64))
    hidden = np.flatnonzero(recommender._prepared.split.hidden_items())
    assert len(hidden)
    for user in ("u0", "u7"):
        slot = planted_data.user_ids.index(user)
        for item in hidden[:3]:
            found = recommender.predict(user=user, item=planted_data.item_ids[item])
            bias = float(params["user_bias"][slot])
            assert bias != 0.0
            assert found.rating == pytest.approx(mean + bias, abs=1e-5)


# Serving


def test_a_prediction_is_clipped_and_is_what_was_measured(run: Path) -> None:
    recommender = Recommender.load(run)
    prepared = recommender._prepared
    pairs = held_out_ratings(prepared, "test")
    data = prepared.dataset
    errors = [
        recommender.predict(user=data.user_ids[user], item=data.item_ids[item]).rating
        - value
        for user, item, value in zip(
            pairs.users, pairs.items, pairs.values, strict=True
        )
    ]
    results = json.loads((run / "results.json").read_text("utf-8"))
    expected = results["models"]["fused"]["test"]
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(
        expected["rmse"], rel=1e-6
    )
    assert np.mean(np.abs(errors)) == pytest.approx(expected["mae"], rel=1e-6)
    values = prepared.train.values
    shelf = recommender._shelf
    vectors = shelf.users_UD[: data.num_users] @ shelf.items_ID[: data.num_items].T
    user, item = np.unravel_index(vectors.argmax(), vectors.shape)
    assert vectors[user, item] > values.max()
    top = recommender.predict(user=data.user_ids[user], item=data.item_ids[item])
    assert top.rating == values.max()


def test_lists_are_by_predicted_rating(run: Path) -> None:
    recommender = Recommender.load(run)
    found = recommender.recommend(user="u1", k=5)
    lowest, highest = 1.0, 5.0
    for one in found:
        rating_ = recommender.predict(user="u1", item=one.id).rating
        assert rating_ == pytest.approx(min(max(one.score, lowest), highest), abs=1e-4)
    assert [one.score for one in found] == sorted(
        (one.score for one in found), reverse=True
    )
    # Someone new: mu, the items' biases, and what they like.
    newcomer = recommender.recommend(items=["i1", "i5"], k=3)
    assert all(0.0 < one.score < 7.0 for one in newcomer)
    assert all(
        0.0 < one.score < 7.0 for one in recommender.recommend(text="a bank heist")
    )
    recommender.add_items([NewItem(id="n1", text="bank heist: vault.", users=["u2"])])
    added = recommender.predict(user="u1", item="n1")
    assert 1.0 <= added.rating <= 5.0


def test_predict_on_the_command_line(run: Path, llmgnn: Any) -> None:
    code, out, _ = llmgnn(
        "predict", run, "--user", "u1", "--item", "i7", "--item", "i9"
    )
    assert code == 0
    lines = [line.split(maxsplit=2) for line in out.splitlines()]
    assert [line[1] for line in lines] == ["i7", "i9"]
    code, out, _ = llmgnn(
        *("predict", run, "--user", "u1", "--item", "i7", "--json", "--model", "graph")
    )
    assert code == 0
    document = json.loads(out)
    (found,) = document["ratings"]
    assert set(found) == {"id", "title", "rating"}
    assert 1.0 <= found["rating"] <= 5.0
    assert document["model"] == "graph"
    assert document["query"] == {"user": "u1", "items": ["i7"]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--user", "nobody", "--item", "i1"], "user 'nobody': expected a user of"),
        (["--user", "u1", "--item", "zzz"], "item 'zzz': expected an item's id or"),
        (["--user", "u1"], "the following arguments are required: --item"),
        (["--user", "u1", "--item", "i1", "--model", "x"], "argument --model: invalid"),
    ],
)
def test_what_cannot_be_predicted(
    run: Path, refused: Any, arguments: list[str], message: str
) -> None:
    assert message in refused("predict", run, *arguments)


def test_a_run_that_ranks_predicts_nothing(finished_run: Path, refused: Any) -> None:
    said = refused("predict", finished_run, "--user", "u1", "--item", "i1")
    assert said.startswith(
        "predict: expected a run of the task rating, got one of the task ranking"
    )


# What does not hold together


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.min_value": 4.0}, "data.min_value: expected None in the task rating"),
        ({"graph.filter": "item_item"}, "graph.filter: expected none in the task rat"),
        ({"evaluation.metric": "ndcg@10"}, "evaluation.metric: .* rmse, mae, got 'ndc"),
        ({"rating.bias_l2": -1.0}, "rating.bias_l2: expected 0 or a number above"),
        ({"task": "ranking"}, "evaluation.metric: expected one of recall"),
    ],
)
def test_configurations_that_are_refused(
    config: Config, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=f"^{message}") as caught:
        replace(config, **changes)
    assert "\n" not in str(caught.value)


def test_options_of_ranking_may_say_anything(config: Config) -> None:
    """They are not read, and whoever sets them is told so."""
    changed = replace(config, **{"train.loss": "bpr", "train.negatives": "all"})
    assert changed.train.loss == "bpr"


def test_values_that_are_all_alike(config: Config, planted_data: Dataset) -> None:
    same = dataclasses.replace(planted_data, values=np.ones(len(planted_data.users)))
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(catalog, "load", lambda source, **_: same)
        with pytest.raises(UserError, match="task: expected ranking, for data whose"):
            fit(config, out="run")
    assert not Path("run").exists()


def test_the_step_knows_no_held_out_rating(small: Any) -> None:
    """What steps read is made from the train part alone."""
    prepared, setup = made(small, "fused")
    data, split = prepared.dataset, prepared.split
    values = data.values.copy()
    values[np.concatenate([split.valid, split.test])] = 1e6
    changed = dataclasses.replace(data, values=values)
    again = dataclasses.replace(split, dataset=changed)
    other = dataclasses.replace(
        prepared, dataset=changed, split=again, train=again.training()
    )
    one, two = rating_data(prepared), rating_data(other)
    assert float(jnp.max(two.values_E)) <= 5.0
    assert sorted(np.asarray(one.values_E)) == sorted(np.asarray(two.values_E))
    assert set_up("fused", other).definition == setup.definition
