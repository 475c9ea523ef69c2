"""Sums over neighbours times a matrix, the cheaper way round.

Shapes: N nodes, M nodes that a layer computes, D_in and D_out widths.
"""

from collections.abc import Callable

import jax

from llmgnn_jax.graph.sparse_features import SparseFeatures


def times_kernel(
    combine: Callable[[jax.Array], jax.Array],
    nodes: jax.Array | SparseFeatures,
    kernel: jax.Array,
) -> jax.Array:
    """A (H W) = (A H) W: the narrower of both is sent over the edges.

    Where fewer nodes hear than send, as in a sampled tree, the matrix comes last in any
    case: it is then applied to those that hear alone. Sparse features are never sent.

    Args:
        combine: (N, D) -> (M, D), the linear map A.
        nodes: (N, D_in), H; dense or sparse.
        kernel: (D_in, D_out), W.

    Returns:
        (M, D_out).
    """
    if isinstance(nodes, SparseFeatures):
        return combine(nodes @ kernel)
    in_dim, out_dim = kernel.shape
    num_heard = jax.eval_shape(combine, nodes).shape[0]
    if out_dim <= in_dim and num_heard == nodes.shape[0]:
        return combine(nodes @ kernel)
    return combine(nodes) @ kernel
