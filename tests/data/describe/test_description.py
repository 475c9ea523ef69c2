"""Counts, spreads, texts, cold parts and leaks, each by hand."""

import dataclasses
import json

import numpy as np
import pytest

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.describe.description import Description, describe
from llmgnn_jax.data.describe.page import page
from llmgnn_jax.data.describe.sides import text_lengths
from llmgnn_jax.data.describe.spread import degrees, gini, spread
from llmgnn_jax.data.relations import Relation
from llmgnn_jax.data.synthetic import synthetic


def small(**fields: object) -> Dataset:
    """ann has x twice and y, bob x; nobody z; cid has nothing."""
    given: dict = {
        "name": "small",
        "user_ids": ("ann", "bob", "cid"),
        "item_ids": ("x", "y", "z"),
        "users": np.array([0, 0, 0, 1]),
        "items": np.array([0, 0, 1, 0]),
        "values": np.array([1, 2, 2, 4.5]),
        "timestamps": np.array([0, 86_400, 86_400, 172_800]),
        "item_titles": ("Emma", "Emma", ""),
        "item_texts": ("A novel.", "小说 one", " "),
        "user_categorical": {"city": (("Bonn",), (), ("Bonn", "Köln"))},
        "item_categorical": {"genre": (("Novel",), ("Novel", "Love"), ())},
        "item_numeric": {"year": np.array([1815, np.nan, 1922])},
        "interaction_texts": ("good", "", "", "very good"),
    }
    return Dataset(**given | fields)


def check(description: Description, words: str) -> tuple[int, int, bool]:
    found = [one for one in description.checks if words in one.asked]
    assert len(found) == 1, [one.asked for one in description.checks]
    return found[0].found, found[0].of, found[0].suspicious


def test_counts_by_hand() -> None:
    one = describe(small())
    met = one.interactions
    assert (met.count, met.pairs, met.repeated, met.most_of_a_pair) == (4, 3, 1, 2)
    assert met.density == 3 / 9
    assert met.values is not None
    bins = [(bin_.low, bin_.high, bin_.count) for bin_ in met.values.bins]
    assert bins == [(1, 1, 1), (2, 2, 2), (4.5, 4.5, 1)]
    assert (met.values.median, met.values.max) == (2, 4.5)
    times = met.times
    assert times is not None
    assert times.first == "1970-01-02T00:00:00+00:00"
    assert (times.days, times.missing, times.together) == (1, 1, 2)
    assert (one.users.count, one.users.without, one.users.below) == (3, 1, 3)
    assert (one.items.count, one.items.without) == (3, 1)
    assert [(bin_.low, bin_.high, bin_.count) for bin_ in one.users.degrees.bins] == [
        (0, 0, 1),
        (1, 1, 1),
        (2, 3, 1),
    ]
    assert met.texts is not None
    assert (met.texts.filled, met.texts.words) == (2, (1.5, 2))


def test_features_by_hand() -> None:
    one = describe(small())
    city = one.users.features[0]
    genre, year = one.items.features
    assert (city.filled, city.different) == (2, 2)
    assert city.most == (), "values of users are not told"
    assert genre.most == (("Novel", 2), ("Love", 1))
    assert (year.kind, year.filled, year.range) == ("numeric", 2, (1815, 1868.5, 1922))


def test_lengths_of_texts() -> None:
    one = text_lengths(("a novel of love", "", "小说 one", "小说 one"))
    assert (one.count, one.filled, one.different) == (4, 3, 2)
    assert one.words == (3, 4)
    assert one.characters == (6, 15)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [([1, 1, 1, 1], 0.0), ([0, 0, 0, 4], 0.75), ([1, 3], 0.25), ([5], 0.0)],
)
def test_gini(counts: list[int], expected: float) -> None:
    assert gini(np.array(counts)) == pytest.approx(expected)
    # The mean difference of all pairs, by the mean, halved.
    differences = np.abs(np.subtract.outer(counts, counts)).mean()
    assert gini(np.array(counts)) == pytest.approx(differences / 2 / np.mean(counts))


def test_bins_hold_every_number_once() -> None:
    rng = np.random.default_rng(0)
    for values in (
        rng.integers(1, 1_000_000, 500),
        rng.normal(size=500),
        10.0 ** np.arange(15),
        np.array([3.0]),
    ):
        assert sum(bin_.count for bin_ in spread(values).bins) == len(values)
    counts = rng.integers(0, 3_000, 500)
    bins = degrees(counts).bins
    for bin_ in bins:
        inside = (counts >= bin_.low) & (counts <= bin_.high)
        assert bin_.count == inside.sum()
    assert sum(bin_.count for bin_ in bins) == 500
    assert degrees(np.zeros(3, int)).bins[0].count == 3


def test_what_is_cold_by_rule() -> None:
    users = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2, 2])
    data = small(
        users=users,
        items=np.array([0, 1, 0, 1, 0, 1, 0, 1, 2, 2]),
        values=np.ones(10),
        timestamps=np.arange(1, 11),
        interaction_texts=None,
    )
    by_rule = {one.rule: one for one in describe(data).splits}
    assert "comes in parts" in by_rule["published"].reason
    assert by_rule["published"].test is None
    # The last two interactions in time: cid, who has items 0 and 1 in train, with z.
    temporal = by_rule["temporal"]
    assert temporal.train == 8
    for part in (temporal.valid, temporal.test):
        assert part is not None
        assert (part.users, part.cold_users) == (1, 0)
        assert (part.items, part.cold_items, part.cold_interactions) == (1, 1, 1)
    without_times = dataclasses.replace(data, timestamps=np.zeros(10, np.int64))
    one = describe(without_times)
    assert "timestamps" in {part.rule: part.reason for part in one.splits}["temporal"]
    assert any("no timestamps" in warning for warning in one.warnings)


