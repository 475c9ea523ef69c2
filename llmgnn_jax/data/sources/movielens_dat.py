"""MovieLens 1M and 10M: movies.dat and ratings.dat, with "::" between fields.

    ratings.dat  UserID::MovieID::Rating::Timestamp
    movies.dat   MovieID::Title::Genres, with "|" between genres
    users.dat    UserID::Gender::Age::Occupation::Zip-code    1M alone
    tags.dat     UserID::MovieID::Tag::Timestamp              10M alone

The files of 1M are Latin-1, those of 10M UTF-8. Harper and Konstan, "The MovieLens
Datasets: History and Context", 2015; the codes of ages and occupations are those of the
README of 1M.

A tag is the text of the rating of its user and film, as in `movielens_csv`. Tags of
films that their user did not rate are dropped, and counted in a warning.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.sources.files import stands_there
from llmgnn_jax.data.sources.movielens_csv import genres_of
from llmgnn_jax.data.sources.table import Block, concatenated, read_blocks
from llmgnn_jax.data.sources.tags import Tags
from llmgnn_jax.data.sources.wording import catalogue_text, clean, year_of

FILES = ("movies.dat", "ratings.dat")

_USERS, _TAGS = "users.dat", "tags.dat"
# Accented Latin-1 is practically never valid UTF-8.
_ENCODINGS = ("utf-8", "latin-1")
_AGES = {
    "1": "under 18",
    "18": "18-24",
    "25": "25-34",
    "35": "35-44",
    "45": "45-49",
    "50": "50-55",
    "56": "56 and over",
}
_OCCUPATIONS = (
    *("other", "academic/educator", "artist", "clerical/admin"),
    *("college/grad student", "customer service", "doctor/health care"),
    *("executive/managerial", "farmer", "homemaker", "K-12 student", "lawyer"),
    *("programmer", "retired", "sales/marketing", "scientist", "self-employed"),
    *("technician/engineer", "tradesman/craftsman", "unemployed", "writer"),
)
_OCCUPATION_OF = {str(code): name for code, name in enumerate(_OCCUPATIONS)}


def read_movielens_dat(folder: Path | str, *, name: str | None = None) -> Dataset:
    """Reads the layout of MovieLens 1M and 10M.

    Films that nobody rated stay in the catalogue. `item_categorical` has genre,
    `item_numeric` release_year (of the title); `user_categorical` gender, age (a
    range), occupation and zip_code where there is a users.dat; `interaction_texts` are
    the tags, None without a tags.dat.

    Args:
        folder: Holds movies.dat and ratings.dat, and users.dat or tags.dat.
        name: The dataset's name; the folder's name if not given.

    Raises:
        UserError: For a file that is missing, empty or malformed, a duplicate film or
            user, a value that is no number, a negative timestamp, an unknown code, or
            the rating of a film or by a user that its file lacks.
    """
    folder = Path(folder)
    item_index: dict[str, int] = {}
    titles: list[str] = []
    genres: list[tuple[str, ...]] = []
    for block in _blocks(folder / FILES[0], "MovieID", "Title", "Genres"):
        block.add_ids("MovieID", item_index)
        titles += map(clean, block.columns["Title"])
        genres += map(genres_of, block.columns["Genres"])

    has_users = stands_there(folder / _USERS)
    user_index: dict[str, int] = {}
    profiles = _read_users(folder / _USERS, user_index) if has_users else {}
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    for block in _blocks(folder / FILES[1], "UserID", "MovieID", "Rating", "Timestamp"):
        parts.append(
            (
                block.look_up("UserID", user_index, listed_in=_USERS)
                if has_users
                else block.number("UserID", user_index),
                block.look_up("MovieID", item_index, listed_in=FILES[0]),
                block.numbers("Rating"),
                block.seconds("Timestamp"),
            )
        )
    users, items, values, timestamps = concatenated(parts)
    dataset = Dataset(
        name=name or folder.name,
        user_ids=tuple(user_index),
        item_ids=tuple(item_index),
        users=users,
        items=items,
        values=values,
        timestamps=timestamps,
        item_titles=tuple(titles),
        item_texts=tuple(map(catalogue_text, titles, genres)),
        user_categorical=profiles,
        item_categorical={"genre": tuple(genres)},
        item_numeric={"release_year": np.array([year_of(title) for title in titles])},
    )
    path = folder / _TAGS
    if not stands_there(path):
        return dataset
    texts = _read_tags(path).texts(dataset, path=path)
    return dataclasses.replace(dataset, interaction_texts=texts)


def _read_users(
    path: Path, user_index: dict[str, int]
) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Field -> the value of each user."""
    profiles: dict[str, list[tuple[str, ...]]] = {
        field: [] for field in ("gender", "age", "occupation", "zip_code")
    }
    codes = {"age": _AGES, "occupation": _OCCUPATION_OF}
    for block in _blocks(path, "UserID", *profiles):
        block.add_ids("UserID", user_index)
        for field, rows in profiles.items():
            names = codes.get(field)
            for row, value in enumerate(block.columns[field]):
                if names is not None and value not in names:
                    raise block.error(
                        row,
                        field,
                        expected=f"one of {', '.join(names)}",
                        fix="they are codes of the README",
                    )
                rows.append((clean(names[value] if names else value),))
    return {field: tuple(rows) for field, rows in profiles.items()}


def _read_tags(path: Path) -> Tags:
    tags = Tags()
    for block in _blocks(path, "UserID", "MovieID", "Tag", "Timestamp"):
        tags.add(
            block.ids("UserID"),
            block.ids("MovieID"),
            block.seconds("Timestamp").tolist(),
            block.columns["Tag"],
        )
    return tags


def _blocks(path: Path, *columns: str) -> Iterator[Block]:
    return read_blocks(path, columns, delimiter="::", encodings=_ENCODINGS)
