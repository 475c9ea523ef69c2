"""Graph attention (Veličković et al. 2018).

Shapes: N nodes, E edges, M nodes that a layer computes, D_in width, H heads, F width of
a head, D_out = H F, or F where heads are averaged.
"""

import jax
import jax.numpy as jnp
import jraph
from flax import nnx

from llmgnn_jax.graph.layers.heads import attend, edge_features, join_heads
from llmgnn_jax.graph.neighbourhood import Neighbourhood


class GATLayer(nnx.Module):
    """One GAT layer: h_v' = sum over u in N(v) of alpha_vu W h_u + b, a head.

        alpha_vu = softmax over u of LeakyReLU(a_v . W h_v + a_u . W h_u + a_e . W_e e)

    Veličković et al. 2018, eq. 3 to 6, before the activation: a . [W h_v ; W h_u] is
    taken apart, so that each node has two scores a head and no edge holds a vector. The
    edges bring their self-loops (`with_self_loops`); W_e e is there with `edge_dim`.

    Costs N D_in H F for W, E H for the scores, E H F for the sum; what the layer itself
    makes is no larger than (N, H, F) or (E, H).

    Args:
        in_dim: D_in.
        out_dim: F, the width of a head.
        heads: H.
        concat: Whether heads stand side by side (eq. 5) or are averaged (eq. 6).
        edge_dim: Width of edges["features"]; 0: they are not looked at.
        negative_slope: Of the LeakyReLU.
        residual: Whether W_res h_v is added.
        rngs: For the Glorot-uniform matrices; b starts at 0.
    """

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        heads: int = 1,
        concat: bool = True,
        edge_dim: int = 0,
        negative_slope: float = 0.2,
        residual: bool = False,
        rngs: nnx.Rngs,
    ) -> None:
        self.heads, self.concat, self.edge_dim = heads, concat, edge_dim
        self.negative_slope, self.residual = negative_slope, residual
        init = nnx.initializers.glorot_uniform()
        joined_dim = heads * out_dim if concat else out_dim
        self.kernel = nnx.Param(init(rngs.params(), (in_dim, heads * out_dim)))
        self.sender_attention = nnx.Param(init(rngs.params(), (heads, out_dim)))
        self.receiver_attention = nnx.Param(init(rngs.params(), (heads, out_dim)))
        if edge_dim:
            edge_shape = (edge_dim, heads * out_dim)
            self.edge_kernel = nnx.Param(init(rngs.params(), edge_shape))
            self.edge_attention = nnx.Param(init(rngs.params(), (heads, out_dim)))
        if residual:
            self.residual_kernel = nnx.Param(init(rngs.params(), (in_dim, joined_dim)))
        self.bias = nnx.Param(jnp.zeros(joined_dim))

    def __call__(
        self,
        graph: jraph.GraphsTuple,
        *,
        neighbours: Neighbourhood,
        keep_EH: jax.Array | None = None,
    ) -> jraph.GraphsTuple:
        """(N, D_in) nodes -> (M, D_out) nodes.

        Args:
            graph: `edges["features"]` (E, edge_dim) with `edge_dim`.
            neighbours: Who sends to whom.
            keep_EH: (E, H) what the shares are multiplied with: dropout of attention,
                0 or 1 / (1 - rate).
        """
        nodes_ND = graph.nodes
        values_NHF = (nodes_ND @ self.kernel[...]).reshape(
            nodes_ND.shape[0], self.heads, -1
        )
        logits_EH = neighbours.gather_senders(
            _scores(values_NHF, self.sender_attention[...])
        ) + neighbours.gather_receivers(
            _scores(values_NHF, self.receiver_attention[...])
        )
        features = edge_features(graph, self.edge_dim)
        if features is not None:
            # e (W_e a_e): (edge_dim, H) is small, W_e e an edge would not be.
            edge_kernel = self.edge_kernel[...].reshape(self.edge_dim, self.heads, -1)
            logits_EH += features @ _scores(edge_kernel, self.edge_attention[...])
        logits_EH = jax.nn.leaky_relu(logits_EH, self.negative_slope)
        heard_MHF = attend(
            logits_EH, values_NHF, keep_EH=keep_EH, neighbours=neighbours
        )
        out_MD = join_heads(heard_MHF, concat=self.concat) + self.bias[...][None, :]
        if self.residual:
            out_MD = out_MD + neighbours.own(nodes_ND) @ self.residual_kernel[...]
        return graph._replace(nodes=out_MD)


def _scores(values: jax.Array, attention_HF: jax.Array) -> jax.Array:
    """(..., H, F) -> (..., H), the dot product of each head with its own vector."""
    return jnp.einsum("...hf,hf->...h", values, attention_HF)