@pytest.mark.parametrize(
    ("fields", "warning"),
    [
        (
            {"interaction_texts": None},
            "no item has a text: a model of texts has nothing to read",
        ),
        (
            {},
            "no item has a text of its own: a model of texts reads those of the "
            "interactions in train",
        ),
        (
            {"values": np.full(4, 5.0)},
            "all values are 5: nothing says how much somebody liked an item",
        ),
        (
            {"values": np.ones(4)},
            "all values are 1: nothing says how much somebody liked an item",
        ),
    ],
)
def test_warnings_of_what_a_model_has_to_go_by(fields: dict, warning: str) -> None:
    assert warning in describe(small(item_texts=("", "", " "), **fields)).warnings


def test_pairs_of_published_parts_that_overlap() -> None:
    data = small(
        users=np.array([0, 0, 1, 1]),
        items=np.array([0, 0, 1, 2]),
        published_test=np.array([False, True, False, True]),
    )
    assert check(describe(data), "published: test interactions whose") == (1, 2, True)


def test_items_and_users_that_are_alike() -> None:
    one = describe(small())
    assert check(one, "items with a title") == (2, 2, True)
    assert check(one, "items with a text") == (0, 2, False)
    assert any("items with a title" in warning for warning in one.warnings)
    planted = synthetic(reviews=True)
    copied = dataclasses.replace(
        planted,
        user_ids=(*planted.user_ids, "twin"),
        users=np.append(planted.users, np.full((planted.users == 0).sum(), 60)),
        items=np.append(planted.items, planted.items[planted.users == 0]),
        values=np.append(planted.values, planted.values[planted.users == 0]),
        timestamps=np.append(
            planted.timestamps, planted.timestamps[planted.users == 0]
        ),
        interaction_texts=None,
        user_texts=None,
        user_categorical={},
        user_numeric={},
    )
    assert check(describe(planted), "users with the very same items")[0] == 0
    assert check(describe(copied), "users with the very same items") == (2, 61, True)


def test_reviews_that_were_copied() -> None:
    planted = synthetic()
    texts = [f"a review of its own, number {row}" for row in range(900)]
    data = dataclasses.replace(planted, interaction_texts=tuple(texts))
    assert check(describe(data), "random: texts of test")[0] == 0
    data = dataclasses.replace(planted, interaction_texts=(texts[0],) * 900)
    found, of, suspicious = check(describe(data), "random: texts of test")
    assert suspicious
    assert found == of > 0


def test_relations_that_tell_what_is_held_out() -> None:
    planted = synthetic(num_users=300, num_items=200, num_interactions=1_500)
    wishes = Relation.merged(
        heads_of="user", tails_of="item", heads=planted.users, tails=planted.items
    )
    together = np.unique(
        [
            (one, other)
            for user in range(300)
            for one in planted.items[planted.users == user]
            for other in planted.items[planted.users == user]
            if one < other
        ],
        axis=0,
    )
    bought = Relation.merged(
        heads_of="item", tails_of="item", heads=together[:, 0], tails=together[:, 1]
    )
    rng = np.random.default_rng(0)
    ends = rng.integers(0, 200, (2, 400))
    innocent = Relation.merged(
        heads_of="item", tails_of="item", heads=ends[0], tails=ends[1]
    )
    data = dataclasses.replace(
        planted,
        relations={"wishes": wishes, "bought": bought, "near": innocent},
    )
    one = describe(data)
    assert check(one, "the relation 'wishes' has as a link") == (1500, 1500, True)
    for name, expected in (("bought", True), ("near", False)):
        meet, held_out = (
            one_ for one_ in one.checks if one_.asked.startswith(f"links of '{name}'")
        )
        assert (meet.found == meet.of) == expected
        assert held_out.suspicious == expected
    links = {relation.name: relation for relation in one.relations}
    assert links["wishes"].links == 1_500
    assert links["wishes"].heads == (300, 300)
    assert links["bought"].weights is None


def test_the_page_has_all_parts_and_fits() -> None:
    data = dataclasses.replace(
        synthetic(reviews=True),
        entities={"tag": ("a", "b")},
        relations={
            "tagged": Relation(
                heads_of="item",
                tails_of="tag",
                heads=np.array([0, 1]),
                tails=np.array([0, 0]),
                weights=np.array([1, 0.5]),
                directed=True,
            )
        },
    )
    text = page(describe(data))
    for part in (
        "users                    60",
        "tag                       2",
        "interactions            900",
        "density            37.5000%",
        "different items of a user",
        "Gini 0.",
        "titles of items",
        "texts of interactions",
        "features of items",
        "tagged: item -> tag, 2 links",
        "2 of 40 items have one (5.0%)",
        "1 of 2 tags have one (50.0%)",
        "weights 0.5 to 1",
        "random: ",
        "looked for",
    ):
        assert part in text
    assert max(map(len, text.splitlines())) <= 88


def test_no_user_and_nothing_that_one_wrote_is_told() -> None:
    data = small(
        user_texts=("profile of ann", "", ""),
        interaction_texts=("a secret of mine, so long that it is looked at",) * 4,
    )
    one = describe(data)
    for text in (page(one), json.dumps(dataclasses.asdict(one), allow_nan=False)):
        for secret in ("ann", "bob", "cid", "secret", "profile of", "Bonn"):
            assert secret not in text


def test_it_depends_on_content_alone() -> None:
    data = synthetic(reviews=True)
    rng = np.random.default_rng(1)
    turned = data.taken(
        rows=rng.permutation(900), users=rng.permutation(60), items=rng.permutation(40)
    )
    assert describe(turned) == describe(data)
