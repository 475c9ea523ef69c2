"""What lists are like, whoever they were right for: novel, diverse, or all the same.

Shapes: U ranked users, K length of the rankings, I items.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse

from llmgnn_jax.data.csr import Csr

NAMES = ("novelty", "diversity", "popularity_lift", "gini", "new_share")

_DIVERSITY_USERS = 2_000
"""Lists that `diversity` is the mean of: each asks for all users of its items."""
_AT_ONCE = 500


@dataclass(frozen=True, eq=False)
class Catalogue:
    """What the train part knows of items.

    Attributes:
        history: (users x I) train pairs.
        num_items: I.
        candidates: (I,) bool, which items could be shown; None for all of them.
    """

    history: Csr
    num_items: int
    candidates: np.ndarray | None = None

    @cached_property
    def counts_I(self) -> np.ndarray:
        """(I,) float64 train users of each item."""
        counts = np.bincount(self.history.indices, minlength=self.num_items)
        return counts.astype(np.float64)

    @cached_property
    def by_item(self) -> scipy.sparse.csr_array:
        """(I, users), each item's users as a row of length 1; 0 where it has none."""
        shares_I = np.maximum(self.counts_I, 1.0) ** -0.5
        history = self.history
        matrix = scipy.sparse.csr_array(
            (shares_I[history.indices], history.indices, history.indptr),
            shape=(history.num_rows, self.num_items),
        )
        return matrix.T.tocsr()


def beyond_accuracy(
    items: np.ndarray, users: np.ndarray, catalogue: Catalogue, *, ks: Sequence[int]
) -> dict[str, float]:
    """Measures of all lists together, in the train part's own terms.

    With n_i the train users of item i, of U in all:

        novelty@k          mean of -log2((n_i + 1) / (U + 1)) over all places, bits:
                           how little one would have known the item by chance
        diversity@k        mean over lists of 1 - cos(i, j) over pairs of their items,
                           each a row of who had it in train
        popularity_lift@k  mean over users of (mean n_i of the list) / (mean n_i of the
                           train history), less 1: above 0, more popular than its taste
        gini@k             of how often items are shown: 0, all as often; 1, one alone
        new_share@k        of all places, how many show an item with n_i = 0

    Sources: Zhou et al., "Solving the apparent diversity-accuracy dilemma" (2010);
    Ziegler et al., "Improving recommendation lists through topic diversification"
    (2005); Abdollahpouri et al., "The connection between popularity bias, calibration
    and fairness in recommendation" (2020); Fleder and Hosanagar, "Blockbuster culture's
    next rise or fall" (2009).

    Args:
        items: (U, K) item indices, best first; -1 where the catalogue is exhausted.
        users: (U,) user index of each row.
        catalogue: What the train part knows.
        ks: Cut-offs, none above K.

    Returns:
        "novelty@10" and so on. `diversity` is that of at most 2,000 users.
    """
    items, users = np.asarray(items, np.int64), np.asarray(users, np.int64)
    measured: dict[str, float] = {}
    for k in ks:
        shown_UK = items[:, :k]
        measured[f"novelty@{k}"] = _novelty(shown_UK, catalogue)
        measured[f"diversity@{k}"] = _diversity(shown_UK, catalogue)
        measured[f"popularity_lift@{k}"] = _popularity_lift(shown_UK, users, catalogue)
        measured[f"gini@{k}"] = _gini(shown_UK, catalogue)
        measured[f"new_share@{k}"] = _new_share(shown_UK, catalogue)
    return measured


def _novelty(shown_UK: np.ndarray, catalogue: Catalogue) -> float:
    shown = shown_UK[shown_UK >= 0]
    known = (catalogue.counts_I[shown] + 1.0) / (catalogue.history.num_rows + 1.0)
    return float(-np.log2(known).mean()) if len(shown) else 0.0


def _popularity_lift(
    shown_UK: np.ndarray, users: np.ndarray, catalogue: Catalogue
) -> float:
    counts_I, history = catalogue.counts_I, catalogue.history
    there_UK = shown_UK >= 0
    sums_U = np.where(there_UK, counts_I[shown_UK], 0.0).sum(axis=1)
    ends = np.concatenate([[0.0], np.cumsum(counts_I[history.indices])])
    past_U = ends[history.indptr[users + 1]] - ends[history.indptr[users]]
    liked_U = history.counts()[users]
    # Newcomers have no taste to be compared with.
    both_U = there_UK.any(axis=1) & (liked_U > 0)
    if not both_U.any():
        return 0.0
    mean_U = sums_U[both_U] / there_UK[both_U].sum(axis=1)
    return float((mean_U / (past_U[both_U] / liked_U[both_U])).mean() - 1.0)


def _diversity(shown_UK: np.ndarray, catalogue: Catalogue) -> float:
    rows = np.arange(len(shown_UK))
    if len(rows) > _DIVERSITY_USERS:
        rows = np.random.default_rng(0).permutation(rows)[:_DIVERSITY_USERS]
    values = []
    for first in range(0, len(rows), _AT_ONCE):
        part_BK = shown_UK[np.sort(rows)[first : first + _AT_ONCE]]
        there_BK = part_BK >= 0
        lists, places = np.nonzero(there_BK)
        lists_BI = scipy.sparse.csr_array(
            (np.ones(len(lists)), (lists, part_BK[lists, places])),
            shape=(len(part_BK), catalogue.num_items),
        )
        # |sum of rows|^2 is the sum of all cosines, each pair twice, and of ones.
        sums = lists_BI @ catalogue.by_item
        all_B = np.asarray(sums.multiply(sums).sum(axis=1)).reshape(-1)
        known_BK = there_BK & (catalogue.counts_I[part_BK] > 0)
        count_B = there_BK.sum(axis=1)
        pairs_B = count_B * (count_B - 1)
        alike_B = all_B - known_BK.sum(axis=1)
        values.append(1.0 - alike_B[pairs_B > 0] / pairs_B[pairs_B > 0])
    joined = np.concatenate(values) if values else np.zeros(0)
    return float(joined.mean()) if len(joined) else 0.0


def _gini(shown_UK: np.ndarray, catalogue: Catalogue) -> float:
    shown = shown_UK[shown_UK >= 0]
    times_I = np.bincount(shown, minlength=catalogue.num_items)
    if catalogue.candidates is not None:
        times_I = times_I[catalogue.candidates]
    times_I = np.sort(times_I)
    count = len(times_I)
    if count < 2 or not len(shown):
        return 0.0
    weights_I = 2.0 * np.arange(1, count + 1) - count - 1
    return float((weights_I * times_I).sum() / ((count - 1) * len(shown)))


def _new_share(shown_UK: np.ndarray, catalogue: Catalogue) -> float:
    shown = shown_UK[shown_UK >= 0]
    return float((catalogue.counts_I[shown] == 0).mean()) if len(shown) else 0.0
