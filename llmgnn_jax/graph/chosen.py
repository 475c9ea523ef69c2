"""LightGCN's vectors of a few nodes: what a training step asks for.

Shapes: N nodes, R chosen nodes, D width, L layers.

A batch names a few thousand nodes of a graph. The last layer is computed for them
alone, and the first layer of the backward pass reads their gradients alone; the layers
between reach all nodes. The backward pass is Horner's scheme for the polynomial of the
transpose A': with g the chosen nodes' gradient, t_0 = g and t_(k+1) = g + A' t_k.
"""

import functools

import jax
import jax.numpy as jnp

from llmgnn_jax.graph.aggregate import Backend, native, weighted_sum
from llmgnn_jax.graph.aggregate.operations import no_gradient
from llmgnn_jax.graph.plan import EdgePlan


def lightgcn_of(
    ego_ND: jax.Array,
    chosen_R: jax.Array,
    plan: EdgePlan,
    *,
    num_layers: int,
    backend: Backend,
) -> tuple[jax.Array, jax.Array]:
    """What `layers.lightgcn` gives for some nodes (He et al. 2020, eq. 3 and 4).

    Args:
        ego_ND: (N, D) float32 id vectors.
        chosen_R: (R,) int32 nodes in [0, N), may repeat; `native` alone checks them.
        plan: The edges, with constant weights.
        num_layers: L.
        backend: Which kernel.

    Returns:
        (R, D), the mean of the input and of each layer; (R, D), the input. Both are
        differentiable in `ego_ND`.
    """
    if backend == "native" and num_layers and ego_ND.dtype == jnp.float32:
        return _native(ego_ND, chosen_R, plan, num_layers)
    total_ND = layer_ND = ego_ND
    for _ in range(num_layers):
        layer_ND = weighted_sum(layer_ND, None, plan, backend=backend)
        total_ND = total_ND + layer_ND
    # Divided before it is gathered, as the whole layer is: the same bits.
    return (total_ND / (num_layers + 1))[chosen_R], ego_ND[chosen_R]


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _native(
    ego_ND: jax.Array, chosen_R: jax.Array, plan: EdgePlan, num_layers: int
) -> tuple[jax.Array, jax.Array]:
    ego_RD = native.gather_rows(ego_ND, chosen_R)
    total_RD, layer_ND = ego_RD, ego_ND
    for _ in range(num_layers - 1):
        layer_ND = native.weighted_row_sums(plan.incoming, layer_ND, None)
        total_RD = total_RD + native.gather_rows(layer_ND, chosen_R)
    total_RD = total_RD + native.chosen_row_sums(plan.incoming, layer_ND, chosen_R)
    return total_RD / (num_layers + 1), ego_RD


def _forward(
    ego_ND: jax.Array, chosen_R: jax.Array, plan: EdgePlan, num_layers: int
) -> tuple[tuple[jax.Array, jax.Array], tuple]:
    return _native(ego_ND, chosen_R, plan, num_layers), (chosen_R, plan)


def _backward(
    num_layers: int, residuals: tuple, gradients: tuple[jax.Array, jax.Array]
) -> tuple:
    chosen_R, plan = residuals
    num_nodes = plan.incoming.num_nodes
    of_layers_RD = gradients[0] / (num_layers + 1)
    slots_N, layers_RD = native.compact_rows(chosen_R, of_layers_RD, num_nodes)
    # What reaches the input at last: by the mean's own term and directly.
    _, last_RD = native.compact_rows(chosen_R, of_layers_RD + gradients[1], num_nodes)
    flow = layers_RD
    for layer in range(num_layers):
        flow = native.row_sums_plus(
            plan.outgoing,
            flow,
            start=last_RD if layer + 1 == num_layers else layers_RD,
            slots=slots_N,
            compact=layer == 0,
        )
    return flow, no_gradient(chosen_R), no_gradient(plan)


_native.defvjp(_forward, _backward)
