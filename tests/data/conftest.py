"""One tiny film catalogue, written in the official and in the RecBole layout."""

from pathlib import Path

import pytest

GENRES = ("unknown", "Action", "Children's", "Film-Noir", "Sci-Fi")

# id, title, year, official title, genres
FILMS = (
    ("1", "Toy Story", "1995", "Toy Story (1995)", ("Children's",)),
    ("2", "Misérables, Les", "1995", "Misérables, Les (1995)", ()),
    ("3", "unkonwn", "unkonwn", "unknown", ("unknown",)),
    ("4", "Two Friends", "1986", "Two Friends (1986) ", ("Action", "Film-Noir")),
    ("5", "Land III (1995)", "V", "Land III (1995) (V)", ("Children's", "Sci-Fi")),
    ("6", "Toy Story", "1995", "Toy Story (1995)", ("Sci-Fi",)),
)
PEOPLE = (
    ("10", "24", "M", "technician", "85711"),
    ("11", "53", "F", "other", "V1G4L"),
    ("12", "7", "M", "student", "55436"),
)
RATINGS = (
    ("10", "1", "5", "874965758"),
    ("11", "2", "3", "881250949"),
    ("10", "4", "1", "875000000"),
    ("12", "5", "4", "881250949"),
    ("11", "1", "2", "881250950"),
)


def _lines(rows: list[tuple[str, ...]], delimiter: str) -> str:
    return "".join(delimiter.join(row) + "\n" for row in rows)


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """The official MovieLens-100K layout, in Latin-1."""
    folder = tmp_path / "official"
    folder.mkdir()
    genres = [(genre, str(i)) for i, genre in enumerate(GENRES)]
    items = [
        (
            *(id_, title, "01-Jan-1995" if title != "unknown" else "", "", "http://x"),
            *("1" if genre in own else "0" for genre in GENRES),
        )
        for id_, _, _, title, own in FILMS
    ]
    for name, rows, delimiter in (
        ("u.genre", genres, "|"),
        ("u.item", items, "|"),
        ("u.user", list(PEOPLE), "|"),
        ("u.data", list(RATINGS), "\t"),
    ):
        text = _lines(rows, delimiter)
        (folder / name).write_bytes(text.encode("latin-1"))
    # As published: a blank line at the end.
    with (folder / "u.genre").open("a") as file:
        file.write("\n")
    return folder


@pytest.fixture
def atomic(tmp_path: Path) -> Path:
    """The same in RecBole atomic files, the rows in another order."""
    folder = tmp_path / "atomic"
    folder.mkdir()
    items = [(id_, title, year, " ".join(own)) for id_, title, year, _, own in FILMS]
    for suffix, header, rows in (
        (
            "item",
            "item_id:token movie_title:token_seq release_year:token class:token_seq",
            items[::-1],
        ),
        (
            "user",
            "user_id:token age:token gender:token occupation:token zip_code:token",
            list(PEOPLE),
        ),
        (
            "inter",
            "user_id:token item_id:token rating:float timestamp:float",
            list(RATINGS[::-1]),
        ),
    ):
        text = header.replace(" ", "\t") + "\n" + _lines(rows, "\t")
        (folder / f"films.{suffix}").write_text(text, "utf-8")
    return folder
