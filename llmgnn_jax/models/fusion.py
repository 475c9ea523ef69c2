"""Fusion of what the graph and what the text say of a node.

    concat      y = W_y sigma(W [g ; t] + b) + b_y
    sum         y = g + t
    gate        y = a g + (1 - a) t,  a = sigmoid(W [g ; t] + b)
    attention   y = [g + v_g ; t + v_t],  v = softmax(Q K^T / sqrt(D)) V  over g and t

All start from what needs no learning: `concat` and `attention` from the sum of both
sides' scores, `gate` from the mean of both vectors. `distance_from_start` is what
training penalises (L2-SP, Li et al. 2018), so that they depart where that pays.

Shapes: B nodes, D width of each side, M = 2 D, H = 4 D, S = 2 sides.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from llmgnn_jax.models.products import dense

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "leaky_relu": lambda x: jax.nn.leaky_relu(x, 0.2),
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "gelu": jax.nn.gelu,
    "sigmoid": jax.nn.sigmoid,
    "identity": lambda x: x,
}


class Fusion(nnx.Module):
    """(B, D) of the graph and (B, D) of the text -> what is ranked by.

    Args:
        dim: D.
        activation: sigma, a key of `ACTIVATIONS`, for those that have one.
    """

    def __init__(self, dim: int, *, activation: str) -> None:
        self.dim, self.activation = dim, activation
        for name, value in self.start().items():
            setattr(self, name, nnx.Param(value))

    def start(self) -> dict[str, jax.Array]:
        """Parameters -> their first values."""
        raise NotImplementedError

    def __call__(self, graph_BD: jax.Array, text_BD: jax.Array) -> jax.Array:
        """Fuses two (B, D) into (B, D) or (B, 2 D)."""
        raise NotImplementedError

    def distance_from_start(self) -> jax.Array:
        """(), the squared distance of all parameters from their first values."""
        total = jnp.zeros(())
        for name, value in self.start().items():
            total += jnp.sum((getattr(self, name)[...] - value) ** 2)
        return total


class ConcatFusion(Fusion):
    """h = sigma(W [h_graph ; h_text] + b), then y = W_y h + b_y.

    h is 4 D wide and starts at W = [I, -I], W_y = [I ; -I] / c: since
    sigma(x) - sigma(-x) is c x for (leaky) ReLU and GELU, the first dot product of two
    fused vectors is exactly the sum of the two sides' own scores. Left free, these
    products of a user's with an item's coordinates fit the train part long before the
    node vectors are learned.
    """

    kernel: Any
    bias: Any
    output_kernel: Any
    output_bias: Any

    def start(self) -> dict[str, jax.Array]:
        """(M, 2 M) W, (2 M, M) W_y and their biases."""
        width = 2 * self.dim
        identity = jnp.eye(width)
        sigma = ACTIVATIONS[self.activation]
        slope = sigma(jnp.ones(())) - sigma(-jnp.ones(()))
        kernel = jnp.concatenate([identity, -identity], axis=1)
        return {
            "kernel": kernel,
            "bias": jnp.zeros(2 * width),
            "output_kernel": kernel.T / slope,
            "output_bias": jnp.zeros(width),
        }

    def __call__(self, graph_BD: jax.Array, text_BD: jax.Array) -> jax.Array:
        """(B, 2 D)."""
        both_BM = jnp.concatenate([graph_BD, text_BD], axis=-1)
        hidden_BH = ACTIVATIONS[self.activation](
            dense(both_BM, self.kernel[...], self.bias[...])
        )
        return dense(hidden_BH, self.output_kernel[...], self.output_bias[...])


class SumFusion(Fusion):
    """y = g + t, nothing learned: scores are of both sides and across them."""

    def start(self) -> dict[str, jax.Array]:
        """No parameters."""
        return {}

    def __call__(self, graph_BD: jax.Array, text_BD: jax.Array) -> jax.Array:
        """(B, D)."""
        return graph_BD + text_BD


class GateFusion(Fusion):
    """How much of each coordinate is the graph's depends on what both sides say.

    Source: Arevalo et al., "Gated multimodal units for information fusion" (2017),
    without the tanh, since both sides are of one width and trained as they are.
    """

    kernel: Any
    bias: Any

    def start(self) -> dict[str, jax.Array]:
        """(M, D) W and its bias."""
        return {
            "kernel": jnp.zeros((2 * self.dim, self.dim)),
            "bias": jnp.zeros(self.dim),
        }

    def __call__(self, graph_BD: jax.Array, text_BD: jax.Array) -> jax.Array:
        """(B, D)."""
        both_BM = jnp.concatenate([graph_BD, text_BD], axis=-1)
        share_BD = jax.nn.sigmoid(dense(both_BM, self.kernel[...], self.bias[...]))
        return share_BD * graph_BD + (1.0 - share_BD) * text_BD


class AttentionFusion(Fusion):
    """Each side adds what it reads of both, by one head of attention."""

    query: Any
    key: Any
    value: Any

    def start(self) -> dict[str, jax.Array]:
        """(D, D) each; nothing is read at first."""
        identity, nothing = jnp.eye(self.dim), jnp.zeros((self.dim, self.dim))
        return {"query": identity, "key": identity, "value": nothing}

    def __call__(self, graph_BD: jax.Array, text_BD: jax.Array) -> jax.Array:
        """(B, 2 D)."""
        sides_BSD = jnp.stack([graph_BD, text_BD], axis=1)
        query, key, value = (
            sides_BSD @ matrix[...] for matrix in (self.query, self.key, self.value)
        )
        scores_BSS = jnp.einsum("bsd,btd->bst", query, key) * self.dim**-0.5
        read_BSD = jax.nn.softmax(scores_BSS, axis=-1) @ value
        return (sides_BSD + read_BSD).reshape(len(graph_BD), -1)


FUSIONS: dict[str, type[Fusion]] = {
    "concat": ConcatFusion,
    "sum": SumFusion,
    "gate": GateFusion,
    "attention": AttentionFusion,
}
