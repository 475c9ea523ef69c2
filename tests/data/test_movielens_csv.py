"""MovieLens's CSV layout: quotes, genres, tags of ratings, the real data."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from llmgnn_jax.data import catalog
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.sources.movielens_csv import read_movielens_csv
from llmgnn_jax.data.splits import split_cold, split_random
from llmgnn_jax.errors import UserError

MOVIES = (
    "movieId,title,genres",
    "1,Toy Story (1995),Adventure|Children",
    '4,"Misérables, Les (1995)",Drama',
    '7,"""Great Performances"" Cats (1998) ",(no genres listed)',
    "9,Nobody Saw It,Comedy",
)
RATINGS = (
    "userId,movieId,rating,timestamp",
    "10,4,3.5,881250949",
    "11,1,5.0,874965758",
    "10,1,0.5,881250950",
    "12,7,4.0,0",
)
TAGS = (
    "userId,movieId,tag,timestamp",
    "10,4,prison break,300",
    '10,4,"long, sad",100',
    "10,4, Paris ,200",
    "10,4,Paris,400",
    "11,4,never rated,100",
    "12,9,nobody rated,100",
    '12,7,"""artsy""",100',
    "99,1,no such user,100",
    "11,1,  ,100",
)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    def write(
        movies: tuple[str, ...] = MOVIES,
        ratings: tuple[str, ...] = RATINGS,
        tags: tuple[str, ...] | None = TAGS,
    ) -> Path:
        made = tmp_path / "films"
        made.mkdir(exist_ok=True)
        for name, lines in (("movies", movies), ("ratings", ratings), ("tags", tags)):
            (made / f"{name}.csv").unlink(missing_ok=True)
            if lines is not None:
                (made / f"{name}.csv").write_text(
                    "".join(f"{a}\n" for a in lines), "utf-8"
                )
        return made

    return write


def of_pair(dataset: Dataset, user: str, item: str) -> str:
    [row] = np.flatnonzero(
        (dataset.users == dataset.user_ids.index(user))
        & (dataset.items == dataset.item_ids.index(item))
    )
    assert dataset.interaction_texts is not None
    return dataset.interaction_texts[row]


def test_what_is_read(folder: Callable[..., Path]) -> None:
    films = catalog.load(folder())
    assert films.name == "films"
    assert films.user_ids == ("10", "11", "12")
    assert films.item_ids == ("1", "4", "7", "9")
    assert films.item_titles == (
        "Toy Story (1995)",
        "Misérables, Les (1995)",
        '"Great Performances" Cats (1998)',
        "Nobody Saw It",
    )
    assert films.item_texts[0] == "Toy Story (1995). Adventure, Children."
    assert films.item_texts[2] == '"Great Performances" Cats (1998).'
    genres = (("Adventure", "Children"), ("Drama",), (), ("Comedy",))
    assert films.item_categorical["genre"] == genres
    years = films.item_numeric["release_year"]
    np.testing.assert_array_equal(years, [1995, 1995, 1998, np.nan])
    np.testing.assert_array_equal(films.users, [0, 1, 0, 2])
    np.testing.assert_array_equal(films.items, [1, 0, 0, 2])
    np.testing.assert_array_equal(films.values, [3.5, 5, 0.5, 4])
    assert films.timestamps.tolist() == [881250949, 874965758, 881250950, 0]
    assert read_movielens_csv(folder(), name="mine").name == "mine"


