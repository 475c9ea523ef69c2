"""Films, ratings and tags, as MovieLens has them in each layout since 1M.

A tag is the text of the rating of its user and film: it is trained on or held out with
the rating, though it may have been written later. Tags of films that their user did not
rate are dropped, and counted in a warning.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.sources.files import stands_there
from llmgnn_jax.data.sources.table import Block, concatenated
from llmgnn_jax.data.sources.tags import Tags
from llmgnn_jax.data.sources.wording import catalogue_text, clean, year_of

_NO_GENRES = "(no genres listed)"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How the files are called, and their columns.

    Attributes:
        movies: The file of the films.
        ratings: The file of the ratings.
        tags: The file of the tags, which may be absent.
        user: The column of the user.
        movie: The column of the film.
        title: The column of its title.
        genres: The column of its genres, "|" between them.
        rating: The column of the rating.
        tag: The column of the tag.
        time: The column of when it was given.
        blocks: (file, columns) -> its rows.
    """

    movies: str
    ratings: str
    tags: str
    user: str
    movie: str
    title: str
    genres: str
    rating: str
    tag: str
    time: str
    blocks: Callable[[Path, Sequence[str]], Iterator[Block]]


@dataclass(frozen=True, kw_only=True)
class Listed:
    """Users that a file of their own lists.

    Attributes:
        file: Its name.
        index: External id -> number.
        categorical: Field -> the values of each.
    """

    file: str
    index: dict[str, int]
    categorical: Mapping[str, tuple[tuple[str, ...], ...]]


def read_films(
    folder: Path, layout: Layout, *, name: str | None, listed: Listed | None = None
) -> Dataset:
    """Reads films, their ratings and their tags.

    Films that nobody rated stay in the catalogue. `item_categorical` has genre,
    `item_numeric` release_year (of the title); `interaction_texts` are the tags, None
    without a file of them.

    Args:
        folder: Holds the files.
        layout: Which they are.
        name: The dataset's name; the folder's name if not given.
        listed: The users, where a file lists them; else those who rated.

    Raises:
        UserError: For a file that is missing, empty or malformed, a duplicate film, a
            value that is no number, a negative timestamp, or the rating of a film or by
            a user that its file lacks.
    """
    item_index: dict[str, int] = {}
    titles: list[str] = []
    genres: list[tuple[str, ...]] = []
    columns: tuple[str, ...] = (layout.movie, layout.title, layout.genres)
    for block in layout.blocks(folder / layout.movies, columns):
        block.add_ids(layout.movie, item_index)
        titles += map(clean, block.columns[layout.title])
        genres += map(_genres_of, block.columns[layout.genres])

    user_index = listed.index if listed else {}
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    columns = (layout.user, layout.movie, layout.rating, layout.time)
    for block in layout.blocks(folder / layout.ratings, columns):
        parts.append(
            (
                block.look_up(layout.user, user_index, listed_in=listed.file)
                if listed
                else block.number(layout.user, user_index),
                block.look_up(layout.movie, item_index, listed_in=layout.movies),
                block.numbers(layout.rating),
                block.seconds(layout.time),
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
        user_categorical=listed.categorical if listed else {},
        item_categorical={"genre": tuple(genres)},
        item_numeric={"release_year": np.array([year_of(title) for title in titles])},
    )
    path = folder / layout.tags
    if not stands_there(path):
        return dataset
    texts = _read_tags(path, layout).texts(dataset, path=path)
    return dataclasses.replace(dataset, interaction_texts=texts)


def _genres_of(written: str) -> tuple[str, ...]:
    """The genres of a film; "(no genres listed)" is none."""
    genres = (clean(genre) for genre in written.split("|"))
    return tuple(genre for genre in genres if genre and genre != _NO_GENRES)


def _read_tags(path: Path, layout: Layout) -> Tags:
    tags = Tags()
    columns = (layout.user, layout.movie, layout.tag, layout.time)
    for block in layout.blocks(path, columns):
        tags.add(
            block.ids(layout.user),
            block.ids(layout.movie),
            block.seconds(layout.time).tolist(),
            block.columns[layout.tag],
        )
    return tags
