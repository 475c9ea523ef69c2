"""An item is found by what a person types."""

import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.serving.titles import TitleIndex

ITEMS = {
    "1": "Toy Story (1995)",
    "2": "Misérables, Les (1995)",
    "3": "Two Friends (1986)",
    "4": "Two Friends (1999)",
    "5": "Heist, The (1990)",
    "6": "Heist, The (1990)",
    "7": "Unforgettable Journey to the Moon (1969)",
    "8": "",
    "187": "Seven (1995)",
    "9": "187 (1997)",
    "10": "Two Friends (1986) (V)",
}


@pytest.fixture(scope="module")
def titles():
    return TitleIndex(tuple(ITEMS), tuple(ITEMS.values()))


@pytest.mark.parametrize(
    ("query", "id_"),
    [
        ("1", "1"),
        ("Toy Story (1995)", "1"),
        ("Toy Story", "1"),
        ("  toy STORY ", "1"),
        ("story", "1"),
        ("Misérables, Les", "2"),
        ("MISÉRABLES, LES (1995)", "2"),
        ("érables", "2"),
        ("Two Friends (1986)", "3"),
        ("Two Friends (1999)", "4"),
        ("journey to the", "7"),
        ("Unforgettable Journey to the Moon", "7"),
        # An id comes before a title.
        ("187", "187"),
        ("187 (1997)", "9"),
        ("8", "8"),
    ],
)
def test_ids_titles_with_and_without_year_and_parts(titles, query, id_):
    assert list(ITEMS)[titles.find(query)] == id_


@pytest.mark.parametrize(
    ("query", "candidates"),
    [
        ("Two Friends", ("3 = Two Friends (1986)", "4 = Two Friends (1999)")),
        ("Heist, The (1990)", ("5 = Heist, The (1990)", "6 = Heist, The (1990)")),
        ("the", ("5 = ", "6 = ", "7 = Unforgettable Journey")),
    ],
)
def test_an_ambiguous_title_lists_its_candidates_with_ids(titles, query, candidates):
    with pytest.raises(UserError, match="expected one item, got") as caught:
        titles.find(query)
    for candidate in candidates:
        assert candidate in str(caught.value)
    assert repr(query) in str(caught.value)
    assert "give the id" in str(caught.value)


def test_long_lists_of_candidates_are_cut_and_counted():
    index = TitleIndex([f"i{n}" for n in range(20)], [f"Part {n}" for n in range(20)])
    with pytest.raises(UserError, match=r"got 20 that fit .* and 12 more") as caught:
        index.find("part")
    assert str(caught.value).count(" = ") == 8


def test_an_unknown_title_names_the_nearest(titles):
    with pytest.raises(UserError, match=r"did you mean 'Toy Story \(1995\)'\?"):
        titles.find("Toy Storie")
    # The title that is shown is the one that is near, with its year.
    with pytest.raises(UserError, match=r"'Seven \(1995\)'"):
        titles.find("Sevem")


@pytest.mark.parametrize("query", ["qqqq zzzz", "", "   "])
def test_nothing_near_is_still_one_sentence(titles, query):
    with pytest.raises(UserError, match="expected an item's id or title") as caught:
        titles.find(query)
    assert not str(caught.value).rstrip().endswith(";")
    assert "did you mean" not in str(caught.value)


def test_items_without_titles_are_found_by_id_alone():
    index = TitleIndex(("a", "b"), ("", ""))
    assert index.find("b") == 1
    with pytest.raises(UserError, match="expected an item's id or title"):
        index.find("c")
    books = TitleIndex(("B00-1", "B00-2", "C7"), ("", "", ""))
    with pytest.raises(UserError, match=r"did you mean 'B00-1'\?"):
        books.find("b001")


def test_a_title_is_found_whatever_its_composition_of_accents():
    # "é" as one character, and as "e" with an accent: what a Mac's keyboard may give.
    index = TitleIndex(("a", "b"), ("Amélie (2001)", "Other"))
    assert index.find("Ame\u0301lie") == 0
