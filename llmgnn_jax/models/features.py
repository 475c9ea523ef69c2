"""What a model is given: the graph and the text vectors, on the device.

Shapes: U user slots, I item slots, T width of the stored text vectors.
"""

import functools
import operator
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse

from llmgnn_jax.data.dataset import Csr
from llmgnn_jax.graph.item_item import FilterVectors
from llmgnn_jax.graph.structure import InteractionGraph


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=[
        "item_IT",
        "item_known_I",
        "user_UT",
        "user_parts_U",
        "from_history_U",
    ],
    meta_fields=[],
)
@dataclass(frozen=True, kw_only=True)
class TextFeatures:
    """Text vectors of unit length, and what is known of each user in text.

    Attributes:
        item_IT: (I, T) float32; 0 where an item has no text.
        item_known_I: (I,) bool, whether it has.
        user_UT: (U, T) float32: the vector of the profile text, or else the sum of the
            vectors of the items of the train history.
        user_parts_U: (U,) int32, how many vectors are in that sum (profile: 1).
        from_history_U: (U,) bool, whether it is a sum over the history.
    """

    item_IT: jax.Array
    item_known_I: jax.Array
    user_UT: jax.Array
    user_parts_U: jax.Array
    from_history_U: jax.Array

    def of_users(
        self,
        users_B: jax.Array,
        *,
        left_out_B: jax.Array | None = None,
        take: Callable[[jax.Array, jax.Array], jax.Array] = operator.getitem,
    ) -> tuple[jax.Array, jax.Array]:
        """Users' text vectors, the current target left out of the history.

        Args:
            users_B: (B,) user slots.
            left_out_B: (B,) item slots, each in its user's train history; or None.
            take: Rows of a table by their numbers, see `Placement.take`.

        Returns:
            (B, T) float32 vectors of unit length, 0 where nothing is left, and (B,)
            bool, whether anything is.
        """
        sum_BT, parts_B = take(self.user_UT, users_B), take(self.user_parts_U, users_B)
        if left_out_B is not None:
            counts_B = take(self.from_history_U, users_B)
            counts_B &= take(self.item_known_I, left_out_B)
            sum_BT = sum_BT - jnp.where(
                counts_B[:, None], take(self.item_IT, left_out_B), 0.0
            )
            parts_B = parts_B - counts_B
        known_B = parts_B > 0
        return unit_length(jnp.where(known_B[:, None], sum_BT, 0.0)), known_B


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["read_IK", "item_IK", "user_UK"],
    meta_fields=[],
)
@dataclass(frozen=True, kw_only=True)
class FilterFeatures:
    """A linear filter of the train part: `graph.item_item`, `graph.spectral.ideal`.

    Attributes:
        read_IK: (I, K) float32, what an item adds to the vector of a user who has it.
        item_IK: (I, K) float32, what a user's vector is multiplied with.
        user_UK: (U, K) float32, the sums over the train histories.
    """

    read_IK: jax.Array
    item_IK: jax.Array
    user_UK: jax.Array


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["graph", "text", "filter"],
    meta_fields=[],
)
@dataclass(frozen=True, kw_only=True)
class Features:
    """All that a model reads: passed to compiled programs as an argument.

    Attributes:
        graph: The interaction graph.
        text: Text features, or None for a model of the graph alone.
        filter: What is added to scores, or None; steps do not read it.
    """

    graph: InteractionGraph
    text: TextFeatures | None
    filter: FilterFeatures | None = None


def unit_length(vectors_BT: jax.Array) -> jax.Array:
    """(B, T) rows of L2 norm 1; rows of 0 stay 0, with a gradient of 0."""
    squares_B1 = jnp.sum(vectors_BT**2, axis=-1, keepdims=True)
    tiny = 1e-12
    scale_B1 = jax.lax.rsqrt(jnp.maximum(squares_B1, tiny))
    return vectors_BT * jnp.where(squares_B1 > tiny, scale_B1, 0.0)


def sum_of_items(
    history: Csr, item_vectors: np.ndarray, item_known: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What each user's items say together.

    Args:
        history: Users x items.
        item_vectors: (I, T) float32, 0 where an item has no text.
        item_known: (I,) bool, whether it has.

    Returns:
        (U, T) float32 sums over each user's items; (U,) int32, how many have a text.
    """
    # One sparse product: neither a loop over users nor an (interactions, T) array.
    matrix = scipy.sparse.csr_array(
        (np.ones(history.nnz, np.float32), history.indices, history.indptr),
        shape=(history.num_rows, len(item_vectors)),
    )
    known = matrix @ item_known.astype(np.float32)
    return matrix @ item_vectors, known.astype(np.int32)


def build_filter_features(
    vectors: FilterVectors, *, user_capacity: int, item_capacity: int
) -> FilterFeatures:
    """Lays a filter out over the slots of a graph: spare ones say nothing."""

    def laid(rows: np.ndarray, capacity: int) -> jax.Array:
        return jnp.asarray(np.pad(rows, ((0, capacity - len(rows)), (0, 0))))

    return FilterFeatures(
        read_IK=laid(vectors.read_IK, item_capacity),
        item_IK=laid(vectors.item_IK, item_capacity),
        user_UK=laid(vectors.user_UK, user_capacity),
    )


def build_text_features(
    *,
    item_vectors: np.ndarray,
    item_texts: tuple[str, ...],
    history: Csr,
    user_vectors: np.ndarray | None,
    user_texts: tuple[str, ...] | None,
    user_capacity: int,
    item_capacity: int,
) -> TextFeatures:
    """Lays text vectors out over the slots of a graph.

    Args:
        item_vectors: (num_items, T) of unit length, in the order of `item_texts`.
        item_texts: Which items have a text: "" is none.
        history: Users x items of the train part.
        user_vectors: (num_users, T) vectors of the profile texts, or None.
        user_texts: Which users have a profile text; None is none of them.
        user_capacity: U.
        item_capacity: I.
    """
    num_users, (num_items, width) = history.num_rows, item_vectors.shape
    known = np.zeros(item_capacity, bool)
    known[:num_items] = [bool(text.strip()) for text in item_texts]
    items = np.zeros((item_capacity, width), np.float32)
    items[:num_items] = np.where(known[:num_items, None], item_vectors, 0.0)
    users = np.zeros((user_capacity, width), np.float32)
    parts = np.zeros(user_capacity, np.int32)
    users[:num_users], parts[:num_users] = sum_of_items(history, items, known)
    from_history = np.ones(user_capacity, bool)
    if user_vectors is not None and user_texts is not None:
        profile = np.flatnonzero([bool(text.strip()) for text in user_texts])
        users[profile] = user_vectors[profile]
        parts[profile] = 1
        from_history[profile] = False
    return TextFeatures(
        item_IT=jnp.asarray(items),
        item_known_I=jnp.asarray(known),
        user_UT=jnp.asarray(users),
        user_parts_U=jnp.asarray(parts),
        from_history_U=jnp.asarray(from_history),
    )