def test_tags_are_texts_of_the_rating(
    folder: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    films = read_movielens_csv(folder())
    # Oldest first, each once.
    assert films.interaction_texts == (
        "long, sad, Paris, prison break",
        "",
        "",
        '"artsy"',
    )
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().endswith(
        "tags.csv: 3 of 8 tags dropped: their users have no interaction with what they "
        "tagged"
    )
    assert read_movielens_csv(folder(tags=None)).interaction_texts is None


def test_tags_of_held_out_ratings_are_not_trained_on(
    folder: Callable[..., Path],
) -> None:
    films = read_movielens_csv(folder())
    held_out = set()
    for seed in range(8):
        split = split_cold(films, seed=seed, share=0.3, valid_share=0.0)
        [item] = np.flatnonzero(split.cold_items("test"))
        held_out.add(films.item_ids[item])
        train = split.training()
        assert train.item_texts[item] == films.item_texts[item]
        assert ("Paris" in " ".join(train.item_texts)) == (films.item_ids[item] != "4")
    assert held_out == {"1", "4", "7"}


def test_the_latest_of_several_ratings_has_the_tags(
    folder: Callable[..., Path],
) -> None:
    again = ("10,4,1.0,881250999", "10,4,2.0,881250900")
    for lines in (again, again[::-1]):
        films = read_movielens_csv(folder(ratings=(*RATINGS, *lines)))
        assert films.interaction_texts is not None
        [row] = [n for n, text in enumerate(films.interaction_texts) if "Paris" in text]
        assert films.values[row] == 1


def test_the_order_of_lines_and_columns_does_not_matter(
    folder: Callable[..., Path],
) -> None:
    wanted = read_movielens_csv(folder())
    for lines in (slice(None, 0, -1), slice(1, None)):
        other = read_movielens_csv(
            folder(*((head[0], *head[lines]) for head in (MOVIES, RATINGS, TAGS)))
        )
        assert other.content_hash() == wanted.content_hash()
        assert (
            split_random(other, seed=0).split_hash
            == split_random(wanted, seed=0).split_hash
        )
    turned = [
        line.rpartition(",")[2] + "," + line.rpartition(",")[0] for line in RATINGS
    ]
    for end in ("\n", "\r\n"):
        path = folder() / "ratings.csv"
        text = end.join(["", *turned, "  ", ""]).removeprefix(end)
        path.write_bytes(b"\xef\xbb\xbf" + text.encode())
        read = read_movielens_csv(path.parent)
        assert read.content_hash() == wanted.content_hash()


@pytest.mark.parametrize(
    ("file", "lines", "said"),
    [
        ("movies", MOVIES[:1], "movies.csv: expected at least one line below the"),
        ("movies", (), "movies.csv, line 1: expected one column movieId in the header"),
        (
            "movies",
            ("movieId,name,genres", *MOVIES[1:]),
            "movies.csv, line 1: expected one column title in the header, got movieId, "
            "name, genres",
        ),
        (
            "movies",
            (*MOVIES, "5,Dogs, Cats (1999),Drama"),
            "movies.csv, line 6: expected 3 fields (movieId, title, genres), got 4; "
            "quote fields that hold a comma",
        ),
        (
            "movies",
            (*MOVIES, '5,"a\nb",Drama', '6,"Cats" and dogs,Drama'),
            "movies.csv, line 8: expected fields, quoted where they hold a comma, a "
            "quote or a new line, got ',' expected after '\"'; double each quote",
        ),
        (
            "movies",
            (*MOVIES, '5,"Cats,Drama'),
            "movies.csv, line 6: expected fields, quoted",
        ),
        (
            "movies",
            (*MOVIES, "4,Again,Drama"),
            "movies.csv, line 6, column movieId: expected each id once, got '4'",
        ),
        (
            "ratings",
            (*RATINGS, "10,77,1,1"),
            "ratings.csv, line 6, column movieId: expected an id that movies.csv "
            "lists, got '77'; add it to movies.csv or drop the line",
        ),
        (
            "ratings",
            (*RATINGS, "10,4,good,1"),
            "ratings.csv, line 6, column rating: expected a finite number, got 'good'",
        ),
        (
            "ratings",
            (*RATINGS, "10,4,1,-1"),
            "ratings.csv, line 6, column timestamp: expected seconds since 1970, not "
            "negative, got '-1'",
        ),
        (
            "ratings",
            (*RATINGS, ",4,1,1"),
            "ratings.csv, line 6, column userId: expected an id, got ''",
        ),
        (
            "tags",
            ("userId,movieId,tag,timestamp", "1,1,fun,soon"),
            "tags.csv, line 2, column timestamp: expected a finite number, got 'soon'",
        ),
    ],
)
def test_malformed_files_are_named(
    folder: Callable[..., Path], file: str, lines: tuple[str, ...], said: str
) -> None:
    with pytest.raises(UserError) as caught:
        read_movielens_csv(folder(**{file: lines}))
    assert str(caught.value).startswith(said)


def test_missing_files_and_bytes_that_are_no_text(folder: Callable[..., Path]) -> None:
    made = folder()
    (made / "movies.csv").write_bytes("\n".join(MOVIES).encode("latin-1"))
    with pytest.raises(
        UserError, match=r"movies\.csv, line 3: expected UTF-8 text, got"
    ):
        read_movielens_csv(made)
    (made / "movies.csv").unlink()
    with pytest.raises(UserError, match=r"movies\.csv: expected a readable file in"):
        read_movielens_csv(made)
    with pytest.raises(
        UserError, match=r"or movies\.csv, ratings\.csv, or movies\.dat"
    ):
        catalog.load(made)


def test_the_real_ml_latest_small(
    shared_data: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    folder = shared_data("ml-latest-small")
    start = time.process_time()
    films = catalog.load(folder)
    assert time.process_time() - start < 3
    assert (films.num_users, films.num_items) == (610, 9_742)
    assert films.num_interactions == 100_836
    assert len(np.unique(films.items)) == 9_724
    assert sorted(np.unique(films.values).tolist()) == np.arange(0.5, 5.5, 0.5).tolist()
    assert films.item_texts[0] == (
        "Toy Story (1995). Adventure, Animation, Children, Comedy, Fantasy."
    )
    assert of_pair(films, "2", "60756") == "will ferrell, funny, Highly quotable"
    assert of_pair(films, "567", "4552").endswith(', "artsy", gritty')
    assert sum(map(bool, films.interaction_texts or ())) == 1_635
    assert "tags.csv: 207 of 3683 tags dropped" in caplog.text
    assert films.item_categorical["genre"].count(()) == 34
    assert np.isnan(films.item_numeric["release_year"]).sum() == 13
    assert films.content_hash().startswith("0ad0c8c211a3d665e7ea3c4b")
    split = split_cold(films, seed=0)
    sizes = (len(split.train), len(split.valid), len(split.test))
    assert sizes == (80_551, 10_032, 10_253)
    assert int(split.cold_items("test").sum()) == 972
