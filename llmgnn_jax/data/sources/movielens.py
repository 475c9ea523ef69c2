"""MovieLens-100K in its official layout: u.data, u.item, u.user, u.genre.

Harper and Konstan, "The MovieLens Datasets: History and Context", 2015. The result has
the same content as the RecBole atomic files of the same data.
"""

from pathlib import Path

import numpy as np

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.sources.table import Block, concatenated, read_blocks
from llmgnn_jax.data.sources.wording import catalogue_text, clean, year_of
from llmgnn_jax.errors import UserError, excerpt

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
        UserError: For a file that is missing, empty or malformed, a duplicate id or
            genre, a value that is no number, a genre's flag that is neither 0 nor 1, a
            negative timestamp, or an interaction with a user or item that its file
            lacks.
    """
    folder = Path(folder)
    genres = _read_genres(folder / "u.genre")
    flag_columns = tuple(f"flag of {genre}" for genre in genres)
    item_index: dict[str, int] = {}
    titles: list[str] = []
    item_genres: list[tuple[str, ...]] = []
    for block in read_blocks(
        folder / "u.item",
        (*_ITEM_COLUMNS, *flag_columns),
        delimiter="|",
        encodings=_ENCODINGS,
    ):
        block.add_ids("movie_id", item_index)
        titles += [clean(title) for title in block.columns["movie_title"]]
        flags = np.stack([_flags(block, column) for column in flag_columns], axis=1)
        item_genres += [
            tuple(genres[g] for g in np.flatnonzero(row) if genres[g] != _UNKNOWN)
            for row in flags
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


def _read_genres(path: Path) -> list[str]:
    """The genres in the order of their numbers, which is that of the flags in u.item.

    Raises:
        UserError: If a genre is named twice, or the numbers are not 0, 1, 2, ...
    """
    index: dict[str, int] = {}
    numbers: list[float] = []
    for block in read_blocks(
        path, ("genre", "number"), delimiter="|", encodings=_ENCODINGS
    ):
        block.add_ids("genre", index)
        numbers += block.numbers("number").tolist()
    if sorted(numbers) != list(range(len(index))):
        raise UserError.field(
            f"{path.name}, column number",
            expected=f"each of 0 to {len(index) - 1} once",
            got=excerpt(", ".join(f"{number:g}" for number in numbers)),
        )
    genres = list(map(clean, index))
    return [genres[place] for place in np.argsort(numbers)]


def _flags(block: Block, column: str) -> np.ndarray:
    """(n,) bool of a column of 0 and 1."""
    fields = block.columns[column]
    for row, field in enumerate(fields):
        if field not in ("0", "1"):
            raise block.error(row, column, expected="0 or 1", fix="mend the line")
    return np.array(fields) == "1"
