"""People who are linked to people: friends, followers.

A dataset of them has the same people as users and as items. What is recommended to one
of them is another: neither oneself, nor whoever is linked already.
"""

from typing import TYPE_CHECKING

import numpy as np

from llmgnn_jax.data.by_user import Ratios
from llmgnn_jax.data.csr import Csr
from llmgnn_jax.errors import UserError

if TYPE_CHECKING:
    from llmgnn_jax.data.dataset import Dataset


def check_people(
    user_ids: tuple[str, ...],
    item_ids: tuple[str, ...],
    users: np.ndarray,
    items: np.ndarray,
    *,
    mutual: bool,
) -> None:
    """What `Dataset.people` promises.

    Args:
        user_ids: U external ids.
        item_ids: Likewise, the same.
        users: (E,) indices.
        items: (E,) indices.
        mutual: Whether each link is to be there in both directions.

    Raises:
        UserError: If users are not items, one is linked with itself, or a direction is
            missing.
    """
    if user_ids != item_ids:
        raise UserError.field(
            "people",
            expected="the same ids of users and of items, in the same order",
            got=f"{len(user_ids)} and {len(item_ids)} that differ",
        )
    own = users == items
    if own.any():
        raise UserError.field(
            f"interaction {int(own.argmax())}",
            expected="a link with somebody else",
            got="one of a person with themselves",
            fix="drop the row",
        )
    if not mutual:
        return
    there, back = (
        np.unique(one.astype(np.int64) * len(user_ids) + other)
        for one, other in ((users, items), (items, users))
    )
    lonely = np.setdiff1d(there, back)
    if len(lonely):
        raise UserError.field(
            "people",
            expected="each link of friends in both directions",
            got=f"{len(lonely)} links in one alone",
            fix="read them as followers, or add the other direction",
        )


def parts_of_friendships(
    dataset: "Dataset", *, seed: int, ratios: Ratios
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All friendships in three parts at random, both directions of each in one of them.

    The draw knows external ids alone. `int(ratio * n)` of n friendships go to valid and
    to test.

    Args:
        dataset: Whose `people` are "friends".
        seed: Of the draw.
        ratios: Of train, valid and test; they sum to 1.

    Returns:
        The rows of train, valid and test.
    """
    order = dataset.canonical_order
    size = dataset.num_users
    users = dataset.users[order].astype(np.int64)
    items = dataset.items[order].astype(np.int64)
    codes = np.minimum(users, items) * size + np.maximum(users, items)
    # Friendships in the order in which the canonical one first names them.
    _, first, places = np.unique(codes, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    drawn = np.random.default_rng(seed).permutation(len(first))
    sizes = [int(share * len(first)) for share in ratios[1:]]
    part = np.zeros(len(first), np.int64)
    part[drawn[: sizes[0]]] = 1
    part[drawn[sizes[0] : sum(sizes)]] = 2
    of_row = part[rank[places]]
    train, valid, test = (order[of_row == number] for number in range(3))
    return train, valid, test


def with_oneself(pairs: Csr, *, people: bool) -> Csr:
    """The pairs, and each of the people with themselves, where items are people."""
    if not people:
        return pairs
    everyone = np.arange(pairs.num_rows)
    return pairs.union(Csr.from_pairs(everyone, everyone, pairs.num_rows))
