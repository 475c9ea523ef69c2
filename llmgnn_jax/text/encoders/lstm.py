"""LSTM: a recurrent network over word vectors.

    i, f, g, o = split(x_t W + b + h_(t-1) U)
    c_t = sigma(f) c_(t-1) + sigma(i) tanh(g),   h_t = sigma(o) tanh(c_t)

Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000; the order of
the gates is PyTorch's, whose two biases are one here (their sum).

Shapes: B rows, L tokens, D width of what a layer reads, H width of the state, R rank of
an adapter, G = 4 H gates.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encoders.layers import ComputeDtype, Dense, product
from llmgnn_jax.text.encoders.pieces import look_up, whole_layer
from llmgnn_jax.text.encoders.recurrence import recur
from llmgnn_jax.text.encoders.remat import Remat, rematerialised
from llmgnn_jax.text.encoders.rows import TokenRows
from llmgnn_jax.text.encoders.word_vectors import WordTableConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class LSTMConfig(WordTableConfig):
    """The shape of an `LSTM`, see `WordTableConfig`.

    Attributes:
        hidden_size: H.
        num_layers: Layers one above the other.
        directions: 1 reads from left to right, 2 from right to left as well.

    Raises:
        UserError: If a size is out of range.
    """

    FAMILY = "lstm"

    hidden_size: int
    num_layers: int = 1
    directions: Literal[1, 2] = 1
    family: Literal["lstm"] = "lstm"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.directions not in (1, 2):
            raise UserError.field(
                "directions", expected="1 or 2", got=repr(self.directions)
            )

    @property
    def out_features(self) -> int:
        """Width of the token vectors: H of each direction."""
        return self.directions * self.hidden_size


class Direction(nnx.Module):
    """The weights of one layer in one direction."""

    def __init__(self, inputs: int, hidden: int, *, dtype: ComputeDtype) -> None:
        self.input = Dense(inputs, 4 * hidden, dtype=dtype)
        self.recurrent = Dense(hidden, 4 * hidden, dtype=dtype, bias=False)

    def recurrent_kernel(self) -> jax.Array:
        """(H, G), the adapter's share included."""
        kernel = self.recurrent.kernel[...]
        if self.recurrent.adapter_scale is None:
            return kernel
        return kernel + self.recurrent.adapter_scale * product(
            "hr,rg->hg",
            self.recurrent.lora_a[...],
            self.recurrent.lora_b[...],
            dtype=self.recurrent.dtype,
        )


class Layer(nnx.Module):
    """One or two directions, each a loop over time."""

    def __init__(
        self, inputs: int, config: LSTMConfig, *, dtype: ComputeDtype, remat: Remat
    ) -> None:
        self.dtype = dtype
        self.remat = remat
        self.directions = config.directions
        self.from_left = Direction(inputs, config.hidden_size, dtype=dtype)
        if config.directions == 2:
            self.from_right = Direction(inputs, config.hidden_size, dtype=dtype)

    def __call__(self, x_LBD: jax.Array, rows: TokenRows) -> jax.Array:
        outputs = []
        for reverse in (False, True)[: self.directions]:
            direction = self.from_right if reverse else self.from_left
            run: Callable[..., jax.Array] = rematerialised(
                functools.partial(recur, reverse=reverse, dtype=self.dtype), self.remat
            )
            outputs.append(
                run(
                    direction.input(x_LBD),
                    direction.recurrent_kernel(),
                    rows.mask_BL.T,
                    _starts(rows, reverse=reverse).T,
                )
            )
        return jnp.concatenate(outputs, axis=-1)


class LSTM(nnx.Module):
    """Token ids to the state of an LSTM after each token.

    Args:
        config: The shape.
        dtype: Operands of the matrix products; gates and states are float32.
        scan: Without effect: layers differ in width.
        remat: With "layers" the backward pass runs the loops anew instead of keeping
            their cells; with "dots" too, less the products within.
    """

    def __init__(
        self,
        config: LSTMConfig,
        *,
        dtype: ComputeDtype = "float32",
        scan: bool = False,
        remat: Remat = "none",
    ) -> None:
        self.num_layers = config.num_layers
        self.words = nnx.Param(jnp.zeros((config.vocab_size, config.dim)))
        for number in range(config.num_layers):
            inputs = config.out_features if number else config.dim
            layer = Layer(inputs, config, dtype=dtype, remat=remat)
            setattr(self, f"layer_{number}", layer)

    def __call__(self, rows: TokenRows) -> jax.Array:
        """Encodes rows of tokens.

        Returns:
            (B, L, directions * H) float32; what stands at padding means nothing. A
            token of a packed row has seen its own text alone.
        """
        # Time first, so that each step of the loops reads what lies together.
        x_LBD = look_up(self.words[...], rows.ids_BL.T, batch_axis=1)
        for number in range(self.num_layers):
            x_LBD = whole_layer(getattr(self, f"layer_{number}"))(x_LBD, rows)
        return x_LBD.transpose(1, 0, 2)


def initial_lstm(
    name: str, shape: tuple[int, ...], rng: np.random.Generator
) -> np.ndarray:
    """PyTorch's bounds: kernels uniform in +- 1 / sqrt(H), words standard normal.

    So that words of unit variance reach the sloping part of the gates. Biases are 0,
    but 1 at the forget gate, so that what an early word leaves, and its gradient,
    shrinks by 0.73 a token at first and not by half (Jozefowicz et al. 2015, "An
    empirical exploration of recurrent network architectures").
    """
    if name == "words":
        return rng.standard_normal(shape, np.float32)
    hidden = shape[-1] // 4
    if name == "bias":
        return np.repeat(np.asarray([0, 1, 0, 0], np.float32), hidden)
    bound = hidden**-0.5
    return rng.uniform(-bound, bound, shape).astype(np.float32)


def _starts(rows: TokenRows, *, reverse: bool) -> jax.Array:
    """(B, L) bool, True where another text begins than the one read before."""
    segments_BL = rows.segments_BL
    if segments_BL is None:
        return jnp.zeros(rows.mask_BL.shape, bool)
    edge = -1 if reverse else 0
    before_BL = jnp.roll(segments_BL, -1 if reverse else 1, axis=1)
    return (segments_BL != before_BL).at[:, edge].set(False)
