"""Leave out interactions before the split; the dataset remembers what was left out."""

import dataclasses

import numpy as np

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.errors import UserError


def filter_interactions(
    dataset: Dataset,
    *,
    min_value: float | None = None,
    min_per_user: int = 0,
    min_per_item: int = 0,
) -> Dataset:
    """Keeps interactions by value, then users and items with enough of them.

    Users and items are dropped in turn until both minima hold (the k-core, as RecBole's
    `user_inter_num_interval` and `item_inter_num_interval`); a repeated pair counts as
    often as it occurs. Where a minimum is given, users or items below it leave the
    dataset; other rows keep their order.

    Raises:
        UserError: If nothing is left.
    """
    keep = np.ones(dataset.num_interactions, bool)
    filters: list[str] = []
    if min_value is not None:
        filters.append(f"value >= {min_value:g}")
        keep &= dataset.values >= np.float32(min_value)
    sides = {"user": min_per_user, "item": min_per_item}
    minima = [f"{side} >= {least}" for side, least in sides.items() if least]
    if minima:
        filters.append(f"{', '.join(minima)} interactions")
    if not filters:
        return dataset
    kept, kept_before = int(keep.sum()), -1
    while kept != kept_before:
        kept_before = kept
        if dataset.people != "none":
            keep &= _people_who_stay(dataset, keep, min_per_user, min_per_item)
            kept = int(keep.sum())
            continue
        for indices, size, minimum in (
            (dataset.users, dataset.num_users, min_per_user),
            (dataset.items, dataset.num_items, min_per_item),
        ):
            keep &= (np.bincount(indices[keep], minlength=size) >= minimum)[indices]
        kept = int(keep.sum())
    if not kept:
        raise UserError.field(
            "data",
            expected="at least one interaction left",
            got=f"none of {dataset.num_interactions} after {'; '.join(filters)}",
            fix="lower data.min_value, data.min_per_user or data.min_per_item",
        )
    users = _enough(dataset.users[keep], dataset.num_users, min_per_user)
    items = _enough(dataset.items[keep], dataset.num_items, min_per_item)
    if dataset.people != "none":
        # They are both: who leaves one side leaves the other.
        users = items = np.intersect1d(users, items)
    return dataclasses.replace(
        dataset.taken(rows=np.flatnonzero(keep), users=users, items=items),
        filters=(*dataset.filters, *filters),
    )


def _people_who_stay(
    dataset: Dataset, keep: np.ndarray, min_per_user: int, min_per_item: int
) -> np.ndarray:
    """(E,) bool: links both of whose ends have enough links from and to them."""
    users, items, size = dataset.users, dataset.items, dataset.num_users
    stays = (np.bincount(users[keep], minlength=size) >= min_per_user) & (
        np.bincount(items[keep], minlength=size) >= min_per_item
    )
    return stays[users] & stays[items]


def _enough(indices: np.ndarray, size: int, minimum: int) -> np.ndarray:
    """Those of `size` users or items that stay: all where there is no minimum."""
    return np.flatnonzero(np.bincount(indices, minlength=size) >= minimum)


def pairs_among(dataset: Dataset, kept: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of a dataset's users and items that another one has too.

    Args:
        dataset: Before `filter_interactions`.
        kept: After it, its users and items in any order.

    Returns:
        Users and items of the pairs, in the numbering of `kept`.
    """
    numbers = []
    for side in ("user", "item"):
        place = {one: at for at, one in enumerate(getattr(kept, f"{side}_ids"))}
        known = [place.get(one, -1) for one in getattr(dataset, f"{side}_ids")]
        numbers.append(np.asarray(known)[getattr(dataset, f"{side}s")])
    users, items = numbers
    both = (users >= 0) & (items >= 0)
    return users[both], items[both]
