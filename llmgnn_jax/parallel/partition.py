"""The edges of a graph in shares: each device gets those that lead into its nodes.

On the host, with NumPy. Numbers within a share are int32 however many nodes there are.

Shapes: S shares, n nodes of each, E edges of the largest, H nodes of a message.
"""

import numpy as np

from llmgnn_jax.data.csr import csr_in_pieces
from llmgnn_jax.graph.node_layout import NodeLayout
from llmgnn_jax.graph.plan import EdgePlan
from llmgnn_jax.parallel.exchange import EdgeBlock, Exchange, Shares
from llmgnn_jax.parallel.popularity import Popularity
from llmgnn_jax.parallel.sampling import SharedTable


def table_in_shares(
    plan: EdgePlan, *, shares: int, layout: NodeLayout | None = None
) -> SharedTable:
    """The edges of a graph by the share of their receiver, to be drawn from.

    Args:
        plan: The edges.
        shares: S, as in `share_out`.
        layout: Which nodes are users and which items, from which follows how often they
            are drawn.

    Returns:
        NumPy arrays, to be placed with their first axis spread over the devices.
    """
    used = int(plan.num_edges)
    # Edges that are padding lead into the last node, and nothing is drawn of it.
    indptr = np.minimum(np.asarray(plan.incoming.indptr, np.int64), used)
    # One at least, to read from where there is nothing to draw.
    offsets, neighbours = csr_in_pieces(
        indptr, np.asarray(plan.incoming.others), pieces=shares, at_least=1
    )
    popularity = None
    if layout is not None:
        users_U, items_I = layout.split(np.diff(indptr))
        popularity = Popularity.of(users_U, items_I)
    return SharedTable(indptr=offsets, neighbours=neighbours, popularity=popularity)


def share_out(plan: EdgePlan, *, shares: int, exchange: Exchange) -> Shares:
    """Cuts the edges of a graph by the share of their receiver.

    Args:
        plan: The edges, with constant weights; the graph is undirected, see
            `EdgePlan.outgoing`.
        shares: S, divides the number of nodes; share s has n consecutive nodes.
        exchange: Which way what senders hold is to come.

    Returns:
        NumPy arrays, to be placed with their first axis spread over the devices.

    Raises:
        ValueError: If the nodes cannot be cut so, or the graph is directed.
    """
    num_nodes = plan.incoming.num_nodes
    if num_nodes % shares:
        raise ValueError(f"{num_nodes} nodes cannot be cut into {shares} shares")
    if plan.outgoing.others is not plan.incoming.others:
        raise ValueError("expected an undirected graph with symmetric weights")
    used = int(plan.num_edges)
    receivers = np.asarray(plan.incoming.own)[:used].astype(np.int64)
    senders = np.asarray(plan.incoming.others)[:used].astype(np.int64)
    weights = np.asarray(plan.incoming.weights)[:used]
    size = num_nodes // shares
    owner, source = receivers // size, senders // size
    if exchange == "all_gather":
        block = _block(owner, receivers % size, senders, weights, shares, size)
        return Shares(near=block, far=None, send=None, exchange=exchange)
    if exchange == "ring":
        back = (owner - source) % shares
        near = _block(
            owner * shares + back,
            receivers % size,
            senders % size,
            weights,
            shares * shares,
            size,
            pointers=False,
        )
        near = EdgeBlock(
            own=near.own.reshape(shares, shares, -1),
            others=near.others.reshape(shares, shares, -1),
            weights=near.weights.reshape(shares, shares, -1),
            indptr=None,
        )
        return Shares(near=near, far=None, send=None, exchange=exchange)
    inside = owner == source
    near = _block(
        owner[inside],
        receivers[inside] % size,
        senders[inside] % size,
        weights[inside],
        shares,
        size,
    )
    send, places = _messages(owner[~inside], senders[~inside], shares, size)
    far = _block(
        owner[~inside],
        receivers[~inside] % size,
        places,
        weights[~inside],
        shares,
        size,
    )
    return Shares(near=near, far=far, send=send, exchange=exchange)


def _messages(
    owner: np.ndarray, senders: np.ndarray, shares: int, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """What shares send to one another, each node once, by number.

    Returns:
        (S, S, H) int32 nodes of share s that it sends to share t, filled up with its
        first; and for each edge s H + h, where its sender is found among what came.
    """
    num_nodes = shares * size
    # One number a (receiver's share, sender) pair; they sort by sender's share too.
    pairs, place = np.unique(owner * num_nodes + senders, return_inverse=True)
    to, node = pairs // num_nodes, pairs % num_nodes
    message = to * shares + node // size
    counts = np.bincount(message, minlength=shares * shares)
    within = _places_within(message, counts)
    longest = max(1, int(counts.max(initial=0)))
    received = np.zeros((shares, shares, longest), np.int32)
    received[to, node // size, within] = node % size
    places = (node // size) * longest + within
    # Told by those who send: theirs is the first axis.
    return np.ascontiguousarray(received.transpose(1, 0, 2)), places[place]


def _places_within(group: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The place of each row among those of its group; groups come in order."""
    return np.arange(len(group)) - (np.cumsum(counts) - counts)[group]


def _block(
    group: np.ndarray,
    receivers: np.ndarray,
    senders: np.ndarray,
    weights: np.ndarray,
    count: int,
    size: int,
    *,
    pointers: bool = True,
) -> EdgeBlock:
    """Edges by group, padded to the largest; they come by (receiver, sender)."""
    counts = np.bincount(group, minlength=count)
    # One at least: an empty CSR has no kernel on some backends.
    longest = max(1, int(counts.max(initial=0)))
    order = np.argsort(group, kind="stable")
    row = group[order]
    column = _places_within(row, counts)
    own = np.full((count, longest), size - 1, np.int32)
    others = np.zeros((count, longest), np.int32)
    values = np.zeros((count, longest), np.float32)
    own[row, column] = receivers[order]
    others[row, column] = senders[order]
    values[row, column] = weights[order]
    indptr = None
    if pointers:
        cells = np.bincount(group * size + receivers, minlength=count * size)
        heard = cells.reshape(count, size)
        heard[:, -1] += longest - counts
        indptr = np.zeros((count, size + 1), np.int32)
        np.cumsum(heard, axis=1, out=indptr[:, 1:])
    return EdgeBlock(own=own, others=others, weights=values, indptr=indptr)
