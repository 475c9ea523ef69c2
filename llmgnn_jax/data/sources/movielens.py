"""MovieLens-100K in its official layout: u.data, u.item, u.user, u.genre.

Harper and Konstan, "The MovieLens Datasets: History and Context", 2015. The result has
the same content as the RecBole atomic files of the same data.
"""

from pathlib import Path

import numpy as np

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.sources.table import concatenated, read_blocks
from llmgnn_jax.data.sources.wording import catalogue_text, clean, year_of

FILES = ("u.data", "u.item", "u.user", "u.genre")

# The official files are Latin-1; a copy that an editor saved as UTF-8 reads the same,
# and accented Latin-1 is practically never valid UTF-8.
_ENCODINGS = ("utf-8", "latin-1")
_ITEM_COLUMNS = ("movie_id", "movie_title", "release_date", "video_date", "imdb_url")
_UNKNOWN = "unknown"


def read_movielens_100k(folder: Path | str, *, name: str | None = None) -> Dataset:
    """Reads the official MovieLens-100K layout.

    Item 267, whose title is "unknown", gets the title ""; the genre "unknown" is no
    genre. `item_categorical` has genre, `item_numeric` release_year (of the title),
    `user_categorical` gender, occupation and zip_code, `user_numeric` age.

    Args:
        folder: Holds u.data, u.item, u.user and u.genre.
        name: The dataset's name; the folder's name if not given.

    Raises:
        UserError: For a file that is missing, empty or malformed, a duplicate id, a
            value that is no number, a negative timestamp, or an interaction with a user
            or item that its file lacks.
    """
    folder = Path(folder)
    genres = [
        clean(genre)
        for block in read_blocks(
            folder / "u.genre",
            ("genre", "number"),
            delimiter="|",
            encodings=_ENCODINGS,
        )
        for genre in block.columns["genre"]
    ]
    item_index: dict[str, int] = {}
    titles: list[str] = []
    item_genres: list[tuple[str, ...]] = []
    for block in read_blocks(
        folder / "u.item",
        (*_ITEM_COLUMNS, *genres),
        delimiter="|",
        encodings=_ENCODINGS,
    ):
        block.add_ids("movie_id", item_index)
        titles += [clean(title) for title in block.columns["movie_title"]]
        flags = np.array([block.columns[genre] for genre in genres]) == "1"
        item_genres += [
            tuple(genres[g] for g in np.flatnonzero(row) if genres[g] != _UNKNOWN)
            for row in flags.T
        ]
    titles = ["" if title == _UNKNOWN else title for title in titles]

    user_index: dict[str, int] = {}
    ages: list[np.ndarray] = []
    profiles: dict[str, list[tuple[str, ...]]] = {
        field: [] for field in ("gender", "occupation", "zip_code")
    }
    for block in read_blocks(
        folder / "u.user",
        ("user_id", "age", *profiles),
        delimiter="|",
        encodings=_ENCODINGS,
    ):
        block.add_ids("user_id", user_index)
        ages.append(block.numbers("age"))
        for field, rows in profiles.items():
            rows += [(clean(value),) for value in block.columns[field]]

    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    for block in read_blocks(
        folder / "u.data",
        ("user_id", "movie_id", "rating", "timestamp"),
        delimiter="\t",
    ):
        parts.append(
            (
                block.look_up("user_id", user_index, listed_in="u.user"),
                block.look_up("movie_id", item_index, listed_in="u.item"),
                block.numbers("rating"),
                block.seconds("timestamp"),
            )
        )
    users, items, values, timestamps = concatenated(parts)
    return Dataset(
        name=name or folder.name,
        user_ids=tuple(user_index),
        item_ids=tuple(item_index),
        users=users,
        items=items,
        values=values,
        timestamps=timestamps,
        item_titles=tuple(titles),
        item_texts=tuple(
            catalogue_text(title, categories)
            for title, categories in zip(titles, item_genres, strict=True)
        ),
        user_categorical={field: tuple(rows) for field, rows in profiles.items()},
        item_categorical={"genre": tuple(item_genres)},
        user_numeric={"age": np.concatenate(ages)},
        item_numeric={"release_year": np.array([year_of(title) for title in titles])},
    )
