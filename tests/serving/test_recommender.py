"""A finished run answers for users, items and texts."""

import dataclasses
import re
import shutil

import jax
import numpy as np
import pytest

from llmgnn_jax.config import from_json, replace, to_json
from llmgnn_jax.data.catalog import load
from llmgnn_jax.data.splits import split_by_rule
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation import ranking
from llmgnn_jax.serving import shelf
from llmgnn_jax.serving.recommender import NewItem, Recommender

pytestmark = pytest.mark.usefixtures("workplace")


@pytest.fixture(scope="module")
def dataset(films):
    return load(films)


@pytest.fixture(scope="module")
def load_model(finished_run, cache_folder):
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
def test_lists_of_many_users_are_those_of_each(load_model, dataset, name, monkeypatch):
    monkeypatch.setattr(shelf, "_CHUNK", 16)
    recommender = load_model(name)
    lists = dict(recommender.lists(k=7))
    assert tuple(lists) == dataset.user_ids
    for user, found in lists.items():
        alone = recommender.recommend(user=user, k=7)
        assert ids(found) == ids(alone)
        assert [one.rank for one in found] == [one.rank for one in alone]
        np.testing.assert_allclose(
            [one.score for one in found], [one.score for one in alone], rtol=1e-5
        )
    some = list(recommender.lists(users=["u9", "u3", "u9"], k=2))
    assert [user for user, _ in some] == ["u9", "u3", "u9"]
    assert ids(some[1][1]) == ids(lists["u3"])[:2]
    assert list(recommender.lists(users=[])) == []
    with pytest.raises(UserError, match="user 'nobody': expected a user of the train"):
        recommender.lists(users=["u1", "nobody"])
    with pytest.raises(UserError, match="k: expected a number from 1 on, got 0"):
        recommender.lists(k=0)


def test_a_version_is_that_of_a_trained_model(load_model, finished_run, cache_folder):
    versions = {name: load_model(name).version for name in ("graph", "text", "fused")}
    assert len(set(versions.values())) == 3
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in versions.values())
    assert Recommender.load(finished_run, model="graph").version == versions["graph"]
    other = Recommender(
        load_model("graph")._prepared,
        dataclasses.replace(
            load_model("graph")._model,
            params=jax.tree.map(lambda one: one + 1, load_model("graph")._model.params),
        ),
    )
    assert other.version != versions["graph"]


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


def test_what_a_sentence_names_is_liked(load_model, caplog):
    recommender = load_model()
    sentence = "我喜欢Misérables, Les和i5，i50以外的也行"
    named = recommender.named(sentence)
    assert [one.id for one in named] == ["i0", "i5"]
    assert [one.words for one in named] == ["Misérables, Les", "i5"]
    assert named[0].title == "Misérables, Les (1995)"
    with caplog.at_level("INFO", "llmgnn_jax.serving"):
        found = recommender.recommend(sentence=sentence, k=7)
    assert found == recommender.recommend(items=["i0", "i5"], k=7)
    assert "liked: Misérables, Les (1995)" in caplog.messages


def test_a_sentence_that_names_nothing_is_a_text(load_model, caplog):
    recommend = load_model().recommend
    with caplog.at_level("INFO", "llmgnn_jax.serving"):
        found = recommend(sentence="space robots", k=7)
    assert found == recommend(text="space robots", k=7)
    assert "no item is named: read as a text" in caplog.messages


def test_new_items_are_named_too(fresh):
    recommender = fresh()
    assert recommender.named("I like n0") == []
    recommender.add_items([NewItem(id="n0", text="Space robots.")])
    assert [one.id for one in recommender.named("I like n0")] == ["n0"]
    found = ids(recommender.recommend(sentence="I like n0", k=100))
    assert "n0" not in found


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
        ({}, "expected one of user, item, text and sentence, got 0 of them"),
        ({"items": []}, "expected one of user, item, text and sentence, got 0 of them"),
        ({"user": "u1", "text": "x"}, "got 2 of them"),
        ({"user": "u1", "items": ["i1"], "text": "x"}, "got 3 of them"),
        ({"user": "u1", "k": 0}, "k: expected a number from 1 on, got 0"),
        ({"user": "u1", "k": -3}, "k: expected a number from 1 on, got -3"),
        ({"text": ""}, "text: expected some words, got none"),
        ({"text": " \t\n"}, "text: expected some words, got none"),
        ({"sentence": " "}, "text: expected some words, got none"),
        ({"sentence": "Two Friends!"}, "the name of one item, got that of 2 .*i1 = Tw"),
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


def test_a_model_of_the_graph_alone_needs_names_in_a_sentence(load_model):
    recommend = load_model("graph").recommend
    with pytest.raises(UserError, match="an item's id or title in it, got none; the m"):
        recommend(sentence="some jazz")
    assert recommend(sentence="i3 and i4") == recommend(items=["i3", "i4"])


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
    with pytest.raises(
        UserError,
        match="was trained on, got no such file or folder; run the command in",
    ):
        Recommender.load(run)


