"""What a Transformer makes of the tokens so far: attention to what stands before.

Pre-norm blocks (Xiong et al. 2020, "On layer normalization in the Transformer
architecture") with learned places. Keys and values are kept while it generates.

Shapes: B rows, L tokens, D width, H heads, K width of a head, M places that are kept,
N layers.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from llmgnn_jax.text.encoders.attention import attend_to
from llmgnn_jax.text.encoders.layers import Dense, FeedForward, LayerNorm
from llmgnn_jax.text.generation.small.config import SmallConfig

_WIDER = 4
"""Times D is the feed-forward layer, as in Vaswani et al. 2017."""


class TransformerCarry(NamedTuple):
    """What the tokens so far have said.

    Attributes:
        keys_NBMHK: Of each layer.
        values_NBMHK: Likewise.
        lengths_B: Tokens so far.
    """

    keys_NBMHK: jax.Array
    values_NBMHK: jax.Array
    lengths_B: jax.Array


class TransformerLayer(nnx.Module):
    """A block: attention, then feed-forward, each of what is normalised."""

    def __init__(self, config: SmallConfig) -> None:
        dim = config.dim
        self.num_heads = config.num_heads
        self.attention_norm = LayerNorm(dim, epsilon=1e-5)
        self.joined = Dense(dim, 3 * dim, dtype="float32")
        self.output = Dense(dim, dim, dtype="float32")
        self.mlp_norm = LayerNorm(dim, epsilon=1e-5)
        self.mlp = FeedForward(dim, _WIDER * dim, activation="gelu", dtype="float32")

    def heads(self, x_BLD: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """(B, L, H, K) queries, keys and values."""
        joined_BLJ = self.joined(self.attention_norm(x_BLD))
        joined_BLNK = joined_BLJ.reshape(*x_BLD.shape[:2], 3 * self.num_heads, -1)
        query, key, value = jnp.split(joined_BLNK, 3, axis=2)
        return query, key, value

    def add(
        self,
        x_BLD: jax.Array,
        query_BLHK: jax.Array,
        key_BMHK: jax.Array,
        value_BMHK: jax.Array,
        allowed_BLM: jax.Array,
    ) -> jax.Array:
        """(B, L, D) x after the block, from queries and what they may look at."""
        mixed_BLHK = attend_to(
            query_BLHK, key_BMHK, value_BMHK, allowed_BLM=allowed_BLM, dtype="float32"
        )
        x_BLD = x_BLD + self.output(mixed_BLHK.reshape(x_BLD.shape))
        return x_BLD + self.mlp(self.mlp_norm(x_BLD))


class TransformerCore(nnx.Module):
    """Layers one above the other."""

    def __init__(self, config: SmallConfig) -> None:
        self.num_layers = config.num_layers
        self.places = nnx.Param(jnp.zeros((config.max_tokens, config.dim)))
        for number in range(config.num_layers):
            setattr(self, f"layer_{number}", TransformerLayer(config))

    @property
    def layers(self) -> list[TransformerLayer]:
        """The first one reads the words."""
        return [getattr(self, f"layer_{number}") for number in range(self.num_layers)]

    def __call__(self, x_BLD: jax.Array, mask_BL: jax.Array) -> jax.Array:
        """(B, L, D) vectors of each token, of what stands up to it."""
        return self._run(x_BLD, mask_BL)[0]

    def carry(
        self, x_BLD: jax.Array, lengths_B: jax.Array, *, capacity: int
    ) -> tuple[jax.Array, TransformerCarry]:
        """(B, D) at each row's last token; keys and values, and room for `capacity`."""
        places = jnp.arange(x_BLD.shape[1])
        h_BLD, keys, values = self._run(x_BLD, places[None, :] < lengths_B[:, None])
        room = ((0, 0), (0, 0), (0, capacity), (0, 0), (0, 0))
        carry = TransformerCarry(
            jnp.pad(jnp.stack(keys), room), jnp.pad(jnp.stack(values), room), lengths_B
        )
        ends_B11 = (lengths_B - 1)[:, None, None]
        return jnp.take_along_axis(h_BLD, ends_B11, axis=1)[:, 0], carry

    def step(
        self, carry: TransformerCarry, x_BD: jax.Array
    ) -> tuple[jax.Array, TransformerCarry]:
        """(B, D) of one more token; it writes where the row's padding was."""
        keys_NBMHK, values_NBMHK, lengths_B = carry
        rows = jnp.arange(len(x_BD))
        x_B1D = (x_BD + self.places[...][lengths_B])[:, None]
        kept = jnp.arange(keys_NBMHK.shape[2])
        allowed_B1M = (kept[None, :] <= lengths_B[:, None])[:, None]
        for number, layer in enumerate(self.layers):
            query, key, value = layer.heads(x_B1D)
            keys_NBMHK = keys_NBMHK.at[number, rows, lengths_B].set(key[:, 0])
            values_NBMHK = values_NBMHK.at[number, rows, lengths_B].set(value[:, 0])
            x_B1D = layer.add(
                x_B1D, query, keys_NBMHK[number], values_NBMHK[number], allowed_B1M
            )
        return x_B1D[:, 0], TransformerCarry(keys_NBMHK, values_NBMHK, lengths_B + 1)

    def _run(
        self, x_BLD: jax.Array, mask_BL: jax.Array
    ) -> tuple[jax.Array, list[jax.Array], list[jax.Array]]:
        length = x_BLD.shape[1]
        places = jnp.arange(length)
        x_BLD = x_BLD + self.places[...][None, :length]
        earlier_LL = places[:, None] >= places[None, :]
        allowed_BLL = mask_BL[:, None, :] & earlier_LL[None]
        keys, values = [], []
        for layer in self.layers:
            query, key, value = layer.heads(x_BLD)
            keys.append(key)
            values.append(value)
            x_BLD = layer.add(x_BLD, query, key, value, allowed_BLL)
        return x_BLD, keys, values

    @staticmethod
    def initial(
        path: tuple[str, ...], shape: tuple[int, ...], rng: np.random.Generator
    ) -> np.ndarray:
        """A parameter's first value: kernels normal, of variance one over inputs.

        What a block adds is small at first, and so are the places.
        """
        if path[-1] in ("bias", "scale"):
            return np.full(shape, float(path[-1] == "scale"), np.float32)
        drawn = rng.standard_normal(shape, np.float32)
        if path[-1] == "places":
            return 0.1 * drawn
        return drawn * shape[0] ** -0.5 * (0.5 if path[-2] == "output" else 1.0)
