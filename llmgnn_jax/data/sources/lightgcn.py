"""The text format of LightGCN and NGCF: train.txt and test.txt, a user and its items.

Each line is `user item item ...`: whole numbers with spaces between them; a user may
have no items. Used by He et al., "LightGCN: Simplifying and Powering Graph Convolution
Network for Recommendation" (2020), and by those who compare with it.

Numbers are external ids. What is merely odd is kept, and counted in a warning: a pair
that repeats in a file, a pair of train that is in test too (it was seen: no positive),
a user or item of test that train lacks.
"""

import codecs
import logging
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.distinct import among, distinct
from llmgnn_jax.data.sources.files import open_file, unreadable
from llmgnn_jax.errors import UserError

logger = logging.getLogger(__name__)

FILES = ("train.txt", "test.txt")

_LONE_RETURN = re.compile(rb"\r(?!\n|\Z)")
_SPACES = np.frombuffer(b" \t\r\n", np.uint8)
# Any number of so many digits fits int64.
_MOST_DIGITS = 18


@dataclass(frozen=True, kw_only=True, eq=False)
class _Part:
    """One file, as its numbers stand there.

    Attributes:
        listed: (n,) int64 the user of each line.
        users: (E,) int64 the user of each interaction.
        items: (E,) int64 its item.
    """

    listed: np.ndarray
    users: np.ndarray
    items: np.ndarray


def read_lightgcn(folder: Path | str, *, name: str | None = None) -> Dataset:
    """Reads a folder in the format of LightGCN.

    Users and items are numbered in ascending order; the rows are those of train.txt,
    then those of test.txt, in file order; `published_test` marks the latter. There are
    no values, times, titles or texts.

    Args:
        folder: Holds train.txt and test.txt.
        name: The dataset's name; the folder's name if not given.

    Raises:
        UserError: For a file that is missing or without interactions, or a number that
            is negative, not whole or has more than 18 digits.
    """
    folder = Path(folder)
    train, test = (_read(folder / file) for file in FILES)
    user_ids = distinct(np.concatenate([train.listed, test.listed]))
    item_ids = distinct(np.concatenate([train.items, test.items]))
    users = np.searchsorted(user_ids, np.concatenate([train.users, test.users]))
    items = np.searchsorted(item_ids, np.concatenate([train.items, test.items]))
    in_test = np.arange(len(users)) >= len(train.users)
    _warn_of_oddities(folder, users, items, in_test)
    return Dataset(
        name=name or folder.name,
        user_ids=tuple(map(str, user_ids.tolist())),
        item_ids=tuple(map(str, item_ids.tolist())),
        users=users,
        items=items,
        values=np.ones(len(users)),
        timestamps=np.zeros(len(users), np.int64),
        item_titles=("",) * len(item_ids),
        item_texts=("",) * len(item_ids),
        published_test=in_test,
    )


def _read(path: Path) -> _Part:
    try:
        with open_file(path) as file:
            raw = file.read().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise unreadable(path, error) from error
    # Else a user and its items would be items of the user before.
    if found := _LONE_RETURN.search(raw):
        line = 1 + raw.count(b"\n", 0, found.start())
        raise UserError.field(
            f"{path.name}, line {line}",
            expected="lines that end in a line feed",
            got="a carriage return without one",
            fix="save the file with Unix line ends",
        )
    data = np.frombuffer(raw, np.uint8)
    digit = (data >= ord("0")) & (data <= ord("9"))
    strange = ~(digit | np.isin(data, _SPACES))
    if strange.any():
        raise _error(path, raw, int(strange.argmax()))
    edge = np.diff(digit.astype(np.int8), prepend=0, append=0)
    starts, ends = np.flatnonzero(edge == 1), np.flatnonzero(edge == -1)
    lengths = ends - starts
    if (lengths > _MOST_DIGITS).any():
        raise _error(path, raw, int(starts[(lengths > _MOST_DIGITS).argmax()]))
    numbers = np.zeros(len(starts), np.int64)
    for place in range(int(lengths.max(initial=0))):
        longer = lengths > place
        digits = data[starts[longer] + place].astype(np.int64) - ord("0")
        numbers[longer] = 10 * numbers[longer] + digits
    lines = np.searchsorted(np.flatnonzero(data == ord("\n")), starts)
    first = np.diff(lines, prepend=-1) > 0
    if first.all():  # An empty file too.
        raise UserError.field(
            path.name,
            expected="at least one line `user item item ...`",
            got="no interaction",
        )
    owners = numbers[first][np.cumsum(first) - 1]
    return _Part(listed=numbers[first], users=owners[~first], items=numbers[~first])


def _error(path: Path, raw: bytes, position: int) -> UserError:
    """What stands at a position is no number: the word around it, and its line."""
    line = raw.count(b"\n", 0, position) + 1
    begin = max(raw.rfind(space, 0, position) for space in (b" ", b"\t", b"\n")) + 1
    word = raw[begin:].split(maxsplit=1)[0][:40].decode("utf-8", "replace")
    return UserError.field(
        f"{path.name}, line {line}",
        expected="whole numbers from 0 on, with spaces between them",
        got=repr(word),
        fix="write `user item item ...`, ids as numbers",
    )


def _warn_of_oddities(
    folder: Path, users: np.ndarray, items: np.ndarray, in_test: np.ndarray
) -> None:
    pairs = users * (int(items.max()) + 1) + items
    train, test = distinct(pairs[~in_test]), distinct(pairs[in_test])
    for count, what in (
        (len(pairs) - len(train) - len(test), "pairs that repeat within a file"),
        (
            np.count_nonzero(among(test, train)),
            "pairs of train.txt that are in test.txt too, and count as seen",
        ),
        (
            _count_new(users[in_test], users[~in_test]),
            "users of test.txt without an item in train.txt",
        ),
        (
            _count_new(items[in_test], items[~in_test]),
            "items of test.txt that train.txt lacks",
        ),
    ):
        if count:
            logger.warning("%s: %s: %d", folder, what, count)


def _count_new(of_test: np.ndarray, of_train: np.ndarray) -> int:
    """How many different numbers of test are none of train's."""
    return int(np.count_nonzero(~among(distinct(of_test), distinct(of_train))))
