"""How interactions may be held out: the rules by name, and the ranges of shares."""

import math
from typing import Literal

from llmgnn_jax.errors import UserError

SplitRule = Literal[
    "random",
    "leave_last_out",
    "temporal",
    "published",
    "cold_items",
    "cold_users",
    "cold_both",
]


def check_cold_shares(
    section: str,
    *,
    cold_share: float,
    valid_share: float,
    warm_share: float,
    folds: int,
    fold: int,
) -> None:
    """Passes only if the shares of a cold split leave something to train on.

    Args:
        section: What the fields are of, for the error: "data", "split".
        cold_share: How much test hides; not read with `folds`.
        valid_share: How much valid hides.
        warm_share: How much of the rest test holds out, and valid as well.
        folds: From 2 on, or 0.
        fold: Which one test hides.

    Raises:
        UserError: Naming the first field that is out of range.
    """
    if folds < 0 or folds == 1:
        raise UserError.field(
            f"{section}.folds", expected="2 or more, or 0 for a random share", got=folds
        )
    if not 0 <= fold < max(folds, 1):
        raise UserError.field(
            f"{section}.fold",
            expected=f"0 to {folds - 1}" if folds else "0 where there are no folds",
            got=fold,
        )
    if folds:
        cold_share = 1 / folds
    elif not 0 < cold_share < 1:
        raise UserError.field(
            f"{section}.cold_share", expected="a share between 0 and 1", got=cold_share
        )
    if not 0 <= warm_share < 0.5:
        raise UserError.field(
            f"{section}.warm_share", expected="a share in [0, 0.5)", got=warm_share
        )
    both = cold_share + valid_share
    # Tenths that sum to one leave a rounding error to train on.
    if not (valid_share >= 0 and both < 1) or math.isclose(both, 1):
        raise UserError.field(
            f"{section}.valid_share",
            expected="a share from 0 on that leaves something to train on beside "
            f"the {cold_share:g} of test",
            got=valid_share,
        )
