"""Dropout whose draws belong to entries, not to where an array lies.

Shapes: N nodes, D width.
"""

import jax
import jax.numpy as jnp

from llmgnn_jax.graph.sparse_features import SparseFeatures


def dropout(
    nodes: jax.Array | SparseFeatures, *, key: jax.Array, rate: float
) -> jax.Array | SparseFeatures:
    """Each entry is 0 with probability `rate`, else divided by `1 - rate`.

    Srivastava et al. 2014, "Dropout". An entry's draw is keyed by its node and column.
    Of sparse features only what is stored is drawn for: what is 0 stays 0, and the
    result is that of the dense matrix.

    Args:
        nodes: (N, D).
        key: Of this step and layer.
        rate: In [0, 1).

    Returns:
        As `nodes`.
    """
    if not rate:
        return nodes
    if isinstance(nodes, SparseFeatures):
        keep_Z = _keep(key, nodes.shape[0], nodes.nodes_Z, nodes.features_Z, rate)
        return nodes.with_values(jnp.where(keep_Z, nodes.values / (1.0 - rate), 0.0))
    rows_ND, columns_ND = jnp.indices(nodes.shape, dtype=jnp.int32)
    keep_ND = _keep(key, nodes.shape[0], rows_ND, columns_ND, rate)
    return jnp.where(keep_ND, nodes / (1.0 - rate), 0.0)


def dropout_of_rows(nodes_ND: jax.Array, *, key: jax.Array, rate: float) -> jax.Array:
    """The same for dense vectors, where a node's key draws its whole row at once.

    A fraction of the work of a key an entry, which sparse features need.

    Args:
        nodes_ND: (N, D).
        key: Of this step and layer.
        rate: In [0, 1).
    """
    if not rate:
        return nodes_ND
    num_nodes, width = nodes_ND.shape
    fold_in = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
    row_keys_N = fold_in(key, jnp.arange(num_nodes, dtype=jnp.int32))
    keep_ND = jax.vmap(
        lambda row_key: jax.random.bernoulli(row_key, 1.0 - rate, (width,))
    )(row_keys_N)
    return jnp.where(keep_ND, nodes_ND / (1.0 - rate), 0.0)


def _keep(
    key: jax.Array, num_nodes: int, rows: jax.Array, columns: jax.Array, rate: float
) -> jax.Array:
    """Bool of the shape of `rows` and `columns`, which it is a function of."""
    fold_in = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
    row_keys_N = fold_in(key, jnp.arange(num_nodes, dtype=jnp.int32))

    def draw(row_key: jax.Array, column: jax.Array) -> jax.Array:
        return jax.random.bernoulli(jax.random.fold_in(row_key, column), 1.0 - rate)

    drawn = jax.vmap(draw)(row_keys_N[rows.reshape(-1)], columns.reshape(-1))
    return drawn.reshape(rows.shape)
