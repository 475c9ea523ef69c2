"""MovieLens as it is published since 2015: movies.csv, ratings.csv, tags.csv.

ml-latest-small, ml-latest, ml-20m, ml-25m and ml-32m have this layout; links.csv and
the genome files are not read. Harper and Konstan, "The MovieLens Datasets: History and
Context", 2015.

A tag is the text of the rating of its user and film: it is trained on or held out with
the rating, though it may have been written later. Tags of films that their user did not
rate are dropped, and counted in a warning.
"""

import dataclasses
from pathlib import Path

import numpy as np

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.sources.csv_table import read_csv
from llmgnn_jax.data.sources.files import stands_there
from llmgnn_jax.data.sources.table import concatenated
from llmgnn_jax.data.sources.tags import Tags
from llmgnn_jax.data.sources.wording import catalogue_text, clean, year_of

FILES = ("movies.csv", "ratings.csv")

_TAGS = "tags.csv"
_NO_GENRES = "(no genres listed)"


def read_movielens_csv(folder: Path | str, *, name: str | None = None) -> Dataset:
    """Reads the CSV layout of MovieLens.

    Films that nobody rated stay in the catalogue. `item_categorical` has genre,
    `item_numeric` release_year (of the title); `interaction_texts` are the tags, None
    without a tags.csv.

    Args:
        folder: Holds movies.csv and ratings.csv, and tags.csv if there are tags.
        name: The dataset's name; the folder's name if not given.

    Raises:
        UserError: For a file that is missing, empty or malformed, a duplicate film, a
            value that is no number, a negative timestamp, or the rating of a film that
            movies.csv lacks.
    """
    folder = Path(folder)
    item_index: dict[str, int] = {}
    titles: list[str] = []
    genres: list[tuple[str, ...]] = []
    for block in read_csv(folder / FILES[0], ("movieId", "title", "genres")):
        block.add_ids("movieId", item_index)
        titles += map(clean, block.columns["title"])
        genres += map(genres_of, block.columns["genres"])

    user_index: dict[str, int] = {}
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    for block in read_csv(
        folder / FILES[1], ("userId", "movieId", "rating", "timestamp")
    ):
        parts.append(
            (
                block.number("userId", user_index),
                block.look_up("movieId", item_index, listed_in=FILES[0]),
                block.numbers("rating"),
                block.seconds("timestamp"),
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
        item_categorical={"genre": tuple(genres)},
        item_numeric={"release_year": np.array([year_of(title) for title in titles])},
    )
    path = folder / _TAGS
    if not stands_there(path):
        return dataset
    texts = _read_tags(path).texts(dataset, path=path)
    return dataclasses.replace(dataset, interaction_texts=texts)


def genres_of(field: str) -> tuple[str, ...]:
    """The genres of a film, "|" between them; "(no genres listed)" is none."""
    genres = (clean(genre) for genre in field.split("|"))
    return tuple(genre for genre in genres if genre and genre != _NO_GENRES)


def _read_tags(path: Path) -> Tags:
    tags = Tags()
    for block in read_csv(path, ("userId", "movieId", "tag", "timestamp")):
        tags.add(
            block.ids("userId"),
            block.ids("movieId"),
            block.seconds("timestamp").tolist(),
            block.columns["tag"],
        )
    return tags
