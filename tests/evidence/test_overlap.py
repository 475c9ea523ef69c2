"""Words that texts have in common."""

from llmgnn_jax.evidence.overlap import Words, terms


def test_terms() -> None:
    assert terms("A Space-Odyssey, 2001: it's the SPACE") == {
        "space-odyssey",
        "it's",
        "space",
    }
    # Without spaces: characters in pairs, none across what is no word.
    assert terms("无线耳机，A4 好 x") == {"无线", "线耳", "耳机"}
    assert terms("") == set()


def test_the_rarest_come_first_and_common_ones_do_not() -> None:
    texts = ["film of robots", "film of robots and moons", "film of love", "film"]
    words = Words([*texts, "quiet"])
    assert words.in_common(texts[1], [texts[0]]) == ["robots"]
    assert words.in_common(texts[1], ["robots moons film"]) == ["moons", "robots"]
    assert words.in_common(texts[1], ["robots moons"], most=1) == ["moons"]
    assert words.in_common(texts[2], [texts[0]]) == []
    many = Words([f"film {number} {'rare' * (number < 10)}" for number in range(150)])
    assert many.in_common("rare film", ["a rare film"]) == ["rare"]


def test_large_catalogues_are_looked_at_in_part() -> None:
    texts = [f"common word{number % 7}" for number in range(50_000)]
    words = Words(texts)
    assert words.in_common("common thing", ["common thing"]) == ["thing"]
