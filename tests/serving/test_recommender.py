"""A finished run answers for users, items and texts."""

import shutil

import numpy as np
import pytest

from llmgnn_jax.config import from_json, replace, to_json
from llmgnn_jax.data.catalog import load
from llmgnn_jax.data.splits import split_by_rule
from llmgnn_jax.errors import UserError
from llmgnn_jax.serving.recommender import Recommender

pytestmark = pytest.mark.usefixtures("workplace")


@pytest.fixture(scope="module")
def dataset(films):
    return load(films)


@pytest.fixture(scope="module")
def load_model(finished_run, cache_folder, compiled_once):
    """Model name -> its recommender, loaded once."""
    loaded = {}

    def get(name="fused"):
        if name not in loaded:
            with pytest.MonkeyPatch.context() as monkeypatch:
                monkeypatch.setenv("LLMGNN_CACHE", str(cache_folder))
                loaded[name] = Recommender.load(finished_run, model=name)
        return loaded[name]

    return get


def ids(found):
    return [item.id for item in found]


@pytest.mark.parametrize("name", ["graph", "text", "fused"])
def test_all_that_a_user_has_met_is_left_out_and_nothing_else(
    load_model, dataset, name
):
    recommender = load_model(name)
    assert recommender.model_name == name
    for user in ("u0", "u7", "u59"):
        number = dataset.user_ids.index(user)
        met = {
            dataset.item_ids[item] for item in dataset.items[dataset.users == number]
        }
        found = recommender.recommend(user=user, k=1_000_000_000)
        # Whole interactions, not only the train part; and all of the rest.
        assert set(ids(found)) == set(dataset.item_ids) - met
        assert [item.rank for item in found] == list(range(1, len(found) + 1))
        scores = [item.score for item in found]
        assert scores == sorted(scores, reverse=True)
        assert all(np.isfinite(scores))


def test_items_have_their_titles(load_model, dataset):
    found = load_model().recommend(user="u3", k=40)
    titles = dict(zip(dataset.item_ids, dataset.item_titles, strict=True))
    assert [item.title for item in found] == [titles[item.id] for item in found]
    assert titles["i0"] == "Misérables, Les (1995)"


def test_scores_are_those_of_the_evaluation(load_model, dataset):
    """The list of a user is the one that the metrics were measured on."""
    recommender = load_model()
    split = split_by_rule(dataset, rule="random", seed=0)
    user = dataset.user_ids.index("u5")
    found = recommender.recommend(user="u5", k=40)
    users, items = recommender._model.scorer.vectors(
        recommender._model.params, recommender._prepared.features
    )
    scores = np.asarray(items)[:40] @ np.asarray(users)[user]
    for item in found:
        number = dataset.item_ids.index(item.id)
        assert item.score == pytest.approx(scores[number], abs=1e-5)
        assert number not in split.train_csr().row(user)


@pytest.mark.parametrize("name", ["graph", "text", "fused"])
def test_given_items_are_left_out(load_model, dataset, name):
    found = load_model(name).recommend(items=["i9", "i12"], k=100)
    assert set(ids(found)) == set(dataset.item_ids) - {"i9", "i12"}


def test_a_newcomer_is_like_those_who_like_the_same(load_model):
    """Items of one planted theme are asked for and come first."""
    asked = ["i9", "i13", "i17", "i21"]
    found = ids(load_model("graph").recommend(items=asked, k=5))
    theme = {f"i{number}" for number in range(1, 40, 4)} - set(asked)
    assert len(set(found) & theme) >= 4


def test_items_by_title_with_a_comma_or_by_part_are_those_by_id(load_model):
    recommend = load_model().recommend
    by_id = recommend(items=["i0", "i5"])
    assert recommend(items=["Misérables, Les", "journey to the moon"]) == by_id
    assert recommend(items=["Misérables, Les (1995)", "i5"]) == by_id
    # Order and repetition say nothing.
    assert recommend(items=["i5", "i0", "i5"]) == by_id


def test_an_ambiguous_title_lists_its_candidates(load_model):
    with pytest.raises(UserError, match="expected one item, got 2") as caught:
        load_model().recommend(items=["Two Friends"])
    assert "i1 = Two Friends (1986)" in str(caught.value)
    assert "i2 = Two Friends (1999)" in str(caught.value)
    assert load_model().recommend(items=["Two Friends (1999)"], k=3)


def test_asking_does_not_change_what_is_answered_next(load_model):
    recommend = load_model().recommend
    before = recommend(user="u1")
    recommend(items=["i3", "i4"])
    recommend(text="space robots")
    assert recommend(user="u1") == before


