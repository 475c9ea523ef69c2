"""People who are linked to people: friends, followers.

A dataset of them has the same people as users and as items. What is recommended to one
of them is another: neither oneself, nor whoever is linked already.
"""

import numpy as np

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.errors import UserError


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


def with_oneself(pairs: Csr, *, people: bool) -> Csr:
    """The pairs, and each of the people with themselves, where items are people."""
    if not people:
        return pairs
    everyone = np.arange(pairs.num_rows)
    return pairs.union(Csr.from_pairs(everyone, everyone, pairs.num_rows))
