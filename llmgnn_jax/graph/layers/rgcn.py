"""Graph convolution with a matrix for each relation (Schlichtkrull et al. 2018).

Shapes: N nodes, E edges, M nodes that a layer computes, R relations, B bases, K = B or
R matrices, D_in and D_out widths.
"""

import functools
from typing import Literal

import jax
import jax.numpy as jnp
import jraph
from flax import nnx

from llmgnn_jax.graph.layers.products import times_kernel
from llmgnn_jax.graph.neighbourhood import Neighbourhood

Normalisation = Literal["count", "weight"]

# A logit whose power is 0 beside that of 0.
_OTHERS = -1e9


class RGCNLayer(nnx.Module):
    """One R-GCN layer, a matrix W_r for each relation r.

        h_v' = W_0 h_v + sum over r and u in N_r(v) of W_r h_u / c_vr + b

    Schlichtkrull et al. 2018, eq. 2, before the activation; with bases, eq. 3,
    W_r = sum over b of a_rb V_b.

    Edges tell their relation in `edges["relation"]` (E,). Both forms are a sum of K
    products (A_k H) W_k over the one list of edges, where A_k holds [r_e = k] / c, or
    a_rk / c with bases: K passes over E edges of the narrower of D_in and D_out. What
    the layer itself makes is no larger than (N, D), (E, R) or (E, K). With many
    relations give bases, which is what they were made for: the cost is then that of B
    relations.

    Args:
        in_dim: D_in.
        out_dim: D_out.
        num_relations: R.
        num_bases: B, or None for a free matrix a relation.
        normalisation: c_vr: `count`, the number of v's edges of relation r; `weight`:
            edges["weight"] stands for 1 / c_vr, which saves its computation.
        root: Whether a node hears itself, W_0.
        rngs: For the Glorot-uniform matrices; b starts at 0.
    """

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        num_relations: int,
        num_bases: int | None = None,
        normalisation: Normalisation = "count",
        root: bool = True,
        rngs: nnx.Rngs,
    ) -> None:
        self.num_relations, self.num_bases = num_relations, num_bases
        self.normalisation, self.root = normalisation, root
        init = nnx.initializers.glorot_uniform()
        # Glorot by D_in and D_out: the matrices are apart from one another.
        kernel_init = nnx.initializers.glorot_uniform(batch_axis=0)
        num_kernels = num_relations if num_bases is None else num_bases
        kernel_shape = (num_kernels, in_dim, out_dim)
        self.kernels = nnx.Param(kernel_init(rngs.params(), kernel_shape))
        if num_bases is not None:
            coefficients = init(rngs.params(), (num_relations, num_bases))
            self.coefficients = nnx.Param(coefficients)
        if root:
            self.root_kernel = nnx.Param(init(rngs.params(), (in_dim, out_dim)))
        self.bias = nnx.Param(jnp.zeros(out_dim))

    def __call__(
        self, graph: jraph.GraphsTuple, *, neighbours: Neighbourhood
    ) -> jraph.GraphsTuple:
        """(N, D_in) nodes -> (M, D_out) nodes.

        Args:
            graph: `edges["relation"]` (E,) int32 in [0, R); with `weight` also
                `edges["weight"]` (E,).
            neighbours: Who sends to whom.
        """
        nodes_ND, kernels_KDD = graph.nodes, self.kernels[...]
        shares_EK = self._shares(graph, neighbours)
        out_MD = self.bias[...][None, :]
        if self.root:
            out_MD = out_MD + neighbours.own(nodes_ND) @ self.root_kernel[...]
        for k in range(kernels_KDD.shape[0]):
            combine = functools.partial(neighbours.sum, weights=shares_EK[:, k])
            out_MD = out_MD + times_kernel(combine, nodes_ND, kernels_KDD[k])
        return graph._replace(nodes=out_MD)

    def _shares(self, graph: jraph.GraphsTuple, neighbours: Neighbourhood) -> jax.Array:
        """(E, K), what of an edge each matrix is given."""
        relation_E = graph.edges["relation"]
        of_relation_ER = jax.nn.one_hot(relation_E, self.num_relations)
        if self.normalisation == "weight":
            scaled_ER = of_relation_ER * graph.edges["weight"][:, None]
        else:
            # The softmax of equal logits: each of c edges has the share 1 / c.
            equal_ER = jnp.where(of_relation_ER > 0, 0.0, _OTHERS)
            scaled_ER = of_relation_ER * neighbours.softmax(equal_ER)
        if self.num_bases is None:
            return scaled_ER
        # A product, not a look-up: its gradient is one too, and scatters nothing.
        return scaled_ER @ self.coefficients[...]
