"""RecBole's LightGCN on arrays: what its data set would tell it, and its tables.

Shapes: U users, I items, D width. RecBole numbers users and items from 1: row 0 of
either table is padding, which no batch names and no edge reaches.
"""

from typing import Any

import numpy as np
import scipy.sparse
import torch
from recbole.model.general_recommender.lightgcn import LightGCN

from benchmarks.harness.system import Inputs
from benchmarks.torch_baseline.device import DEVICE, tensor

USER, ITEM, NEGATIVE_PREFIX = "user_id", "item_id", "neg_"


class _Pairs:
    """The part of `recbole.data.dataset.Dataset` that its LightGCN asks."""

    def __init__(self, inputs: Inputs) -> None:
        self._counts = {
            USER: int(inputs["num_users"]) + 1,
            ITEM: int(inputs["num_items"]) + 1,
        }
        self._ends = (np.asarray(inputs["users"]) + 1, np.asarray(inputs["items"]) + 1)

    def num(self, field: str) -> int:
        """How many there are, padding included."""
        return self._counts[field]

    def inter_matrix(self, form: str) -> Any:
        """The pairs, 1 each."""
        ones = np.ones(len(self._ends[0]), np.float32)
        shape = (self._counts[USER], self._counts[ITEM])
        return scipy.sparse.coo_matrix((ones, self._ends), shape=shape).asformat(form)


def light_gcn(inputs: Inputs, *, width: int, num_layers: int, l2: float) -> LightGCN:
    """The model with the published penalty: squares, over the rows of a batch.

    Args:
        inputs: `num_users`, `num_items`, `users` and `items` of the pairs.
        width: D.
        num_layers: Of the propagation.
        l2: Its `reg_weight`; `require_pow` makes the penalty half the sum of squares
            over the rows of a batch, as it was published.
    """
    config = {
        "USER_ID_FIELD": USER,
        "ITEM_ID_FIELD": ITEM,
        "NEG_PREFIX": NEGATIVE_PREFIX,
        "device": DEVICE,
        "embedding_size": width,
        "n_layers": num_layers,
        "reg_weight": l2,
        "require_pow": True,
    }
    return LightGCN(config, _Pairs(inputs)).to(DEVICE)


def start_from(model: LightGCN, table: np.ndarray) -> None:
    """Writes (U + I, D) vectors into both of its tables; padding is 0."""
    num_users = model.n_users - 1
    with torch.no_grad():
        for weight, rows in (
            (model.user_embedding.weight, table[:num_users]),
            (model.item_embedding.weight, table[num_users:]),
        ):
            weight[0] = 0.0
            weight[1:] = tensor(rows)


def of_nodes(user_rows: torch.Tensor, item_rows: torch.Tensor) -> torch.Tensor:
    """(U + I, D) of both tables' rows, without padding."""
    return torch.cat([user_rows[1:], item_rows[1:]])
