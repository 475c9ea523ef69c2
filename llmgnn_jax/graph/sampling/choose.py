"""Which neighbours of a row are drawn: a pure function of random words.

Shapes: B rows, K draws a row, E edges of the table. A row is a range of the table's
edges.

All of it is integer arithmetic without rejection, on arrays of either NumPy or JAX:
host and device choose the same, and the number of steps is static.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from llmgnn_jax.graph.sampling.table import SampleTable
from llmgnn_jax.graph.sampling.words import Array, multiply_high


def choose_positions(
    words_BK: Array,
    starts_B: Array,
    counts_B: Array,
    *,
    table: SampleTable,
    replace: bool,
    weighted: bool,
    excluded_B: Array | None = None,
    xp: Any,
) -> tuple[Array, Array]:
    """Draws K edges of each row.

    With replacement the draws are independent. Without, each set of K edges of a row
    has the same probability (Floyd's algorithm, Bentley and Floyd 1987), or, weighted,
    edges are drawn one after another in proportion to the weights of those that are
    left (successive sampling). A row with no more than K edges gives each of them once.
    Probabilities are exact to 2**-30 a draw.

    Args:
        words_BK: (B, K) uint32, uniform.
        starts_B: (B,) int32, where the rows start.
        counts_B: (B,) int32, how many edges they have; may be 0.
        table: Where neighbours and weights lie.
        replace: Whether an edge may be drawn again.
        weighted: Whether in proportion to the table's weights.
        excluded_B: (B,) int32, a neighbour that the row does not draw, by none of its
            edges; -1 for none.
        xp: `numpy` or `jax.numpy`, that of the arrays.

    Returns:
        Positions (B, K) int32 in the table's edges and a mask (B, K) bool, False where
        nothing was left to draw; the position is 0 there. Drawn slots come first. The
        order of uniform draws without replacement is not random, their set is.
    """
    gap_from_B = gap_to_B = starts_B
    if excluded_B is not None:
        gap_from_B, gap_to_B = _edges_of_neighbour(
            table, starts_B, counts_B, excluded_B, xp
        )
    if weighted:
        rows = _WeightedRows(table, starts_B, counts_B, gap_from_B, gap_to_B, xp)
        draw = rows.draw if replace else rows.draw_successively
        positions_BK, mask_BK = draw(words_BK)
    else:
        gaps_B = gap_to_B - gap_from_B
        left_B = counts_B - gaps_B
        if replace:
            drawn_BK = multiply_high(words_BK, left_B.astype(xp.uint32)[:, None])
            drawn_BK = drawn_BK.astype(xp.int32)
            mask_BK = xp.broadcast_to(left_B[:, None] > 0, words_BK.shape)
        else:
            drawn_BK, mask_BK = _subsets(words_BK, left_B, xp)
        positions_BK = starts_B[:, None] + drawn_BK
        behind_BK = positions_BK >= gap_from_B[:, None]
        positions_BK = positions_BK + xp.where(behind_BK, gaps_B[:, None], 0)
    return xp.where(mask_BK, positions_BK, 0), mask_BK


def take(values: Array, places: Array, xp: Any) -> Array:
    """values[places], of places that are known to be there."""
    if xp is np:
        return values[places]
    return values.at[places].get(mode="promise_in_bounds")


def _repeat(steps: int, body: Callable[[Any, Any], Any], state: Any, xp: Any) -> Any:
    """state = body(step, state), for each step; compiled as one loop."""
    if xp is not np:
        return jax.lax.fori_loop(0, steps, body, state)
    for step in range(steps):
        state = body(step, state)
    return state


def _first_not(
    below: Callable[[Array], Array], starts: Array, ends: Array, steps: int, xp: Any
) -> Array:
    """The first place in [starts, ends) where `below` is False, else the end.

    `below` is asked about places in that range and, of empty ranges, about their start;
    it never turns from False to True.
    """

    def halve(_: Any, state: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = state
        # low + high may be more than an int32 holds.
        middle = low + (high - low) // 2
        right = below(middle) & (low < high)
        return xp.where(right, middle + 1, low), xp.where(right, high, middle)

    return _repeat(steps, halve, (starts, ends), xp)[0]


def _edges_of_neighbour(
    table: SampleTable, starts_B: Array, counts_B: Array, sought_B: Array, xp: Any
) -> tuple[Array, Array]:
    """(B,) and (B,): from where to where in each row a neighbour stands."""
    neighbours_E, last = table.neighbours, table.neighbours.shape[0] - 1
    # Who seeks nothing searches nothing.
    ends_B = starts_B + xp.where(sought_B >= 0, counts_B, 0)

    def found(places: Array) -> Array:
        return take(neighbours_E, xp.minimum(places, last), xp)

    def search(below: Callable[[Array], Array]) -> Array:
        return _first_not(below, starts_B, ends_B, table.search_steps, xp)

    return (
        search(lambda places: found(places) < sought_B),
        search(lambda places: found(places) <= sought_B),
    )


def _subsets(words_BK: Array, left_B: Array, xp: Any) -> tuple[Array, Array]:
    """(B, K) different numbers of [0, left), or all of them; and which slots are used.

    Floyd's algorithm: to a uniform subset of m - 1 of the first n - 1 numbers comes a
    draw from the first n; if that is there already, the last of the n.
    """
    num_draws = words_BK.shape[1]
    # (K, B): a step reads and writes whole rows.
    words_KB = words_BK.T
    slots_K1 = xp.arange(num_draws, dtype=xp.int32)[:, None]
    firsts_B = xp.maximum(left_B - num_draws, 0)

    def add(step: Any, chosen_KB: Array) -> Array:
        last_B = firsts_B + step
        words_B = words_KB[step]
        drawn_B = multiply_high(words_B, (last_B + 1).astype(xp.uint32))
        drawn_B = drawn_B.astype(xp.int32)
        taken_B = (chosen_KB == drawn_B[None, :]).any(axis=0)
        new_B = xp.where(taken_B, last_B, drawn_B)
        return xp.where(slots_K1 == step, new_B[None, :], chosen_KB)

    chosen_KB = xp.full(words_KB.shape, -1, xp.int32)
    chosen_KB = _repeat(num_draws, add, chosen_KB, xp)
    return chosen_KB.T, (slots_K1 < left_B[None, :]).T


class _WeightedRows:
    """Rows as lines of whole units, of which each edge has as many as its weight."""

    def __init__(
        self,
        table: SampleTable,
        starts_B: Array,
        counts_B: Array,
        gap_from_B: Array,
        gap_to_B: Array,
        xp: Any,
    ) -> None:
        self._xp = xp
        self._cumulative_E = table.cumulative
        self._last = table.neighbours.shape[0] - 1
        self._steps = table.search_steps
        self._starts_B = starts_B
        self._ends_B = starts_B + counts_B
        self._gap_from_B = self._units_before(gap_from_B)
        self._gap_B = self._units_before(gap_to_B) - self._gap_from_B
        self._left_B = self._units_before(self._ends_B) - self._gap_B

    def draw(self, words_BK: Array) -> tuple[Array, Array]:
        """Positions and mask (B, K), with replacement."""
        xp = self._xp
        units_BK = multiply_high(words_BK, self._left_B[:, None])
        behind_BK = units_BK >= self._gap_from_B[:, None]
        units_BK = units_BK + xp.where(behind_BK, self._gap_B[:, None], 0)
        mask_BK = xp.broadcast_to(self._left_B[:, None] > 0, words_BK.shape)
        return self._edge_at(units_BK), mask_BK

    def draw_successively(self, words_BK: Array) -> tuple[Array, Array]:
        """Positions and mask (B, K), without replacement.

        A unit is drawn from those that are left, numbered without the gaps that the
        chosen edges leave, and moved past each gap that lies before it. A gap that
        starts at unit s lies before all units numbered from s less the gaps before it.
        """
        xp = self._xp
        num_draws, num_rows = words_BK.shape[1], words_BK.shape[0]
        words_KB = words_BK.T
        slots_J1 = xp.arange(num_draws + 1, dtype=xp.int32)[:, None]

        def put(values_JB: Array, slot: Any, value_B: Array) -> Array:
            return xp.where(slots_J1 == slot, value_B[None, :], values_JB)

        def add(step: Any, state: tuple[Array, ...]) -> tuple[Array, ...]:
            starts_JB, numbers_JB, gaps_JB, left_B, positions_KB, mask_KB = state
            units_B = multiply_high(words_KB[step], left_B)
            past_JB = xp.where(units_B[None, :] >= numbers_JB, gaps_JB, 0)
            position_B = self._edge_at(units_B + _total(past_JB, xp))
            start_B = self._units_before(position_B)
            gap_B = take(self._cumulative_E, position_B, xp) - start_B
            gap_B = xp.where(left_B > 0, gap_B, 0).astype(xp.uint32)
            before_JB = xp.where(starts_JB < start_B[None, :], gaps_JB, 0)
            after_JB = xp.where(starts_JB > start_B[None, :], gap_B[None, :], 0)
            return (
                put(starts_JB, step + 1, start_B),
                put(numbers_JB - after_JB, step + 1, start_B - _total(before_JB, xp)),
                put(gaps_JB, step + 1, gap_B),
                left_B - gap_B,
                xp.where(slots_J1[:-1] == step, position_B[None, :], positions_KB),
                xp.where(slots_J1[:-1] == step, (left_B > 0)[None, :], mask_KB),
            )

        none_JB = xp.zeros((num_draws + 1, num_rows), xp.uint32)
        state = (
            put(none_JB, 0, self._gap_from_B),
            put(none_JB, 0, self._gap_from_B),
            put(none_JB, 0, self._gap_B),
            self._left_B,
            xp.zeros(words_KB.shape, xp.int32),
            xp.zeros(words_KB.shape, bool),
        )
        state = _repeat(num_draws, add, state, xp)
        return state[4].T, state[5].T

    def _units_before(self, positions_B: Array) -> Array:
        """(B,) uint32, how many units of its row lie before an edge."""
        xp = self._xp
        # One too far left only where the row starts, which reads nothing.
        units_B = take(self._cumulative_E, xp.maximum(positions_B - 1, 0), xp)
        return xp.where(positions_B > self._starts_B, units_B, 0).astype(xp.uint32)

    def _edge_at(self, units: Array) -> Array:
        """The edge that has a unit: (B,) -> (B,) or (B, K) -> (B, K)."""
        xp, deep = self._xp, units.ndim - 1
        starts = self._starts_B.reshape(-1, *[1] * deep)
        ends = self._ends_B.reshape(-1, *[1] * deep)

        def below(places: Array) -> Array:
            held = take(self._cumulative_E, xp.minimum(places, self._last), xp)
            return held <= units

        found = _first_not(
            below,
            xp.broadcast_to(starts, units.shape),
            xp.broadcast_to(ends, units.shape),
            self._steps,
            xp,
        )
        return xp.minimum(found, self._last)


def _total(values_JB: Array, xp: Any) -> Array:
    """(B,) uint32 sums; NumPy would make them 64 bits wide."""
    return values_JB.sum(axis=0, dtype=xp.uint32)
