"""Last.fm as published for HetRec 2011: who played which artist how often, and tags.

Cantador, Brusilovsky and Kuflik, "2nd Workshop on Information Heterogeneity and Fusion
in Recommender Systems (HetRec 2011)". Tab-separated files, with or without a header:

    user_artists.dat        userID, artistID, weight (how often it was played)
    artists.dat             id, name, url, pictureURL
    user_taggedartists.dat  userID, artistID, tagID, day, month, year
    tags.dat                tagID, tagValue
    user_friends.dat        userID, friendID

A tag is the text of the listening of its user to its artist, and held out with it. Tags
of artists that are not among those that their user played are dropped, and counted in a
warning. Friends are the relation "friends"; those who played nothing are no users, and
are counted in a warning too.
"""

import dataclasses
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.relations import Relation
from llmgnn_jax.data.sources.files import stands_there
from llmgnn_jax.data.sources.table import Block, concatenated, read_blocks, read_header
from llmgnn_jax.data.sources.tags import Tags
from llmgnn_jax.data.sources.wording import catalogue_text, clean
from llmgnn_jax.errors import UserError, excerpt

logger = logging.getLogger(__name__)

FILES = ("user_artists.dat", "artists.dat")

_TAGGED, _TAGS, _FRIENDS = "user_taggedartists.dat", "tags.dat", "user_friends.dat"
_DATE = ("year", "month", "day")
_TAGGED_COLUMNS = ("userID", "artistID", "tagID", *reversed(_DATE))
GROUPS = "groups"
# tags.dat is Latin-1 and the others UTF-8; accented Latin-1 is practically never valid
# UTF-8, so a copy of it that was saved as UTF-8 reads the same.
_ENCODINGS = ("utf-8", "latin-1")


def read_lastfm(
    folder: Path | str, *, name: str | None = None, groups: bool = False
) -> Dataset:
    """Reads the Last.fm data of HetRec 2011.

    `values` are play counts. There are no timestamps: listening is not dated, tags are,
    and their dates only order a text. Artists that nobody played stay in the catalogue.

    Args:
        folder: Holds user_artists.dat and artists.dat, and, if there are tags,
            user_taggedartists.dat and tags.dat, if there are friends, user_friends.dat.
        name: The dataset's name; the folder's name if not given.
        groups: Whether tags are read as groups that users are in instead, the relation
            "groups": who used a tag is in its group. Both at once would let a held-out
            listening be told from the tag that came with it.

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
    relations: dict[str, Relation] = {}
    if stands_there(folder / _FRIENDS):
        relations["friends"] = _read_friends(folder / _FRIENDS, user_index)
    if groups:
        words, members = _read_groups(folder, user_index)
        return dataclasses.replace(
            dataset,
            entities={GROUPS: words},
            relations={**relations, GROUPS: members},
        )
    dataset = dataclasses.replace(dataset, relations=relations)
    path = folder / _TAGGED
    if not stands_there(path):
        return dataset
    texts = _read_tags(folder).texts(dataset, path=path)
    return dataclasses.replace(dataset, interaction_texts=texts)


def _read_friends(path: Path, user_index: Mapping[str, int]) -> Relation:
    ends: list[tuple[int, int]] = []
    dropped = 0
    for block in _blocks(path, ("userID", "friendID")):
        for pair in zip(block.ids("userID"), block.ids("friendID"), strict=True):
            if pair[0] in user_index and pair[1] in user_index:
                ends.append((user_index[pair[0]], user_index[pair[1]]))
            else:
                dropped += 1
    if dropped:
        logger.warning(
            "%s: %d of %d links dropped: one of the friends played nothing",
            path,
            dropped,
            dropped + len(ends),
        )
    heads, tails = np.array(ends, np.int64).reshape(-1, 2).T
    return Relation.merged(heads_of="user", tails_of="user", heads=heads, tails=tails)


def _read_groups(
    folder: Path, user_index: Mapping[str, int]
) -> tuple[tuple[str, ...], Relation]:
    """Tags that some user used, by their words, and who did."""
    tag_index, words = _read_words(folder)
    names = [clean(word) or f"tag {number}" for number, word in enumerate(words)]
    place: dict[str, int] = {}
    ends: list[tuple[int, int]] = []
    for block in _blocks(folder / _TAGGED, _TAGGED_COLUMNS):
        tags = block.look_up("tagID", tag_index, listed_in=_TAGS).tolist()
        for user, tag in zip(block.ids("userID"), tags, strict=True):
            if user in user_index:
                group = place.setdefault(names[tag], len(place))
                ends.append((user_index[user], group))
    heads, tails = np.array(ends, np.int64).reshape(-1, 2).T
    members = Relation.merged(
        heads_of="user", tails_of=GROUPS, heads=heads, tails=tails
    )
    return tuple(place), members


def _read_words(folder: Path) -> tuple[dict[str, int], list[str]]:
    """The tags' ids in order, and their words."""
    tag_index: dict[str, int] = {}
    words: list[str] = []
    for block in _blocks(folder / _TAGS, ("tagID", "tagValue")):
        block.add_ids("tagID", tag_index)
        words += block.columns["tagValue"]
    return tag_index, words


def _read_tags(folder: Path) -> Tags:
    tag_index, words = _read_words(folder)
    tags = Tags()
    for block in _blocks(folder / _TAGGED, _TAGGED_COLUMNS):
        numbers = block.look_up("tagID", tag_index, listed_in=_TAGS).tolist()
        tags.add(
            block.ids("userID"),
            block.ids("artistID"),
            zip(*(block.numbers(column).tolist() for column in _DATE), strict=True),
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
