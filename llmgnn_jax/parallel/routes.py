"""Rows of a table in pieces, asked of the devices that hold them: within `shard_map`.

Shapes: S devices, n rows of the table on each, q rows that a device asks for, C places
for what one device asks of another, D width.

Requests go to their owner by one all-to-all of static shape, and what was asked for
comes back by another: S C (1 + D) numbers, where bringing the table would be S n D. A
row travels once to each device that asks for it, so places are counted by rows where it
is known how many different ones are asked for (`popularity`). What does not fit into C
places is left out and counted.
"""

import dataclasses
import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How devices ask one another: hashable, fixed for a run.

    Attributes:
        axes: The axes of the mesh that a table is spread over.
        shares: S.
        slack: C as a multiple of an even share of the requests.
        row_slack: C as a multiple of an even share of the different rows, where that is
            known.
    """

    axes: tuple[str, ...]
    shares: int
    slack: float
    row_slack: float = 1.25

    def places(self, requests: int) -> int:
        """C, for so many requests of a device, each with a place of its own."""
        return min(requests, self._room(self.slack * requests))

    def row_places(
        self, requests: int, *, size: int, expected: float | None = None
    ) -> int:
        """C, where requests for one row share a place.

        Args:
            requests: Of a device.
            size: n: nobody is asked for more rows than there are.
            expected: How many rows all requests of a device are for, if known.
        """
        rows = self.slack * requests
        if expected is not None:
            rows = self.row_slack * expected
        return min(requests, size, self._room(rows))

    def _room(self, rows: float) -> int:
        even = rows / self.shares
        # Few are spread less evenly than many.
        return int(even + 4 * even**0.5) + 8

    def exchanged(self, values_SC: jax.Array) -> jax.Array:
        """(S, C, ...): what is meant for each device -> what each had for this one."""
        return jax.lax.all_to_all(values_SC, self.axes, split_axis=0, concat_axis=0)


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["order_q", "places_q", "asked_SC", "missed"],
    meta_fields=["reach"],
)
@dataclass(frozen=True, kw_only=True)
class Route:
    """Which place each request has.

    Attributes:
        order_q: (q,) int32, the requests by owner.
        places_q: (q,) int32 in [0, S C], the place of each in that order; S C for what
            is not asked.
        asked_SC: (S, C) int32, the rows that each device asks of this one; row 0 at
            places that are empty.
        missed: () int32, requests that had no place.
        reach: How.
    """

    order_q: jax.Array
    places_q: jax.Array
    asked_SC: jax.Array
    missed: jax.Array
    reach: Reach

    def told(self, values_q: jax.Array) -> jax.Array:
        """(q, ...) what goes with each request -> (S, C, ...) what came with each.

        Of requests for one row that share a place, one of them counts.
        """
        shares, places = self.asked_SC.shape
        empty = jnp.zeros((shares * places, *values_q.shape[1:]), values_q.dtype)
        placed = empty.at[self.places_q].set(values_q[self.order_q], mode="drop")
        return self.reach.exchanged(placed.reshape(shares, places, *values_q.shape[1:]))

    def answered(self, answers_SC: jax.Array) -> jax.Array:
        """(S, C, ...) an answer to each request -> (q, ...); 0 where none was asked."""
        rest = answers_SC.shape[2:]
        heard = self.reach.exchanged(answers_SC).reshape(-1, *rest)
        found_q = heard.at[self.places_q].get(mode="fill", fill_value=0)
        # Back to the order in which they were asked.
        return (
            jnp.zeros_like(found_q).at[self.order_q].set(found_q, unique_indices=True)
        )

    def rows(self, table_n: jax.Array) -> jax.Array:
        """(q, ...) rows of a table, (n, ...) of which lie here; 0 where not asked.

        Differentiable: gradients of one row are added up before they travel.
        """
        return self.answered(table_n[self.asked_SC])


def route(
    numbers_q: jax.Array,
    real_q: jax.Array,
    *,
    size: int,
    reach: Reach,
    distinct: bool = True,
    expected: float | None = None,
) -> Route:
    """Finds each request a place.

    Args:
        numbers_q: (q,) int32, rows of the whole table.
        real_q: (q,) bool; the others are not asked for.
        size: n.
        reach: How.
        distinct: Whether requests for one row share a place; not where each is to be
            answered on its own.
        expected: How many rows the requests are for, if they are distinct and that is
            known, see `Popularity`.
    """
    shares, count = reach.shares, numbers_q.shape[0]
    places = reach.places(count)
    if distinct:
        places = reach.row_places(count, size=size, expected=expected)
    last = jnp.iinfo(jnp.int32).max
    keys_q = jnp.where(real_q, numbers_q, last)
    sorted_q, order_q = jax.lax.sort_key_val(keys_q, jnp.arange(count, dtype=jnp.int32))
    owner_q = jnp.minimum(sorted_q // size, shares)
    new_q = jnp.ones(count, bool)
    if distinct:
        new_q = new_q.at[1:].set(sorted_q[1:] != sorted_q[:-1])
    rank_q = jnp.cumsum(new_q) - 1
    first_S = jnp.searchsorted(owner_q, jnp.arange(shares)).astype(jnp.int32)
    before_S = rank_q[jnp.minimum(first_S, count - 1)]
    slot_q = rank_q - before_S[jnp.minimum(owner_q, shares - 1)]
    asked_q = owner_q < shares
    fits_q = asked_q & (slot_q < places)
    places_q = jnp.where(fits_q, owner_q * places + slot_q, shares * places)
    empty = Route(
        order_q=order_q,
        places_q=places_q.astype(jnp.int32),
        asked_SC=jnp.zeros((shares, places), jnp.int32),
        missed=jnp.sum(asked_q & ~fits_q, dtype=jnp.int32),
        reach=reach,
    )
    return dataclasses.replace(empty, asked_SC=empty.told(numbers_q % size))
