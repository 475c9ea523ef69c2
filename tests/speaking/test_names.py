"""Names in texts."""

import pytest

from llmgnn_jax.serving.mentions import plainly_written
from llmgnn_jax.speaking.names import ItemName, find_names, title_forms, value_forms


def found(names, text):
    return [
        (
            span.words,
            {one[-1] for one in span.of},
        )
        for span in names.find(plainly_written(text))
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Fargo, which", [("Fargo", {0})]),
        ("far from fargo", []),
        ('"Fargo (1996)"', [("Fargo (1996)", {0})]),
        ("The Godfather and", [("The Godfather", {1})]),
        ("the godfather and", []),
        ("Godfather, The", [("Godfather, The", {1})]),
        ("the Godfather: Part II", [("the Godfather: Part II", {2})]),
        ("The Godfather: Part II (1974)", [("The Godfather: Part II (1974)", {2})]),
        ("Aliens", [("Aliens", {4})]),
        ("Alien's end", [("Alien", {3})]),
        ("Sabrina", [("Sabrina", {6, 7})]),
        ("Sabrina (1954)", [("Sabrina (1954)", {7})]),
        ("Il Postino", [("Il Postino", {8})]),
        ("Seven or Se7en", [("Seven", {9}), ("Se7en", {9})]),
        ("that thing you do", [("that thing you do", {10})]),
        ("the game", []),
        ("The Game", [("The Game", {11})]),
        ("two friends", [("two friends", {12})]),
        (
            "a science fiction drama",
            [("science fiction", {"Sci-Fi"}), ("drama", {"Drama"})],
        ),
        ("COMEDIES", [("COMEDIES", {"Comedy"})]),
        ("crimes", [("crimes", {"Crime"})]),
        ("dramas of war", [("dramas", {"Drama"}), ("war", {"War"})]),
        ("warned", []),
        ("科幻片", [("科幻", {"Sci-Fi"})]),
    ],
)
def test_names(names, text, expected):
    assert found(names, text) == expected


def test_the_longest_of_several_lists(names):
    text = "the Godfather: Part II"
    few = type(names)([(1, "Godfather, The (1972)")])
    spans = find_names(text, few, names)
    assert [span.words for span in spans] == ["the Godfather: Part II"]
    assert spans[0].of == {ItemName(2)}


def test_forms():
    assert "The Godfather (1972)" in title_forms("Godfather, The (1972)")
    assert "Shanghai Triad" in title_forms("Shanghai Triad (Yao a yao) (1995)")
    assert {"film noir", "noir", "Film-Noir"} <= set(value_forms("Film-Noir"))
