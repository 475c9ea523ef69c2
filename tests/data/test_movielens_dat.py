"""MovieLens 1M and 10M, by hand-made files as their READMEs describe them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from llmgnn_jax.data import catalog
from llmgnn_jax.data.sources.movielens_csv import read_movielens_csv
from llmgnn_jax.data.sources.movielens_dat import read_movielens_dat
from llmgnn_jax.errors import UserError

MOVIES = (
    "1::Toy Story (1995)::Animation|Children's|Comedy",
    "73::Misérables, Les (1995)::Drama|Musical",
    "900::Star Wars: Episode IV - A New Hope (1977)::(no genres listed)",
)
RATINGS = ("1::73::5::978300760", "2::1::3.5::978302109", "1::1::1::978301968")
USERS = ("1::F::1::10::48067", "2::M::56::16::70072", "3::M::25::0::55117-1234")
TAGS = ("1::73::long::978300800", "1::73::sad::978300700", "2::73::unseen::1")

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """(encoding, file -> lines) -> a folder."""

    def of(encoding: str = "latin-1", **files: tuple[str, ...]) -> Path:
        folder = tmp_path / "films"
        folder.mkdir(exist_ok=True)
        for name, lines in files.items():
            text = "".join(f"{line}\n" for line in lines)
            (folder / f"{name}.dat").write_text(text, encoding)
        return folder

    return of


def test_1m(write: Write) -> None:
    films = catalog.load(write(movies=MOVIES, ratings=RATINGS, users=USERS))
    assert films.name == "films"
    assert films.user_ids == ("1", "2", "3")
    assert films.item_ids == ("1", "73", "900")
    assert films.users.tolist() == [0, 1, 0]
    assert films.items.tolist() == [1, 0, 0]
    assert films.values.tolist() == [5, 3.5, 1]
    assert films.timestamps.tolist() == [978300760, 978302109, 978301968]
    assert films.item_titles[1] == "Misérables, Les (1995)"
    assert films.item_texts[0] == "Toy Story (1995). Animation, Children's, Comedy."
    assert films.item_categorical["genre"][1:] == (("Drama", "Musical"), ())
    assert films.item_numeric["release_year"].tolist() == [1995, 1995, 1977]
    assert films.user_categorical == {
        "gender": (("F",), ("M",), ("M",)),
        "age": (("under 18",), ("56 and over",), ("25-34",)),
        "occupation": (("K-12 student",), ("self-employed",), ("other",)),
        "zip_code": (("48067",), ("70072",), ("55117-1234",)),
    }
    assert films.interaction_texts is None


def test_10m(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    films = catalog.load(write("utf-8", movies=MOVIES, ratings=RATINGS, tags=TAGS))
    assert films.user_ids == ("1", "2")
    assert films.item_titles[1] == "Misérables, Les (1995)"
    assert films.interaction_texts == ("sad, long", "", "")
    assert films.user_categorical == {}
    assert "tags.dat: 1 of 3 tags dropped" in caplog.text


def test_either_layout_says_the_same(write: Write, tmp_path: Path) -> None:
    """As 20M has it, whose genome and links are passed over."""
    folder = tmp_path / "ml-20m"
    folder.mkdir()
    for name, header, lines in (
        ("movies", "movieId,title,genres", MOVIES),
        ("ratings", "userId,movieId,rating,timestamp", RATINGS),
        ("tags", "userId,movieId,tag,timestamp", TAGS),
        ("links", "movieId,imdbId,tmdbId", ("1::0114709::862", "73::0113828::")),
        ("genome-scores", "movieId,tagId,relevance", ("1::1::0.025", "1::2::0.97")),
        ("genome-tags", "tagId,tag", ("1::007", "2::007 (series)")),
    ):
        rows = [",".join(f'"{field}"' for field in line.split("::")) for line in lines]
        text = "".join(f"{row}\n" for row in (header, *rows))
        (folder / f"{name}.csv").write_text(text, "utf-8")
    wanted = catalog.load(folder)
    assert wanted.content_hash() == read_movielens_csv(folder).content_hash()
    assert (
        read_movielens_dat(
            write(movies=MOVIES[::-1], ratings=RATINGS[::-1], tags=TAGS)
        ).content_hash()
        == wanted.content_hash()
    )
    assert np.count_nonzero(wanted.timestamps) == 3


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"movies": (*MOVIES, "5::A::B::C")},
            "movies.dat, line 4: expected 3 fields (MovieID, Title, Genres), got 4; "
            "fields end at '::'",
        ),
        (
            {"movies": (*MOVIES, "1::Again::Drama")},
            "line 4, column MovieID: expected e",
        ),
        (
            {"ratings": ("1::7::5::1",)},
            "line 1, column MovieID: expected an id that mo",
        ),
        (
            {"ratings": ("9::1::5::1",)},
            "column UserID: expected an id that users.dat l",
        ),
        (
            {"ratings": ("1::1::five::1",)},
            "column Rating: expected a finite number, go",
        ),
        (
            {"ratings": ("1::1::5::-1",)},
            "column Timestamp: expected seconds since 1970",
        ),
        (
            {"users": (*USERS, "4::F::19::10::1")},
            "users.dat, line 4, column age: expected one of 1, 18, 25, 35, 45, 50, 56, "
            "got '19'; they are codes of the README",
        ),
        (
            {"users": (*USERS, "4::F::18::21::1")},
            "line 4, column occupation: expected o",
        ),
        ({"ratings": ()}, "ratings.dat: expected at least one line, got none"),
    ],
)
def test_faults(write: Write, files: dict[str, tuple[str, ...]], said: str) -> None:
    given = {"movies": MOVIES, "ratings": RATINGS, "users": USERS}
    with pytest.raises(UserError) as caught:
        catalog.load(write(**given | files))
    assert said in str(caught.value)
