"""Sums over neighbours that lie on other devices, in three ways.

Shapes: S shares, one a device; n nodes of a share, N = S n nodes; E edges that lead
into a share, padded; H nodes that one share asks of another, padded; D width.

A share holds the edges that lead into its nodes. What their senders hold comes

* `all_gather`: from everyone, the whole table at a time: N D numbers on each device;
* `ring`: share by share, each passed on to the next device: 2 n D numbers at a time, in
  S rounds; the next share travels while the sums over the last one are computed;
* `all_to_all`: the rows that are asked for and no others: S H D numbers; the sums over
  the share's own nodes do not wait for them, where the compiler starts exchanges early
  (docs/architecture.md says which do).

The graph is undirected and its weights are symmetric, so a gradient goes the same way
as what it belongs to.
"""

import functools
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp

from llmgnn_jax.graph.aggregate.backends import Backend, weighted_row_sums
from llmgnn_jax.graph.aggregate.operations import no_gradient
from llmgnn_jax.graph.plan import Rows

Exchange: TypeAlias = Literal["all_gather", "ring", "all_to_all"]
EXCHANGES: tuple[Exchange, ...] = get_args(Exchange)


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["own", "others", "weights", "indptr"],
    meta_fields=[],
)
@dataclass(frozen=True, kw_only=True)
class EdgeBlock:
    """Edges of each share that lead into its nodes, by receiver.

    Padding leads from the first sender into the last node, with weight 0. The arrays
    are NumPy's until they are placed.

    Attributes:
        own: (S, E) int32 receivers, ascending, in [0, n).
        others: (S, E) int32 senders, as the exchange numbers them.
        weights: (S, E) float32.
        indptr: (S, n + 1) int32, where each node's edges begin; None where sums are
            added up edge by edge.
    """

    own: Any
    others: Any
    weights: Any
    indptr: Any

    def rows(self) -> Rows:
        """The edges of the one share that a device sees: leading axes of size 1."""
        assert self.indptr is not None
        return Rows(
            indptr=self.indptr[0],
            own=self.own[0],
            others=self.others[0],
            edges=None,
            weights=self.weights[0],
            buckets=None,
        )


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["near", "far", "send"],
    meta_fields=["exchange"],
)
@dataclass(frozen=True, kw_only=True)
class Shares:
    """The edges of a graph whose nodes lie on S devices, n consecutive ones on each.

    Attributes:
        near: `all_gather`: all edges, senders by their number among all nodes;
            `all_to_all`: those between nodes of one share; `ring`: (S, S, E) arrays,
            the second axis is how many devices back round the ring the senders are,
            which are numbered within their share.
        far: `all_to_all`: edges from other shares, the h-th node that share s sends
            being s H + h. Else None.
        send: `all_to_all`: (S, S, H) int32, the nodes that each share sends to each.
        exchange: Which way.
    """

    near: EdgeBlock
    far: EdgeBlock | None
    send: Any
    exchange: Exchange


@dataclass(frozen=True, kw_only=True)
class SharedNeighbourhood:
    """`WeightedSums` over the nodes of a device, for use within `jax.shard_map`.

    Attributes:
        shares: What the device sees of them: leading axes of size 1.
        axes: The axes of the mesh that S is spread over.
        backend: Kernel of the sums.
    """

    shares: Shares
    axes: tuple[str, ...]
    backend: Backend

    def own(self, nodes: jax.Array) -> jax.Array:
        return nodes

    def weighted(self, nodes: jax.Array) -> jax.Array:
        return _weighted(nodes, self.shares, self.axes, self.backend)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _weighted(
    nodes_nD: jax.Array, shares: Shares, axes: tuple[str, ...], backend: Backend
) -> jax.Array:
    """(n, D) sums of (n, D) nodes."""
    sums = {"all_gather": _all_gather, "ring": _ring, "all_to_all": _all_to_all}
    return sums[shares.exchange](nodes_nD, shares, axes, backend)


_weighted.defvjp(
    lambda nodes, shares, axes, backend: (
        _weighted(nodes, shares, axes, backend),
        shares,
    ),
    lambda axes, backend, shares, gradient: (
        _weighted(gradient, shares, axes, backend),
        no_gradient(shares),
    ),
)


def _all_gather(
    nodes_nD: jax.Array, shares: Shares, axes: tuple[str, ...], backend: Backend
) -> jax.Array:
    nodes_ND = jax.lax.all_gather(nodes_nD, axes, tiled=True)
    return weighted_row_sums(shares.near.rows(), nodes_ND, None, backend)


def _all_to_all(
    nodes_nD: jax.Array, shares: Shares, axes: tuple[str, ...], backend: Backend
) -> jax.Array:
    assert shares.send is not None
    assert shares.far is not None
    asked_SHD = nodes_nD[shares.send[0]]
    heard_SHD = jax.lax.all_to_all(asked_SHD, axes, split_axis=0, concat_axis=0)
    # Nothing here waits for what is under way.
    near_nD = weighted_row_sums(shares.near.rows(), nodes_nD, None, backend)
    heard = heard_SHD.reshape(-1, nodes_nD.shape[1])
    return near_nD + weighted_row_sums(shares.far.rows(), heard, None, backend)


def _ring(
    nodes_nD: jax.Array, shares: Shares, axes: tuple[str, ...], backend: Backend
) -> jax.Array:
    del backend  # Edge by edge: a pointer for each node and round would be too much.
    own, others, weights = (
        array[0] for array in (shares.near.own, shares.near.others, shares.near.weights)
    )
    count = own.shape[0]
    forward = [(device, (device + 1) % count) for device in range(count)]

    def turn(number: jax.Array, carry: tuple[jax.Array, jax.Array]) -> Any:
        share_nD, sums_nD = carry
        # Sent on before it is read: both go on at once.
        next_nD = jax.lax.ppermute(share_nD, axes, forward)
        return next_nD, _added(sums_nD, share_nD, own, others, weights, number)

    start = (nodes_nD, jnp.zeros(nodes_nD.shape, jnp.float32))
    share_nD, sums_nD = jax.lax.fori_loop(0, count - 1, turn, start)
    # The last share is not sent on.
    sums_nD = _added(sums_nD, share_nD, own, others, weights, count - 1)
    return sums_nD.astype(nodes_nD.dtype)


def _added(
    sums_nD: jax.Array,
    share_nD: jax.Array,
    own: jax.Array,
    others: jax.Array,
    weights: jax.Array,
    number: Any,
) -> jax.Array:
    messages_ED = share_nD[others[number]].astype(jnp.float32)
    messages_ED = messages_ED * weights[number][:, None]
    return sums_nD.at[own[number]].add(messages_ED, indices_are_sorted=True)
