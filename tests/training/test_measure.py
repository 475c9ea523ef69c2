"""What a run is judged by: every number again by hand, the test part read once."""

import dataclasses
import json

import numpy as np
import pytest

from llmgnn_jax.config import replace
from llmgnn_jax.data.catalog import load
from llmgnn_jax.data.splits import Split, split_by_rule
from llmgnn_jax.evaluation.baselines import GRIDS
from llmgnn_jax.evaluation.contract import check_results
from llmgnn_jax.evaluation.metrics import evaluate_rankings
from llmgnn_jax.evaluation.question import question_of
from llmgnn_jax.models.newcomers import fold_in_users
from llmgnn_jax.training import ranking
from llmgnn_jax.training.examples import examples_of
from llmgnn_jax.training.lists import model_vectors, rank_vectors
from llmgnn_jax.training.measure import MASKING
from llmgnn_jax.training.paths import measure_paths
from llmgnn_jax.training.prepare import prepare
from llmgnn_jax.training.run import fit
from llmgnn_jax.training.trained import load_trained

pytestmark = pytest.mark.usefixtures("workplace")


@pytest.fixture(scope="module")
def results(finished_run):
    return json.loads((finished_run / "results.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def split(films):
    return split_by_rule(load(films), rule="random", seed=0)


def judged(scores, split, *, part, users=None):
    """Metrics from a (users, items) matrix: what was seen is masked, then sorted."""
    seen = split.seen(part)
    masked = np.array(scores, np.float64)
    for user in range(len(masked)):
        masked[user, seen.row(user)] = -np.inf
    order = np.argsort(-masked, axis=1, kind="stable")[:, :10]
    known = np.isfinite(np.take_along_axis(masked, order, axis=1))
    return evaluate_rankings(
        np.where(known, order, -1),
        np.arange(len(masked)),
        split.held_out(part),
        ks=(5, 10),
        num_items=masked.shape[1],
    ).mean


def test_the_document_keeps_the_contract(results, split):
    check_results(results)
    assert list(results["models"]) == [
        "popularity",
        *GRIDS,
        "graph",
        "text",
        "fused",
    ]
    protocol = results["protocol"]
    assert protocol["dataset"] == "films"
    assert protocol["masking"] == MASKING == "train+valid"
    assert protocol["k"] == [5, 10]
    assert protocol["split_hash"] == split.split_hash
    assert protocol["fingerprint"] == split.fingerprint(
        masking="train+valid", metric="ndcg@10"
    )
    assert results["command"] == "llmgnn train tiny"
    for name in ("popularity", *GRIDS):
        assert results["models"][name]["baseline"]
    for name in ("graph", "text", "fused"):
        model = results["models"][name]
        assert not model["baseline"]
        assert model["seconds"] > 0
        assert model["budget"]["steps"] == 130
        assert model["budget"]["batch_size"] == 64
        assert 0 < model["valid"]["ndcg@10"] < 1


def test_popularity_is_what_is_counted_by_hand(results, split):
    counts = np.bincount(split.training().items, minlength=split.dataset.num_items)
    scores = np.tile(counts, (split.dataset.num_users, 1))
    for part in ("valid", "test"):
        assert results["models"]["popularity"][part] == pytest.approx(
            judged(scores, split, part=part)
        )


@pytest.fixture(scope="module")
def prepared(tiny_config, cache_folder):
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("LLMGNN_CACHE", str(cache_folder))
        return prepare(tiny_config)


def dot_products(users, items):
    """Pair by pair: a BLAS may round films of one text apart, by where they stand."""
    pairs = users.astype(np.float64)[:, None, :] * items.astype(np.float64)[None]
    return pairs.sum(axis=-1)


@pytest.mark.parametrize("name", ["graph", "text", "fused"])
def test_metrics_are_those_of_the_saved_vectors(
    results, split, prepared, finished_run, name
):
    model = load_trained(name, prepared, folder=finished_run)
    users, items = model.scorer.vectors(model.params, prepared.features)
    scores = dot_products(np.asarray(users)[:60], np.asarray(items)[:40])
    for part in ("valid", "test"):
        assert results["models"][name][part] == pytest.approx(
            judged(scores, split, part=part), abs=1e-6
        )


def paths_measured(model, split, prepared):
    """Of a model that need not be the run's last one."""
    on_test = question_of(split, "test")
    known = rank_vectors(*model_vectors(model, prepared), prepared, on_test)
    return measure_paths(model, known, prepared, on_test)


@pytest.mark.parametrize(
    ("name", "profiles", "read"),
    [
        ("graph", None, "trained id vector, propagated"),
        ("text", None, "the text of the history"),
        ("text", "likes art", "the text of the profile, or else of the history"),
    ],
)
def test_the_path_by_id_says_what_the_model_reads(
    split, prepared, finished_run, name, profiles, read
):
    model = load_trained(name, prepared, folder=finished_run)
    if profiles is not None:
        texts = (profiles,) * prepared.train.num_users
        train = dataclasses.replace(prepared.train, user_texts=texts)
        prepared = dataclasses.replace(prepared, train=train)
    paths = paths_measured(model, split, prepared)
    assert paths["user"].description == f"a user of the train part, by id: {read}"


def test_items_without_titles_are_asked_for_by_no_sentence(
    split, prepared, finished_run
):
    model = load_trained("text", prepared, folder=finished_run)
    assert list(paths_measured(model, split, prepared)) == ["user", "text"]
    bare = dataclasses.replace(prepared.dataset, item_titles=("",) * 40)
    nameless = dataclasses.replace(prepared, dataset=bare)
    assert list(paths_measured(model, split, nameless)) == ["user"]


def test_examples_name_items_without_titles_by_their_ids(split, prepared, finished_run):
    model = load_trained("text", prepared, folder=finished_run)
    on_test = question_of(split, "test")
    lists = rank_vectors(*model_vectors(model, prepared), prepared, on_test)
    bare = dataclasses.replace(prepared.dataset, item_titles=("",) * 40)
    nameless = dataclasses.replace(prepared, dataset=bare)
    example = examples_of(
        ["text"],
        {"text": lists},
        nameless,
        on_test.positives,
        explain=lambda user, item: None,
    )[0]
    shown = [one.title for one in example.recommendations["text"]]
    assert len(example.history) == 6
    assert {*example.history, *shown} <= set(bare.item_ids)
    assert not set(example.history) & set(shown)


def test_paths_of_the_last_model_by_hand(results, split, prepared, finished_run):
    paths = results["paths"]
    assert list(paths) == ["user", "items", "text"]
    for path in paths.values():
        assert path["num_users"] == 60
        assert len(path["description"]) > 30
    said = "trained id vector, propagated, and the text of the history"
    assert paths["user"]["description"].endswith(f"by id: {said}")
    assert "newcomers" in paths["items"]["description"]
    assert "sentence" in paths["text"]["description"]
    assert paths["user"]["metrics"] == results["models"]["fused"]["test"]

    model = load_trained("fused", prepared, folder=finished_run)
    items = np.asarray(model.scorer.vectors(model.params, prepared.features)[1])[:40]
    train, titles = split.training(), split.dataset.item_titles
    # One newcomer at a time: none hears of another.
    vectors = np.concatenate(
        [
            fold_in_users(
                model.scorer,
                model.params,
                prepared.features,
                histories=[train.csr().row(user)],
            )
            for user in range(60)
        ]
    )
    assert paths["items"]["metrics"] == pytest.approx(
        judged(vectors @ items.T, split, part="test"), abs=1e-6
    )

    sentences = []
    for user in range(60):
        rows = np.flatnonzero(train.users == user)
        latest = rows[np.argsort(-train.timestamps[rows])][:8]
        sentences.append(", ".join(titles[item] for item in train.items[latest]))
    vectors = model.scorer.text_vectors(
        model.params, prepared.encoder.encode(sentences)
    )
    assert paths["text"]["metrics"] == pytest.approx(
        judged(np.asarray(vectors) @ items.T, split, part="test"), abs=1e-6
    )


def test_examples_show_test_items_as_hits_and_no_user_id(results, split):
    examples = results["examples"]
    assert [example["label"] for example in examples] == ["User A", "User B", "User C"]
    text = json.dumps(examples)
    assert not any(f'"{user}"' in text for user in split.dataset.user_ids)
    test, titles = split.held_out("test"), list(split.dataset.item_titles)
    train = split.training()
    for example in examples:
        assert list(example["recommendations"]) == ["graph", "text", "fused"]
        # Whose they are follows from the history, newest first.
        found = [
            user
            for user in range(60)
            if example["history"]
            == [
                titles[item]
                for item in train.items[
                    np.flatnonzero(train.users == user)[
                        np.argsort(-train.timestamps[train.users == user])
                    ][:6]
                ]
            ]
        ]
        assert len(found) == 1
        targets = {titles[item] for item in test.row(found[0])}
        for items in example["recommendations"].values():
            assert [item["rank"] for item in items] == list(range(1, len(items) + 1))
            assert all(item["hit"] == (item["title"] in targets) for item in items)


def small(config, **changes):
    return replace(
        config, **{"train.steps": 4, "models": ("graph", "text", "fused"), **changes}
    )


def test_the_test_part_is_read_once_and_after_training(tiny_config, monkeypatch):
    events = []
    held_out, seen, fit_model = Split.held_out, Split.seen, ranking.fit_model

    def spy_held_out(self, part):
        events.append(f"held out {part}")
        return held_out(self, part)

    def spy_seen(self, at):
        events.append(f"seen {at}")
        return seen(self, at)

    def spy_fit(name, *arguments, **options):
        events.append(f"train {name}")
        found = fit_model(name, *arguments, **options)
        events.append(f"trained {name}")
        return found

    monkeypatch.setattr(Split, "held_out", spy_held_out)
    monkeypatch.setattr(Split, "seen", spy_seen)
    monkeypatch.setattr(ranking, "fit_model", spy_fit)
    fit(small(tiny_config), out="run")
    assert events.count("held out test") == 1
    assert events.index("held out test") > events.index("trained fused")
    assert "held out valid" in events[: events.index("train graph")]


def test_the_arrays_of_the_test_part_are_not_read_before_training_ends(
    tiny_config, monkeypatch
):
    """Not by another way either: the rows themselves are watched."""
    reads = []
    fit_model = ranking.fit_model
    training = {"over": False}

    def watched(self, name):
        value = object.__getattribute__(self, name)
        if name == "test" and not training["over"]:
            reads.append(name)
        return value

    def spy_fit(name, prepared, **options):
        # From the split on: the split itself has checked that parts do not overlap.
        monkeypatch.setattr(Split, "__getattribute__", watched)
        found = fit_model(name, prepared, **options)
        training["over"] = name == "text"
        return found

    monkeypatch.setattr(ranking, "fit_model", spy_fit)
    fit(small(tiny_config, models=("graph", "text")), out="run")
    assert training["over"]
    assert reads == []


def test_without_baselines_there_are_none(tiny_config):
    config = small(tiny_config, models=("graph",), **{"evaluation.baselines": False})
    results = fit(config, out="run").results
    assert list(results["models"]) == ["graph"]
    check_results(results)


@pytest.mark.parametrize(
    ("models", "paths"),
    [
        (("graph",), ["user", "items"]),
        (("text",), ["user", "text"]),
        (("text", "graph"), ["user", "items"]),
    ],
)
def test_paths_are_those_that_the_last_model_has(tiny_config, models, paths):
    config = small(tiny_config, models=models, **{"evaluation.baselines": False})
    assert list(fit(config, out="run").results["paths"]) == paths


def test_a_second_run_encodes_nothing(tiny_config, workplace):
    config = small(tiny_config, models=("text",), **{"evaluation.baselines": False})
    fit(config, out="first")
    fit(config, out="second")
    lines = (workplace / "second" / "metrics.jsonl").read_text("utf-8").splitlines()
    assert {json.loads(line)["model"] for line in lines} == {"text"}
