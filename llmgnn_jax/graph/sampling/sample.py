"""`sample_tree`: draws the neighbours of seeds, their neighbours, and so on.

Shapes: B seeds, W parents of a hop, K slots of each over all relations.
"""

import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from llmgnn_jax.errors import UserError
from llmgnn_jax.graph.sampling.choose import choose_positions, take
from llmgnn_jax.graph.sampling.table import SampleTable
from llmgnn_jax.graph.sampling.tree import Fanout, Hop, SampledTree
from llmgnn_jax.graph.sampling.words import Array, key_words, row_words


def sample_tree(
    key: jax.Array,
    table: SampleTable,
    seeds_B: Array,
    *,
    fanouts: Sequence[int | Fanout],
    replace: bool = False,
    weighted: bool = False,
    excluded_pairs_B2: Array | None = None,
    rows_B: Array | None = None,
) -> SampledTree:
    """Draws a tree under each seed.

    What a seed draws depends on the key and on its row number alone: not on the other
    seeds, nor on where it stands among them. Pure and of static shapes on the device
    (under jit, scan, vmap); a table on the host is sampled there, with the same result.

    Args:
        key: Of the step, `fold_in(root, step)`.
        table: On the device or on the host.
        seeds_B: (B,) int32 node numbers; -1 in rows that are padding. Traced ones (of a
            program that is being compiled) are not checked: one that is out of range
            draws anything.
        fanouts: For each hop how many neighbours a node draws; a tuple gives a number
            to each relation.
        replace: Whether a neighbour may be drawn again. If not, a node that has no
            more neighbours than it draws hears each of them once.
        weighted: Whether in proportion to the table's weights, else uniformly.
        excluded_pairs_B2: (B, 2) int32, for each seed a pair of nodes, or -1: in its
            tree neither hears the other. A training example whose edge is to be
            predicted must not be heard over that edge.
        rows_B: (B,) global row numbers; 0, 1, ... if not given.

    Returns:
        The tree. A node without neighbours has empty slots, and so have those below.

    Raises:
        UserError: If there are no fan-outs, a fan-out does not have a number >= 0 for
            each relation and one above 0, weights are asked of a table without, or a
            seed is not in [-1, N).
    """
    checked = _checked_fanouts(fanouts, table.num_relations)
    _check_seeds(seeds_B, table.num_nodes)
    if weighted and table.cumulative is None:
        raise UserError.field(
            "weighted",
            expected="a table with weights",
            got="none",
            fix="give sample_table its weights",
        )
    xp: Any = np if table.on_host else jnp
    words_2 = xp.asarray(key_words(key))
    seeds_B = xp.asarray(seeds_B, dtype=xp.int32)
    rows_B = xp.arange(seeds_B.shape[0]) if rows_B is None else xp.asarray(rows_B)
    parents_W, real_W = xp.maximum(seeds_B, 0), seeds_B >= 0
    hops = []
    for number, fanout in enumerate(checked):
        below = parents_W.size // max(seeds_B.size, 1)
        words_BM = row_words(
            words_2, rows_B, stream=number, count=below * sum(fanout), xp=xp
        )
        excluded_W = None
        if excluded_pairs_B2 is not None:
            excluded_W = _excluded(xp.asarray(excluded_pairs_B2), parents_W, below, xp)
        hop = _expand(
            words_BM.reshape(parents_W.size, sum(fanout)),
            table,
            parents_W,
            real_W,
            fanout=fanout,
            replace=replace,
            weighted=weighted,
            excluded_W=excluded_W,
            xp=xp,
        )
        hops.append(hop)
        parents_W, real_W = hop.nodes.reshape(-1), hop.mask.reshape(-1)
    return SampledTree(seeds=seeds_B, hops=tuple(hops), fanouts=checked)


def _checked_fanouts(
    fanouts: Sequence[int | Fanout], num_relations: int
) -> tuple[Fanout, ...]:
    every = tuple(_whole_numbers(fanout, fanouts) for fanout in fanouts)
    for fanout in every:
        if len(fanout) != num_relations or min(fanout) < 0 or max(fanout) < 1:
            raise UserError.field(
                "fanouts",
                expected=f"for each hop {num_relations} numbers >= 0, not all 0",
                got=fanouts,
            )
    if not every:
        raise UserError.field("fanouts", expected="one hop at least", got="none")
    return every


def _whole_numbers(fanout: Any, fanouts: Any) -> Fanout:
    """One number or several, Python's or NumPy's, as Python's."""
    try:
        if isinstance(fanout, Sequence) or np.ndim(fanout):
            return tuple(operator.index(number) for number in fanout)
        return (operator.index(fanout),)
    except TypeError as error:
        raise UserError.field(
            "fanouts", expected="whole numbers", got=fanouts
        ) from error


def _check_seeds(seeds_B: Array, num_nodes: int) -> None:
    """Before they become int32, which would wrap around."""
    if isinstance(seeds_B, jax.core.Tracer):
        return
    seeds_B = np.asarray(seeds_B)
    wrong = seeds_B[(seeds_B < -1) | (seeds_B >= num_nodes)]
    if wrong.size:
        raise UserError.field(
            "seeds", expected=f"numbers in [-1, {num_nodes})", got=wrong[0]
        )


def _excluded(pairs_B2: Array, parents_W: Array, below: int, xp: Any) -> Array:
    """(W,) int32, for parents in the pair of their seed the other one; else -1."""
    first_W = xp.repeat(pairs_B2[:, 0], below)
    second_W = xp.repeat(pairs_B2[:, 1], below)
    other_W = xp.where(parents_W == second_W, first_W, -1)
    return xp.where(parents_W == first_W, second_W, other_W).astype(xp.int32)


def _expand(
    words_WK: Array,
    table: SampleTable,
    parents_W: Array,
    real_W: Array,
    *,
    fanout: Fanout,
    replace: bool,
    weighted: bool,
    excluded_W: Array | None,
    xp: Any,
) -> Hop:
    """Draws the children of one generation, relation by relation."""
    drawn, first = [], 0
    for relation, size in enumerate(fanout):
        if not size:
            continue
        rows_W = parents_W * table.num_relations + relation
        starts_W = take(table.indptr, rows_W, xp)
        counts_W = xp.where(real_W, take(table.indptr, rows_W + 1, xp) - starts_W, 0)
        drawn.append(
            choose_positions(
                words_WK[:, first : first + size],
                starts_W,
                counts_W,
                table=table,
                replace=replace,
                weighted=weighted,
                excluded_B=excluded_W,
                xp=xp,
            )
        )
        first += size
    positions_WK = xp.concatenate([positions for positions, _ in drawn], axis=1)
    mask_WK = xp.concatenate([mask for _, mask in drawn], axis=1)
    return Hop(
        nodes=xp.where(mask_WK, take(table.neighbours, positions_WK, xp), 0),
        mask=mask_WK,
        edge_ids=(
            None if table.edge_ids is None else take(table.edge_ids, positions_WK, xp)
        ),
    )
