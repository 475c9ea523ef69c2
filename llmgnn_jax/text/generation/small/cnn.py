"""What convolutions make of the tokens so far: filters that read no later place.

    x_t <- x_t + a * sigma(g),   (a, g) = split([n(x_(t-K+1)); ...; n(x_t)] W + b)

with n the layer norm and 0 before the text: the gated linear unit of Dauphin et al.
2017, "Language modeling with gated convolutional networks", with a residual. N layers
see N (K - 1) + 1 tokens.

Shapes: B rows, L tokens, D width, K places of a filter, J = K - 1 before its own,
F = K D, N layers.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from llmgnn_jax.text.encoders.layers import Dense, LayerNorm
from llmgnn_jax.text.generation.small.config import SmallConfig


class CNNLayer(nnx.Module):
    """Gated filters over the places up to their own."""

    def __init__(self, config: SmallConfig) -> None:
        dim, width = config.dim, config.filter_width
        self.width = width
        self.norm = LayerNorm(dim, epsilon=1e-5)
        self.filters = Dense(width * dim, 2 * dim, dtype="float32")

    def read(self, x_BLD: jax.Array) -> jax.Array:
        """(B, J + L, D) what the filters read, J places of 0 before the text."""
        edges = ((0, 0), (self.width - 1, 0), (0, 0))
        return jnp.pad(self.norm(x_BLD), edges)

    def add(self, x_BLD: jax.Array, read_BLD: jax.Array) -> jax.Array:
        """(B, L, D) x and what the filters say of it, from what `read` gave."""
        length = x_BLD.shape[1]
        shifted = [read_BLD[:, place : place + length] for place in range(self.width)]
        sides_BL2D = self.filters(jnp.concatenate(shifted, axis=-1))
        value_BLD, gate_BLD = jnp.split(sides_BL2D, 2, axis=-1)
        return x_BLD + value_BLD * jax.nn.sigmoid(gate_BLD)


class CNNCore(nnx.Module):
    """Layers one above the other."""

    def __init__(self, config: SmallConfig) -> None:
        self.num_layers = config.num_layers
        self.before = config.filter_width - 1
        for number in range(config.num_layers):
            setattr(self, f"layer_{number}", CNNLayer(config))

    @property
    def layers(self) -> list[CNNLayer]:
        """The first one reads the words."""
        return [getattr(self, f"layer_{number}") for number in range(self.num_layers)]

    def __call__(self, x_BLD: jax.Array, mask_BL: jax.Array) -> jax.Array:
        """(B, L, D) vectors of each token; no filter reads what stands after it."""
        del mask_BL
        for layer in self.layers:
            x_BLD = layer.add(x_BLD, layer.read(x_BLD))
        return x_BLD

    def carry(
        self, x_BLD: jax.Array, lengths_B: jax.Array, *, capacity: int
    ) -> tuple[jax.Array, jax.Array]:
        """(B, D) at each row's last token, and (N, B, J, D) what each layer read last.

        It needs no capacity.
        """
        del capacity
        lasts = []
        for layer in self.layers:
            read_BLD = layer.read(x_BLD)
            # Of places that are J later than in the text.
            places_BJ = lengths_B[:, None] + jnp.arange(self.before)[None, :]
            lasts.append(jnp.take_along_axis(read_BLD, places_BJ[:, :, None], axis=1))
            x_BLD = layer.add(x_BLD, read_BLD)
        ends_B11 = (lengths_B - 1)[:, None, None]
        last_BD = jnp.take_along_axis(x_BLD, ends_B11, axis=1)[:, 0]
        return last_BD, jnp.stack(lasts)

    def step(
        self, carry_NBJD: jax.Array, x_BD: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """(B, D) of one more token, and what each layer read last."""
        lasts = []
        x_B1D = x_BD[:, None]
        for number, layer in enumerate(self.layers):
            read_BKD = jnp.concatenate([carry_NBJD[number], layer.norm(x_B1D)], axis=1)
            x_B1D = layer.add(x_B1D, read_BKD)
            lasts.append(read_BKD[:, 1:])
        return x_B1D[:, 0], jnp.stack(lasts)

    @staticmethod
    def initial(
        path: tuple[str, ...], shape: tuple[int, ...], rng: np.random.Generator
    ) -> np.ndarray:
        """A parameter's first value: kernels normal, of variance one over inputs."""
        if path[-1] in ("bias", "scale"):
            return np.full(shape, float(path[-1] == "scale"), np.float32)
        return rng.standard_normal(shape, np.float32) * shape[0] ** -0.5
