"""The loop over time of an LSTM, with the gradient written out.

    i, f, g, o = split(gates_t + h_(t-1) U)
    c_t = sigma(f) c_(t-1) + sigma(i) tanh(g),   h_t = sigma(o) tanh(c_t)

Autodiff adds up the gradient of U inside the loop, a small product and a pass over U at
each step. Here the loop gives the gradients of the gates alone, and one product over
all places gives that of U: about three fifths of the time on a CPU.

Shapes: L tokens, B rows, H width of the state, G = 4 H gates.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from llmgnn_jax.text.encoders.layers import ComputeDtype, product


class _Run(NamedTuple):
    """What the backward pass reads.

    Attributes:
        states_LBH: h after each place.
        cells_LBH: c after each place.
        tanh_LBG: tanh of the gates, of half of each but g: sigma(x) = (1 + tanh(x/2))/2
            makes one function of the four.
    """

    states_LBH: jax.Array
    cells_LBH: jax.Array
    tanh_LBG: jax.Array


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _recur(
    gates_LBG: jax.Array,
    kernel_HG: jax.Array,
    mask_LB: jax.Array,
    starts_LB: jax.Array,
    reverse: bool,
    dtype: ComputeDtype,
) -> jax.Array:
    return _run(gates_LBG, kernel_HG, mask_LB, starts_LB, reverse, dtype).states_LBH


def recur(
    gates_LBG: jax.Array,
    kernel_HG: jax.Array,
    mask_LB: jax.Array,
    starts_LB: jax.Array,
    *,
    reverse: bool,
    dtype: ComputeDtype,
) -> jax.Array:
    """The states of an LSTM.

    Args:
        gates_LBG: What the inputs and the biases give to the gates i, f, g and o: one
            product for all places, before the loop.
        kernel_HG: U, what the state before gives to each.
        mask_LB: bool; a place where it is False leaves the state as it is.
        starts_LB: bool; True where a text begins, with a state of 0.
        reverse: Reads from the last place to the first.
        dtype: Operands of the products.

    Returns:
        (L, B, H) float32, the state after each place.
    """
    return _recur(gates_LBG, kernel_HG, mask_LB, starts_LB, reverse, dtype)


def states_and_cells(
    gates_LBG: jax.Array,
    kernel_HG: jax.Array,
    mask_LB: jax.Array,
    *,
    dtype: ComputeDtype,
) -> tuple[jax.Array, jax.Array]:
    """h and c after each place, from left to right: for what goes on from the last.

    Args:
        gates_LBG: As in `recur`.
        kernel_HG: Likewise.
        mask_LB: Likewise.
        dtype: Operands of the products.

    Returns:
        (L, B, H) and (L, B, H) float32.
    """
    run = _run(gates_LBG, kernel_HG, mask_LB, jnp.zeros_like(mask_LB), False, dtype)
    return run.states_LBH, run.cells_LBH


def stepped(
    gates_BG: jax.Array,
    kernel_HG: jax.Array,
    state: tuple[jax.Array, jax.Array],
    *,
    dtype: ComputeDtype,
) -> tuple[jax.Array, jax.Array]:
    """(B, H) h and c after one more place.

    Args:
        gates_BG: What the inputs and the biases give to the gates.
        kernel_HG: As in `recur`.
        state: (B, H) h and c before.
        dtype: Operands of the products.
    """
    h_BH, c_BH, _ = _read(gates_BG, kernel_HG, *state, dtype)
    return h_BH, c_BH


def _run(
    gates_LBG: jax.Array,
    kernel_HG: jax.Array,
    mask_LB: jax.Array,
    starts_LB: jax.Array,
    reverse: bool,
    dtype: ComputeDtype,
) -> _Run:
    _, batch, width = gates_LBG.shape
    kernel_HG = kernel_HG.astype(dtype)

    def step(
        state: tuple[jax.Array, jax.Array], place: tuple[jax.Array, ...]
    ) -> tuple[tuple[jax.Array, jax.Array], _Run]:
        gates_BG, mask_B, starts_B = place
        h_BH, c_BH = (jnp.where(starts_B[:, None], 0.0, each) for each in state)
        new_h, new_c, tanh_BG = _read(gates_BG, kernel_HG, h_BH, c_BH, dtype)
        h_BH = jnp.where(mask_B[:, None], new_h, h_BH)
        c_BH = jnp.where(mask_B[:, None], new_c, c_BH)
        return (h_BH, c_BH), _Run(h_BH, c_BH, tanh_BG)

    zero_BH = jnp.zeros((batch, width // 4))
    places = (gates_LBG, mask_LB, starts_LB)
    return jax.lax.scan(step, (zero_BH, zero_BH), places, reverse=reverse)[1]


def _forward(
    gates_LBG: jax.Array,
    kernel_HG: jax.Array,
    mask_LB: jax.Array,
    starts_LB: jax.Array,
    reverse: bool,
    dtype: ComputeDtype,
) -> tuple[jax.Array, tuple]:
    run = _run(gates_LBG, kernel_HG, mask_LB, starts_LB, reverse, dtype)
    return run.states_LBH, (run, kernel_HG, mask_LB, starts_LB)


def _backward(
    reverse: bool, dtype: ComputeDtype, residuals: tuple, d_states_LBH: jax.Array
) -> tuple:
    run, kernel_HG, mask_LB, starts_LB = residuals
    kernel_GH = kernel_HG.T.astype(dtype)

    def before(values_LBH: jax.Array) -> jax.Array:
        """What each place found: 0 where a text begins."""
        zero_1BH = jnp.zeros_like(values_LBH[:1])
        parts = (values_LBH[1:], zero_1BH) if reverse else (zero_1BH, values_LBH[:-1])
        return jnp.where(starts_LB[:, :, None], 0.0, jnp.concatenate(parts))

    def step(
        state: tuple[jax.Array, jax.Array], place: tuple[jax.Array, ...]
    ) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        d_h, d_c = state
        d_state_BH, mask_B, starts_B, c_BH, c_before, tanh_BG = place
        read_B1, starts_B1 = mask_B[:, None], starts_B[:, None]
        i, f, g, o = _gates(tanh_BG)
        tanh_c = jnp.tanh(c_BH)
        d_h = d_h + d_state_BH
        new_h = jnp.where(read_B1, d_h, 0.0)
        new_c = jnp.where(read_B1, d_c, 0.0) + new_h * o * (1 - tanh_c * tanh_c)
        d_gates_BG = jnp.concatenate(
            [
                new_c * g * i * (1 - i),
                new_c * c_before * f * (1 - f),
                new_c * i * (1 - g * g),
                new_h * tanh_c * o * (1 - o),
            ],
            axis=-1,
        )
        # Where a place is not read its state is the one before.
        d_h = jnp.where(read_B1, 0.0, d_h)
        d_h = d_h + product("bg,gh->bh", d_gates_BG, kernel_GH, dtype=dtype)
        d_c = jnp.where(read_B1, new_c * f, d_c)
        state = jnp.where(starts_B1, 0.0, d_h), jnp.where(starts_B1, 0.0, d_c)
        return state, d_gates_BG

    zero_BH = jnp.zeros_like(d_states_LBH[0])
    _, d_gates_LBG = jax.lax.scan(
        step,
        (zero_BH, zero_BH),
        (
            d_states_LBH,
            mask_LB,
            starts_LB,
            run.cells_LBH,
            before(run.cells_LBH),
            run.tanh_LBG,
        ),
        reverse=not reverse,
    )
    d_kernel_HG = product(
        "lbh,lbg->hg", before(run.states_LBH), d_gates_LBG, dtype=dtype
    )
    return d_gates_LBG, d_kernel_HG, None, None


def _read(
    gates_BG: jax.Array,
    kernel_HG: jax.Array,
    h_BH: jax.Array,
    c_BH: jax.Array,
    dtype: ComputeDtype,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """h and c after one more place, and tanh of the gates as in `_Run`."""
    half_4 = np.asarray([0.5, 0.5, 1, 0.5], np.float32)
    half_1G = jnp.asarray(np.repeat(half_4, h_BH.shape[-1]))[None]
    gates_BG = gates_BG + product("bh,hg->bg", h_BH, kernel_HG, dtype=dtype)
    tanh_BG = jnp.tanh(gates_BG * half_1G)
    i, f, g, o = _gates(tanh_BG)
    new_c = f * c_BH + i * g
    return o * jnp.tanh(new_c), new_c, tanh_BG


def _gates(tanh_BG: jax.Array) -> tuple[jax.Array, ...]:
    """sigma(i), sigma(f), tanh(g), sigma(o)."""
    i, f, g, o = jnp.split(tanh_BG, 4, axis=-1)
    return 0.5 * i + 0.5, 0.5 * f + 0.5, g, 0.5 * o + 0.5


_recur.defvjp(_forward, _backward)
