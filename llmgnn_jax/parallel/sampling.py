"""Trees drawn from a graph in pieces: within `shard_map`.

Shapes: S devices, n nodes of each, E edges that lead into them, padded, b seeds of a
device, W parents of a hop, K slots of each, C places of a message.

A device has the trees of its own seeds. For each hop it asks the owners of the parents,
who draw from their edges by the words that belong to the seed's row, and tell which
neighbours they drew. The tree is that which `sample_tree` draws of the whole graph.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from llmgnn_jax.graph.sampling import Hop, SampledTree, SampleTable
from llmgnn_jax.graph.sampling.choose import choose_positions
from llmgnn_jax.graph.sampling.words import row_words
from llmgnn_jax.parallel.popularity import Popularity
from llmgnn_jax.parallel.routes import Reach, route


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["indptr", "neighbours"],
    meta_fields=["popularity"],
)
@dataclass(frozen=True, kw_only=True)
class SharedTable:
    """The edges that lead into the nodes of each device, to draw from.

    The arrays are NumPy's until they are placed. Offsets are those of a device: int32
    however many edges there are in all.

    Attributes:
        indptr: (S (n + 1),) int32, of each device where its nodes' edges begin.
        neighbours: (S E,) int32, senders by their number among all nodes.
        popularity: Of all nodes; None where it is not known.
    """

    indptr: Any
    neighbours: Any
    popularity: Popularity | None = None

    def distinct(self, seeds: int, fanouts: Sequence[int]) -> float | None:
        """How many nodes the trees of a device are expected to name, if known."""
        if self.popularity is None:
            return None
        return self.popularity.distinct(seeds, fanouts)

    def here(self) -> SampleTable:
        """Within `shard_map`: the table of this device's nodes."""
        return SampleTable.of_rows(self.indptr, self.neighbours)


def sample_shared(
    words_2: jax.Array,
    table: SharedTable,
    seeds_b: jax.Array,
    rows_b: jax.Array,
    *,
    fanouts: Sequence[int],
    reach: Reach,
) -> tuple[SampledTree, jax.Array]:
    """Draws a tree under each of a device's seeds, uniformly without replacement.

    Args:
        words_2: (2,) uint32, of the key.
        table: What the device sees of it.
        seeds_b: (b,) int32 numbers among all nodes; -1 in rows that are padding.
        rows_b: (b,) int32, the global row of each.
        fanouts: For each hop how many neighbours a node draws.
        reach: How devices ask one another.

    Returns:
        The tree, without the numbers of its edges; and () int32, how many of this
        device's parents were left out for want of places.
    """
    here = table.here()
    size = here.num_nodes
    parents_W, real_W = jnp.maximum(seeds_b, 0), seeds_b >= 0
    hops, missed, below = [], jnp.zeros((), jnp.int32), 1
    for number, fanout in enumerate(fanouts):
        ways = route(parents_W, real_W, size=size, reach=reach, distinct=False)
        first_W = jnp.tile(jnp.arange(below, dtype=jnp.int32) * fanout, len(seeds_b))
        told = jnp.stack([jnp.repeat(rows_b, below), first_W, real_W], axis=1)
        rows_P, first_P, real_P = ways.told(told.astype(jnp.int32)).reshape(-1, 3).T
        words_PK = row_words(
            words_2, rows_P, stream=number, count=fanout, xp=jnp, first_B=first_P
        )
        places_P = ways.asked_SC.reshape(-1)
        starts_P = here.indptr[places_P]
        counts_P = jnp.where(real_P > 0, here.indptr[places_P + 1] - starts_P, 0)
        positions_PK, mask_PK = choose_positions(
            words_PK,
            starts_P,
            counts_P,
            table=here,
            replace=False,
            weighted=False,
            xp=jnp,
        )
        # One more than the number, so that 0 is none, as where nothing was asked.
        drawn_PK = jnp.where(mask_PK, here.neighbours[positions_PK] + 1, 0)
        answers = drawn_PK.reshape(*ways.asked_SC.shape, fanout)
        found_WK = ways.answered(answers)
        mask_WK = found_WK > 0
        hops.append(
            Hop(nodes=jnp.maximum(found_WK - 1, 0), mask=mask_WK, edge_ids=None)
        )
        missed += ways.missed
        parents_W, real_W = hops[-1].nodes.reshape(-1), mask_WK.reshape(-1)
        below *= fanout
    tree = SampledTree(
        seeds=seeds_b,
        hops=tuple(hops),
        fanouts=tuple((fanout,) for fanout in fanouts),
    )
    return tree, missed
