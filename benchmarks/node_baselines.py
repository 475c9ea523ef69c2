"""Classical classifiers of nodes, tuned on valid: what learned models are beside.

    label_propagation  Z <- a A_hat Z + (1 - a) Y, Y the labels of the train part
    text_logistic      multinomial logistic regression on text vectors
    smoothed_logistic  the same on [T, A_hat T, A_hat^2 T]

A_hat is D^-1/2 (A + I) D^-1/2. Sources: Zhou et al., "Learning with local and global
consistency" (2003); Wu et al., "Simplifying graph convolutional networks" (2019), with
each power kept, as in Frasca et al., "SIGN" (2020).

Shapes: N nodes, T text width, C classes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

from llmgnn_jax.data.node_dataset import LabelledNodes, NodeTrainSplit
from llmgnn_jax.errors import UserError
from llmgnn_jax.graph.layers import gcn_weights

_SHARES = (0.5, 0.7, 0.8, 0.9, 0.95)
_ROUNDS = 50
_INVERSE_L2 = (1.0, 3.0, 10.0, 30.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Classified:
    """What a baseline says, and how it was chosen.

    Attributes:
        classes: (N,) int.
        budget: The grid, and what was best on valid.
    """

    classes: np.ndarray
    budget: Mapping[str, Any]


def classical(
    train: NodeTrainSplit, valid: LabelledNodes, text_NT: np.ndarray
) -> dict[str, Classified]:
    """Each baseline by its name.

    Raises:
        UserError: If scikit-learn is absent.
    """
    a_hat = _a_hat(train)
    once = a_hat @ text_NT
    smoothed = np.concatenate([text_NT, once, a_hat @ once], axis=1)
    return {
        "label_propagation": _best(
            "share", _SHARES, valid, lambda share: _propagated(train, a_hat, share)
        ),
        "text_logistic": _best(
            "inverse_l2", _INVERSE_L2, valid, lambda c: _logistic(train, text_NT, c)
        ),
        "smoothed_logistic": _best(
            "inverse_l2", _INVERSE_L2, valid, lambda c: _logistic(train, smoothed, c)
        ),
    }


def _a_hat(train: NodeTrainSplit) -> scipy.sparse.csr_array:
    ends = np.concatenate([train.edges, train.edges[:, ::-1]])
    edges = gcn_weights(ends[:, 0], ends[:, 1], train.num_nodes)
    shape = (train.num_nodes, train.num_nodes)
    return scipy.sparse.csr_array(
        (edges.edges["weight"], (edges.receivers, edges.senders)), shape=shape
    )


def _propagated(
    train: NodeTrainSplit, a_hat: scipy.sparse.csr_array, share: float
) -> np.ndarray:
    labels_NC = np.zeros((train.num_nodes, train.num_classes))
    labels_NC[train.train, train.labels[train.train]] = 1.0
    found_NC = labels_NC
    for _ in range(_ROUNDS):
        found_NC = share * (a_hat @ found_NC) + (1 - share) * labels_NC
    # Whoever hears of no label is of the most frequent class.
    return np.argmax(found_NC + 1e-12 * labels_NC.sum(axis=0), axis=1)


def _logistic(
    train: NodeTrainSplit, features: np.ndarray, inverse_l2: float
) -> np.ndarray:
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        raise UserError.field(
            "scikit-learn",
            expected="it, for the classical baselines",
            got="none",
            fix="install the extra bench",
        ) from None
    model = LogisticRegression(C=inverse_l2, max_iter=300)
    model.fit(features[train.train], train.labels[train.train])
    classes: np.ndarray = model.predict(features)
    return classes


def _best(
    name: str,
    grid: tuple[float, ...],
    valid: LabelledNodes,
    classify: Callable[[float], np.ndarray],
) -> Classified:
    """The first of those with the highest accuracy on valid."""
    found = [classify(value) for value in grid]
    accuracy = [float((one[valid.nodes] == valid.labels).mean()) for one in found]
    best = int(np.argmax(accuracy))
    budget = {"grid": {name: list(grid)}, "chosen": {name: grid[best]}}
    return Classified(classes=found[best], budget={**budget, "trials": len(grid)})
