"""For whom, and of which items: the same metrics for parts of users and of targets."""

from collections.abc import Iterator, Sequence

import numpy as np

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.evaluation.beyond_accuracy import Catalogue
from llmgnn_jax.evaluation.metrics import METRICS, evaluate_rankings

PARTS = 4
"""How many parts users are cut into by how much they did."""

_THIRDS = ("popular", "middling", "rare")


def sliced(
    items: np.ndarray,
    users: np.ndarray,
    positives: Csr,
    catalogue: Catalogue,
    *,
    ks: Sequence[int],
) -> dict[str, dict[str, float]]:
    """Metrics of slices, each named with how many users it is the mean of.

    * `history A-B`: users with so many train items, in four parts of about equal size
      (`history A` where all have as many).
    * `popular`, `middling`, `rare items`: only targets among the most popular items,
      which have a third of all train interactions, those with the next, and with the
      last; `new items`: those without any.

    Args:
        items: (U, K) item indices, best first.
        users: (U,) user index of each row.
        positives: Users x items to be found.
        catalogue: What the train part knows.
        ks: Cut-offs.

    Returns:
        Slice -> metric -> mean; those without a user are left out.
    """
    cuts = [*_by_history(users, positives, catalogue)]
    cuts += [(name, users, kept) for name, kept in _by_item(positives, catalogue)]
    rows = {user: row for row, user in enumerate(users.tolist())}
    found: dict[str, dict[str, float]] = {}
    for name, members, targets in cuts:
        members = members[targets.counts()[members] > 0]
        if not len(members):
            continue
        metrics = evaluate_rankings(
            items[[rows[user] for user in members.tolist()]],
            members,
            targets,
            ks=ks,
            num_items=catalogue.num_items,
        )
        label = f"{name} ({len(members):,} user{'s' if len(members) > 1 else ''})"
        found[label] = {
            key: value
            for key, value in metrics.mean.items()
            if key.partition("@")[0] in METRICS
        }
    return found


def _by_history(
    users: np.ndarray, positives: Csr, catalogue: Catalogue
) -> Iterator[tuple[str, np.ndarray, Csr]]:
    users = users[positives.counts()[users] > 0]
    lengths = catalogue.history.counts()[users]
    limits = np.unique(np.quantile(lengths, np.arange(1, PARTS + 1) / PARTS))
    low = -1
    for limit in limits.tolist():
        inside = (lengths > low) & (lengths <= limit)
        if inside.any():
            yield history_name(lengths[inside]), users[inside], positives
        low = limit


def history_name(lengths: np.ndarray) -> str:
    """What users with histories of these lengths are called."""
    least, most = int(lengths.min()), int(lengths.max())
    return f"history {least}" if least == most else f"history {least}-{most}"


def _by_item(positives: Csr, catalogue: Catalogue) -> Iterator[tuple[str, Csr]]:
    rows, targets = positives.pairs()
    for name, inside_I in thirds_of_items(catalogue.counts_I).items():
        kept = inside_I[targets]
        yield name, Csr.from_pairs(rows[kept], targets[kept], positives.num_rows)


def thirds_of_items(counts_I: np.ndarray) -> dict[str, np.ndarray]:
    """Name of a group -> (I,) bool: items by popularity, and those that are new.

    Args:
        counts_I: (I,) train interactions of each item.
    """
    order_I = np.argsort(-counts_I, kind="stable")
    # Interactions with items before each, in the order of popularity.
    before_I = np.empty(len(counts_I))
    before_I[order_I] = np.cumsum(counts_I[order_I]) - counts_I[order_I]
    third_I = np.minimum(3 * before_I // max(counts_I.sum(), 1), 2)
    groups = {
        f"{name} items": (third_I == number) & (counts_I > 0)
        for number, name in enumerate(_THIRDS)
    }
    return {**groups, "new items": counts_I == 0}
