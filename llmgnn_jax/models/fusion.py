"""Fusion of what the graph and what the text say of a node.

Shapes: B nodes, D width of each side, M = 2 D, H = 4 D.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "leaky_relu": lambda x: jax.nn.leaky_relu(x, 0.2),
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "gelu": jax.nn.gelu,
    "sigmoid": jax.nn.sigmoid,
    "identity": lambda x: x,
}


class ConcatFusion(nnx.Module):
    """h = sigma(W [h_graph ; h_text] + b), then y = W_y h + b_y.

    h is 4 D wide and starts at W = [I, -I], W_y = [I ; -I] / c: since
    sigma(x) - sigma(-x) is c x for (leaky) ReLU and GELU, the first dot product of two
    fused vectors is exactly the sum of the two sides' own scores. Left free, these
    products of a user's with an item's coordinates fit the train part long before the
    node vectors are learned; `distance_from_start` is what training penalises (L2-SP,
    Li et al. 2018), so that it departs from the sum where that pays.

    Args:
        dim: D, the width of each side.
        activation: sigma, a key of `ACTIVATIONS`.
    """

    def __init__(self, dim: int, *, activation: str) -> None:
        self.activation = activation
        kernel, output_kernel = self._start(2 * dim)
        self.kernel = nnx.Param(kernel)
        self.bias = nnx.Param(jnp.zeros(4 * dim))
        self.output_kernel = nnx.Param(output_kernel)
        self.output_bias = nnx.Param(jnp.zeros(2 * dim))

    def __call__(self, graph_BD: jax.Array, text_BD: jax.Array) -> jax.Array:
        """Fuses two (B, D) into (B, 2 D)."""
        both_BM = jnp.concatenate([graph_BD, text_BD], axis=-1)
        hidden_BH = ACTIVATIONS[self.activation](
            both_BM @ self.kernel[...] + self.bias[...][None, :]
        )
        return hidden_BH @ self.output_kernel[...] + self.output_bias[...][None, :]

    def distance_from_start(self) -> jax.Array:
        """(), the squared distance of all parameters from their initial values."""
        kernel, output_kernel = self._start(self.output_bias.shape[0])
        return (
            jnp.sum((self.kernel[...] - kernel) ** 2)
            + jnp.sum((self.output_kernel[...] - output_kernel) ** 2)
            + jnp.sum(self.bias[...] ** 2)
            + jnp.sum(self.output_bias[...] ** 2)
        )

    def _start(self, width: int) -> tuple[jax.Array, jax.Array]:
        """(M, 2 M) W and (2 M, M) W_y."""
        identity = jnp.eye(width)
        sigma = ACTIVATIONS[self.activation]
        slope = sigma(jnp.ones(())) - sigma(-jnp.ones(()))
        kernel = jnp.concatenate([identity, -identity], axis=1)
        return kernel, kernel.T / slope
