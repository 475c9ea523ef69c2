"""Last.fm as published for HetRec 2011: who played which artist how often, and tags.

Cantador, Brusilovsky and Kuflik, "2nd Workshop on Information Heterogeneity and Fusion
in Recommender Systems (HetRec 2011)". Tab-separated files, with or without a header:

    user_artists.dat        userID, artistID, weight (how often it was played)
    artists.dat             id, name, url, pictureURL
    user_taggedartists.dat  userID, artistID, tagID, day, month, year
    tags.dat                tagID, tagValue

A tag is the text of the listening of its user to its artist, and held out with it. Tags
of artists that are not among those that their user played are dropped, and counted in a
warning. Friends (user_friends.dat) are not read.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.sources.files import stands_there
from llmgnn_jax.data.sources.table import Block, concatenated, read_blocks, read_header
from llmgnn_jax.data.sources.tags import Tags
from llmgnn_jax.data.sources.wording import catalogue_text, clean
from llmgnn_jax.errors import UserError, excerpt

FILES = ("user_artists.dat", "artists.dat")

_TAGGED, _TAGS = "user_taggedartists.dat", "tags.dat"
# tags.dat is Latin-1 and the others UTF-8; accented Latin-1 is practically never valid
# UTF-8, so a copy of it that was saved as UTF-8 reads the same.
_ENCODINGS = ("utf-8", "latin-1")


def read_lastfm(folder: Path | str, *, name: str | None = None) -> Dataset:
    """Reads the Last.fm data of HetRec 2011.

    `values` are play counts. There are no timestamps: listening is not dated, tags are,
    and their dates only order a text. Artists that nobody played stay in the catalogue.

    Args:
        folder: Holds user_artists.dat and artists.dat, and, if there are tags,
            user_taggedartists.dat and tags.dat.
        name: The dataset's name; the folder's name if not given.

    Raises:
        UserError: For a file that is missing, empty or malformed, a duplicate artist or
            tag, a value that is no number, or an artist or tag that its file lacks.
    """
    folder = Path(folder)
    item_index: dict[str, int] = {}
    titles: list[str] = []
    for block in _blocks(folder / FILES[1], ("id", "name", "url", "pictureURL")):
        block.add_ids("id", item_index)
        titles += map(clean, block.columns["name"])

    user_index: dict[str, int] = {}
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for block in _blocks(folder / FILES[0], ("userID", "artistID", "weight")):
        parts.append(
            (
                block.number("userID", user_index),
                block.look_up("artistID", item_index, listed_in=FILES[1]),
                block.numbers("weight"),
            )
        )
    users, items, values = concatenated(parts)
    dataset = Dataset(
        name=name or folder.name,
        user_ids=tuple(user_index),
        item_ids=tuple(item_index),
        users=users,
        items=items,
        values=values,
        timestamps=np.zeros(len(users), np.int64),
        item_titles=tuple(titles),
        item_texts=tuple(catalogue_text(title, ()) for title in titles),
    )
    path = folder / _TAGGED
    if not stands_there(path):
        return dataset
    texts = _read_tags(folder).texts(dataset, path=path)
    return dataclasses.replace(dataset, interaction_texts=texts)


def _read_tags(folder: Path) -> Tags:
    tag_index: dict[str, int] = {}
    words: list[str] = []
    for block in _blocks(folder / _TAGS, ("tagID", "tagValue")):
        block.add_ids("tagID", tag_index)
        words += block.columns["tagValue"]
    tags = Tags()
    date = ("year", "month", "day")
    for block in _blocks(
        folder / _TAGGED, ("userID", "artistID", "tagID", *reversed(date))
    ):
        numbers = block.look_up("tagID", tag_index, listed_in=_TAGS).tolist()
        tags.add(
            block.ids("userID"),
            block.ids("artistID"),
            zip(*(block.numbers(column).tolist() for column in date), strict=True),
            [words[number] for number in numbers],
        )
    return tags


def _blocks(path: Path, columns: tuple[str, ...]) -> Iterator[Block]:
    """The rows of a file; its first line is a header or begins with a number.

    Raises:
        UserError: If it is neither: a row that is damaged is no header.
    """
    first = read_header(path, delimiter="\t", encodings=_ENCODINGS)[0].strip()
    # A copy that goes around has "//userID".
    headed = first.lstrip("/").casefold() == columns[0].casefold()
    if not headed and not first.isdecimal():
        raise UserError.field(
            f"{path.name}, line 1",
            expected=f"the header {', '.join(columns)}, or a line with a number first",
            got=excerpt(repr(first)),
        )
    return read_blocks(
        path,
        columns,
        delimiter="\t",
        skip_lines=int(headed),
        encodings=_ENCODINGS,
    )