def test_a_run_is_readable_from_another_folder(finished_run, monkeypatch, tmp_path):
    monkeypatch.chdir(finished_run.parent)
    here = Recommender.load(finished_run.name).recommend(user="u2")
    monkeypatch.chdir(tmp_path)
    assert Recommender.load(finished_run).recommend(user="u2") == here


@pytest.fixture
def fresh(load_model):
    """Model name -> a recommender of the test's own, of a run that is loaded once."""

    def get(name="fused"):
        loaded = load_model(name)
        return Recommender(loaded._prepared, loaded._model)

    return get


def test_new_items_are_recommended_and_nothing_else_changes(fresh, dataset):
    recommender = fresh()
    before = recommender.recommend(user="u1", k=100)
    compiled = (
        recommender._model.scorer._vectors._cache_size(),
        ranking._rank_chunk._cache_size(),
    )
    recommender.add_items(
        [
            NewItem(id="n0", text="Space robots. Sci-Fi.", title="Robots in Space"),
            NewItem(id="n1", title="Of No Words", users=["u1", "u2"]),
        ]
    )
    recommender.add_items([NewItem(id="n2", text="A heist.", users=["u3"])])
    found = recommender.recommend(user="u1", k=100)
    # u1 had n1 already.
    assert set(ids(found)) == {*ids(before), "n0", "n2"}
    assert [one for one in found if one.id not in ("n0", "n2")] == [
        dataclasses.replace(old, rank=new.rank)
        for old, new in zip(
            before, (one for one in found if one.id[0] != "n"), strict=True
        )
    ]
    assert "n1" in ids(recommender.recommend(user="u5", k=100))
    # They are asked for like all others.
    by_title = recommender.recommend(items=["robots in space", "i3"], k=100)
    assert by_title == recommender.recommend(items=["n0", "i3"], k=100)
    assert "n0" not in ids(by_title)
    assert {"n1", "n2"} < set(ids(recommender.recommend(text="robots", k=100)))
    assert compiled == (
        recommender._model.scorer._vectors._cache_size(),
        ranking._rank_chunk._cache_size(),
    )


def test_a_new_item_with_an_old_ones_text_is_as_that_to_the_text_model(fresh):
    recommender = fresh("text")
    old = recommender._prepared.train.item_texts[7]
    recommender.add_items([NewItem(id="twin", text=old)])
    scores = {
        one.id: one.score for one in recommender.recommend(text="space robots", k=100)
    }
    assert scores["twin"] == pytest.approx(scores["i7"], abs=1e-6)


def test_a_new_item_that_the_same_users_had_is_near_to_an_old_one(fresh, dataset):
    recommender = fresh("graph")
    number = dataset.item_ids.index("i9")
    users = [dataset.user_ids[u] for u in dataset.users[dataset.items == number]]
    recommender.add_items([NewItem(id="twin", users=users)])
    found = ids(recommender.recommend(items=["i13", "i17", "i21"], k=10))
    assert "twin" in found


@pytest.mark.parametrize(
    ("name", "items", "said"),
    [
        ("fused", [NewItem(id="i3", text="a")], "items: id: expected an id of .*'i3'"),
        (
            "fused",
            [NewItem(id="n", text="a")] * 2,
            "items: id: .* got 'n', which is taken",
        ),
        ("fused", [NewItem(id=" ", text="a")], "items: id: .* got ' '"),
        ("fused", [NewItem(id="n")], "item 'n': expected a text or users who had it"),
        ("text", [NewItem(id="n", users=["u1"])], "item 'n': expected a text, got"),
        ("graph", [NewItem(id="n", text="a")], "item 'n': expected users who had it"),
        ("fused", [NewItem(id="n", users=["nobody"])], "user 'nobody': expected a use"),
        (
            "fused",
            [NewItem(id=f"n{n}", text="a") for n in range(500)],
            "support.items: .*; train with more room, --graph.spare-items",
        ),
    ],
)
def test_new_items_that_cannot_be_added_leave_all_as_it_was(fresh, name, items, said):
    recommender = fresh(name)
    before = recommender.recommend(user="u1", k=100)
    good = NewItem(id="good", text="words", users=["u1"])
    with pytest.raises(UserError, match=f"^{said}") as caught:
        recommender.add_items([good, *items])
    assert "\n" not in str(caught.value)
    assert recommender.recommend(user="u1", k=100) == before
    recommender.add_items([good])  # Its id is not taken.


def test_places_are_kept_for_new_items(fresh):
    recommender = fresh()
    plain = recommender.recommend(user="u1", k=8)
    config = replace(recommender._prepared.config, **{"evaluation.new_places": (2, 5)})
    recommender = Recommender(
        dataclasses.replace(recommender._prepared, config=config), recommender._model
    )
    recommender._shelf.new_I[:] = False
    assert recommender.recommend(user="u1", k=8) == plain  # Nothing is new yet.
    recommender.add_items([NewItem(id=f"n{n}", text="Words.") for n in range(3)])
    recommender._shelf.new_I[: recommender._prepared.dataset.num_items] = False
    found = ids(recommender.recommend(user="u1", k=8))
    assert [one[0] == "n" for one in found] == [
        place in (2, 5) for place in range(1, 9)
    ]
    assert [one for one in found if one[0] != "n"] == ids(plain)[:6]
