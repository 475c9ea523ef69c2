"""A sentence names items: by id, by title, and by nothing that only looks like it."""

import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.serving.mentions import NameIndex

ITEMS = {
    "a1": "商品a1",
    "a2": "商品a2",
    "a12": "商品a12",
    "B-7": "Spider",
    "50": "12 Angry Men (1957)",
    "51": "Angry Men",
    "52": "Heat (1995)",
    "53": "1984 (1984)",
    "54": "Amélie (2001)",
    "55": "咖啡",
    "56": "咖啡机",
    "57": "Twins (1988)",
    "58": "Twins (1990)",
    "x": "I",
    "59": "a1",
}


@pytest.fixture(scope="module")
def index():
    return NameIndex(tuple(ITEMS), tuple(ITEMS.values()))


@pytest.mark.parametrize(
    ("sentence", "named"),
    [
        ("我喜欢商品a1和a2", {"a1": "商品a1", "a2": "a2"}),
        ("I like the products a1 and a2.", {"a1": "a1", "a2": "a2"}),
        ("a2，a1，还有a2", {"a2": "a2", "a1": "a1"}),
        ("a1", {"a1": "a1"}),
        # Capitals, full width, spaces and accents do not matter.
        ("A1 和 ａ２", {"a1": "A1", "a2": "a2"}),
        ("12  ANGRY\nmen", {"50": "12 ANGRY men"}),
        ("AME\u0301LIE (2001)", {"54": "AMÉLIE (2001)"}),
        # The longest name counts, and whole words alone.
        ("商品a12", {"a12": "商品a12"}),
        ("12 Angry Men", {"50": "12 Angry Men"}),
        ("two angry men", {"51": "angry men"}),
        ("一台咖啡机", {"56": "咖啡机"}),
        ("ba1 a1b a123 a1-b x-a1 a1_2 a1’b éa1", {}),
        ("Spider-Man", {}),
        ("b-7", {"B-7": "b-7"}),
        # One word is a name as it is written alone.
        ("Heat, Heat's end, heat", {"52": "Heat"}),
        ("the heat", {}),
        ("heat (1995)", {"52": "heat (1995)"}),
        ("Amélie", {"54": "Amélie"}),
        # Numbers and single letters are too often something else.
        ("I saw 50 films in 1984", {}),
        ("1984 (1984)", {"53": "1984 (1984)"}),
        ("", {}),
        ("没有", {}),
    ],
)
def test_names_in_sentences(index, sentence, named):
    found = index.find(sentence)
    assert {one.id: one.words for one in found} == named
    assert list(named) == [one.id for one in found]
    for one in found:
        assert (one.id, one.title) == list(ITEMS.items())[one.item]


def test_an_id_goes_before_a_title(index):
    assert ITEMS["59"] == "a1"
    assert [one.id for one in index.find("a1")] == ["a1"]


def test_capitals_decide_between_ids_that_differ_by_nothing_else():
    index = NameIndex(("k1", "K1"), ("", ""))
    assert [one.item for one in index.find("K1, k1")] == [1, 0]


def test_a_name_of_several_items_lists_them(index):
    with pytest.raises(UserError, match=r"'Twins'.* 2 .57 = Twins .1988.; 58 ") as told:
        index.find("I like Twins")
    assert "\n" not in str(told.value)
    assert [one.id for one in index.find("twins (1990)")] == ["58"]


def test_many_names_in_a_long_sentence():
    ids = [f"a{number}" for number in range(5000)]
    found = NameIndex(ids, [f"商品{one}" for one in ids]).find("，".join(ids))
    assert [one.id for one in found] == ids
