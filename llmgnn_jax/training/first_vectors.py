"""Node vectors to start from that come from the train part, not from chance.

Shapes: U users, I items, N nodes, D width of node vectors, T width of a text vector, K
columns that the data fill, at most D.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from llmgnn_jax.graph.spectral import plan_pairs, singular_vectors
from llmgnn_jax.models.recommender import ModelSpec
from llmgnn_jax.training.prepare import Prepared


class Found(NamedTuple):
    """What the data say of one side.

    Attributes:
        vectors: (rows, K), of any scale.
        known: (rows,) bool; where False they say nothing.
    """

    vectors: np.ndarray
    known: np.ndarray


def first_vectors(
    spec: ModelSpec, prepared: Prepared, drawn_ND: jax.Array
) -> jax.Array:
    """(N, D) what a model's node vectors start from.

    Args:
        spec: Which model.
        prepared: The run's data.
        drawn_ND: Random ones, which stay where the data say nothing: columns beyond
            K, nodes without a pair or a text, spare slots.
    """
    if spec.init not in ("spectral", "text"):
        return drawn_ND
    of_data = _spectral if spec.init == "spectral" else _of_texts
    drawn_UD, others_OD, drawn_ID = spec.layout.split_all(drawn_ND)
    tables = [np.array(side) for side in (drawn_UD, drawn_ID)]
    for table, (found, known) in zip(
        tables, of_data(prepared, spec.embedding_dim), strict=True
    ):
        rows = np.flatnonzero(known)
        table[rows, : found.shape[1]] = _scaled(found[rows], spec.init_scale)
    users_UD, items_ID = map(jnp.asarray, tables)
    return spec.layout.join(users_UD, items_ID, others_OD)


def _spectral(prepared: Prepared, width: int) -> tuple[Found, Found]:
    """Leading singular vectors of the normalised pairs.

    Each counts alike, whatever its singular value: the layers weigh them by it.
    """
    history, num_items = prepared.history, prepared.dataset.num_items
    found = singular_vectors(
        plan_pairs(history, num_items),
        rank=min(width, history.num_rows, num_items),
        key=jax.random.key(prepared.config.seed),
    )
    popularity_I = np.bincount(history.indices, minlength=num_items)
    users_UK, items_IK = np.asarray(found.users_UK), np.asarray(found.items_IK)
    # Beyond the rank of the pairs they are 0, from which nothing would be learned.
    there_K = items_IK.any(axis=0)
    return (
        Found(users_UK[:, there_K], history.counts() > 0),
        Found(items_IK[:, there_K], popularity_I > 0),
    )


def _of_texts(prepared: Prepared, width: int) -> tuple[Found, Found]:
    """Principal components of the items' text vectors.

    What all of them have in common is taken away: it tells none from the others. A
    user's vector is the mean of its items', or its profile's.
    """
    text = prepared.features.text
    assert text is not None, "whoever asks for it has texts"
    items_IT, items_known = np.asarray(text.item_IT), np.asarray(text.item_known_I)
    parts_U = np.asarray(text.user_parts_U)
    means_UT = np.asarray(text.user_UT) / np.maximum(parts_U, 1)[:, None]
    known_IT = items_IT[items_known]
    center_T = known_IT.mean(axis=0)
    apart_IT = (known_IT - center_T).astype(np.float64)
    _, axes_TT = np.linalg.eigh(apart_IT.T @ apart_IT)
    # As many as there are directions in which texts differ.
    rank = max(1, min(width, len(center_T), len(known_IT) - 1))
    axes_TK = axes_TT[:, ::-1][:, :rank].astype(np.float32)
    return (
        Found((means_UT - center_T) @ axes_TK, parts_U > 0),
        Found((items_IT - center_T) @ axes_TK, items_known),
    )


def _scaled(rows: np.ndarray, scale: float) -> np.ndarray:
    """Rows whose numbers have a root mean square of `scale`."""
    return rows * (scale / max(float(np.sqrt(np.mean(rows**2))), 1e-12))