def test_a_text_ranks_the_whole_catalogue(load_model, dataset):
    for name in ("text", "fused"):
        found = load_model(name).recommend(text="a bank heist with robots", k=50)
        assert set(ids(found)) == set(dataset.item_ids)
        other = load_model(name).recommend(text="football season", k=50)
        assert ids(other) != ids(found)


def test_a_list_ends_with_k_or_with_the_catalogue(load_model):
    recommend = load_model().recommend
    assert len(recommend(text="jazz", k=3)) == 3
    assert len(recommend(text="jazz", k=1)) == 1
    assert len(recommend(text="jazz", k=41)) == 40
    assert recommend(text="jazz", k=3) == recommend(text="jazz", k=30)[:3]
    every = [f"i{number}" for number in range(40)]
    assert recommend(items=every) == []


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({}, "expected one of user, item and text, got 0 of them"),
        ({"items": []}, "expected one of user, item and text, got 0 of them"),
        ({"user": "u1", "text": "x"}, "got 2 of them"),
        ({"user": "u1", "items": ["i1"], "text": "x"}, "got 3 of them"),
        ({"user": "u1", "k": 0}, "k: expected a number from 1 on, got 0"),
        ({"user": "u1", "k": -3}, "k: expected a number from 1 on, got -3"),
        ({"text": ""}, "text: expected some words, got none"),
        ({"text": " \t\n"}, "text: expected some words, got none"),
        ({"user": "nobody"}, "user 'nobody': expected .* name what they like .*--item"),
        ({"user": ""}, "user '': expected a user of the training data"),
        # Nobody else's id is offered.
        ({"user": "u600"}, "got one that is not there; for someone new, name .*--item"),
        ({"items": ["Mises Les"]}, "item 'Mises Les': expected an item's id or title"),
        ({"items": "i1"}, "items: expected a list of ids or titles, got one str, 'i1'"),
    ],
)
def test_questions_that_cannot_be_answered(load_model, question, message):
    with pytest.raises(UserError, match=message) as caught:
        load_model().recommend(**question)
    assert "\n" not in str(caught.value)


def test_a_model_of_the_graph_alone_reads_no_text(load_model):
    with pytest.raises(UserError, match="got the model 'graph'; choose --model fused"):
        load_model("graph").recommend(text="jazz")


def test_a_user_with_more_items_than_spare_edges(load_model, finished_run, tmp_path):
    run = copied(finished_run, tmp_path / "run", **{"graph.spare_edges": 4})
    recommender = Recommender.load(run, model="text")
    # The text model needs no edges, yet the graph's room is the same for all.
    with pytest.raises(
        UserError, match=r"--graph\.spare-users and --graph.spare-edges"
    ):
        recommender.recommend(items=[f"i{number}" for number in range(12)])


def copied(run, to, **changes):
    """A copy of a run with fields of its configuration changed."""
    shutil.copytree(run, to)
    config = from_json((to / "config.json").read_text("utf-8"))
    (to / "config.json").write_text(to_json(replace(config, **changes)), "utf-8")
    return to


def test_the_default_model_is_the_last_one(finished_run):
    assert Recommender.load(finished_run).model_name == "fused"


def test_a_model_that_the_run_lacks(finished_run, tmp_path):
    run = copied(finished_run, tmp_path / "run", models=("graph", "text"))
    with pytest.raises(UserError, match="model: expected one of graph, text, got 'fu"):
        Recommender.load(run, model="fused")
    assert Recommender.load(run).model_name == "text"


def test_a_run_whose_data_have_changed_is_refused(finished_run, films, tmp_path):
    changed = tmp_path / "films"
    shutil.copytree(films, changed)
    run = copied(finished_run, tmp_path / "run", **{"data.source": str(changed)})
    assert Recommender.load(run).recommend(user="u1", k=1)
    path = changed / "films.inter"
    lines = path.read_text("utf-8").splitlines()
    path.write_text("\n".join(lines[:-1]) + "\n", "utf-8")
    with pytest.raises(
        UserError, match=r"expected the data that .* was trained on, got other data"
    ):
        Recommender.load(run)


def test_a_run_whose_data_are_gone(finished_run, tmp_path):
    gone = str(tmp_path / "gone")
    run = copied(finished_run, tmp_path / "run", **{"data.source": gone})
    with pytest.raises(UserError, match=r"expected one of .* a folder of data files"):
        Recommender.load(run)


def test_a_run_is_readable_from_another_folder(finished_run, monkeypatch, tmp_path):
    monkeypatch.chdir(finished_run.parent)
    here = Recommender.load(finished_run.name).recommend(user="u2")
    monkeypatch.chdir(tmp_path)
    assert Recommender.load(finished_run).recommend(user="u2") == here
