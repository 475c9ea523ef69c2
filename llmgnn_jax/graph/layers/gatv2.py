"""Graph attention whose ranking of neighbours depends on who asks (Brody et al. 2022).

Shapes: N nodes, E edges, M nodes that a layer computes, D_in width, H heads, F width of
a head, D_out = H F, or F where heads are averaged.
"""

import jax
import jax.numpy as jnp
import jraph
from flax import nnx

from llmgnn_jax.graph.layers.heads import attend, edge_features, join_heads
from llmgnn_jax.graph.neighbourhood import Neighbourhood


class GATv2Layer(nnx.Module):
    """One GATv2 layer: h_v' = sum over u in N(v) of alpha_vu W_u h_u + b, a head.

        alpha_vu = softmax over u of a . LeakyReLU(W_v h_v + W_u h_u + W_e e)

    Brody, Alon and Yahav 2022, eq. 7, before the activation; W_v and W_u have biases of
    their own. The edges bring their self-loops (`with_self_loops`); W_e e is there with
    `edge_dim`.

    The nonlinearity stands between both dot products, so the logits need an array
    (E, H, F), which GAT does not; the sum does without.

    Args:
        in_dim: D_in.
        out_dim: F, the width of a head.
        heads: H.
        concat: Whether heads stand side by side or are averaged.
        edge_dim: Width of edges["features"]; 0: they are not looked at.
        negative_slope: Of the LeakyReLU.
        residual: Whether W_res h_v is added.
        rngs: For the Glorot-uniform matrices; biases start at 0.
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
        width, joined_dim = heads * out_dim, heads * out_dim if concat else out_dim
        self.sender_kernel = nnx.Param(init(rngs.params(), (in_dim, width)))
        self.sender_bias = nnx.Param(jnp.zeros(width))
        self.receiver_kernel = nnx.Param(init(rngs.params(), (in_dim, width)))
        self.receiver_bias = nnx.Param(jnp.zeros(width))
        self.attention = nnx.Param(init(rngs.params(), (heads, out_dim)))
        if edge_dim:
            self.edge_kernel = nnx.Param(init(rngs.params(), (edge_dim, width)))
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
        """(N, D_in) nodes -> (M, D_out) nodes; arguments as `GATLayer`'s."""
        nodes_ND = graph.nodes
        sent_NHF = self._heads(
            nodes_ND @ self.sender_kernel[...] + self.sender_bias[...][None, :]
        )
        asked_NHF = self._heads(
            nodes_ND @ self.receiver_kernel[...] + self.receiver_bias[...][None, :]
        )
        met_EHF = neighbours.gather_senders(sent_NHF) + neighbours.gather_receivers(
            asked_NHF
        )
        features = edge_features(graph, self.edge_dim)
        if features is not None:
            met_EHF += self._heads(features @ self.edge_kernel[...])
        met_EHF = jax.nn.leaky_relu(met_EHF, self.negative_slope)
        logits_EH = jnp.einsum("ehf,hf->eh", met_EHF, self.attention[...])
        heard_MHF = attend(logits_EH, sent_NHF, keep_EH=keep_EH, neighbours=neighbours)
        out_MD = join_heads(heard_MHF, concat=self.concat) + self.bias[...][None, :]
        if self.residual:
            out_MD = out_MD + neighbours.own(nodes_ND) @ self.residual_kernel[...]
        return graph._replace(nodes=out_MD)

    def _heads(self, values: jax.Array) -> jax.Array:
        """(X, H F) -> (X, H, F)."""
        return values.reshape(values.shape[0], self.heads, -1)
