"""What an LSTM makes of the tokens so far: each state is a function of the one before.

The formulas are those of `encoders.lstm`, in one direction.

Shapes: B rows, L tokens, D width, N layers.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from llmgnn_jax.text.encoders.lstm import Direction, initial_lstm
from llmgnn_jax.text.encoders.recurrence import recur, states_and_cells, stepped
from llmgnn_jax.text.generation.small.config import SmallConfig


class LSTMCarry(NamedTuple):
    """The state after the last token of each row.

    Attributes:
        states_NBD: h of each layer.
        cells_NBD: c of each layer.
    """

    states_NBD: jax.Array
    cells_NBD: jax.Array


class LSTMCore(nnx.Module):
    """Layers one above the other, each a loop over time."""

    def __init__(self, config: SmallConfig) -> None:
        self.num_layers = config.num_layers
        for number in range(config.num_layers):
            layer = Direction(config.dim, config.dim, dtype="float32")
            setattr(self, f"layer_{number}", layer)

    @property
    def layers(self) -> list[Direction]:
        """The first one reads the words."""
        return [getattr(self, f"layer_{number}") for number in range(self.num_layers)]

    def __call__(self, x_BLD: jax.Array, mask_BL: jax.Array) -> jax.Array:
        """(B, L, D) states after each token."""
        x_LBD, mask_LB = x_BLD.transpose(1, 0, 2), mask_BL.T
        for layer in self.layers:
            x_LBD = recur(
                layer.input(x_LBD),
                layer.recurrent_kernel(),
                mask_LB,
                jnp.zeros_like(mask_LB),
                reverse=False,
                dtype="float32",
            )
        return x_LBD.transpose(1, 0, 2)

    def carry(
        self, x_BLD: jax.Array, lengths_B: jax.Array, *, capacity: int
    ) -> tuple[jax.Array, LSTMCarry]:
        """(B, D) after each row's last token, and the state. It needs no capacity."""
        del capacity
        places = jnp.arange(x_BLD.shape[1])
        x_LBD, mask_LB = x_BLD.transpose(1, 0, 2), places[:, None] < lengths_B[None, :]
        states, cells = [], []
        for layer in self.layers:
            gates_LBG = layer.input(x_LBD)
            x_LBD, cells_LBD = states_and_cells(
                gates_LBG, layer.recurrent_kernel(), mask_LB, dtype="float32"
            )
            # Padding leaves the state as it is, so the last place has each row's own.
            states.append(x_LBD[-1])
            cells.append(cells_LBD[-1])
        return states[-1], LSTMCarry(jnp.stack(states), jnp.stack(cells))

    def step(self, carry: LSTMCarry, x_BD: jax.Array) -> tuple[jax.Array, LSTMCarry]:
        """(B, D) after one more token, and the state."""
        states, cells = [], []
        for number, layer in enumerate(self.layers):
            x_BD, cell_BD = stepped(
                layer.input(x_BD[:, None])[:, 0],
                layer.recurrent_kernel(),
                (carry.states_NBD[number], carry.cells_NBD[number]),
                dtype="float32",
            )
            states.append(x_BD)
            cells.append(cell_BD)
        return x_BD, LSTMCarry(jnp.stack(states), jnp.stack(cells))

    @staticmethod
    def initial(
        path: tuple[str, ...], shape: tuple[int, ...], rng: np.random.Generator
    ) -> np.ndarray:
        """A parameter's first value, see `initial_lstm`."""
        return initial_lstm(path[-1], shape, rng)
