"""Layer by layer over a graph of any size: all nodes, all edges, a chunk at a time.

Shapes: N nodes, E edges, D width; of a chunk R receivers, n nodes, e edges.

A layer is applied to all nodes before the next one is. A chunk is some receivers with
all of their incoming edges and who sends over them, so nothing is sampled and no layer
is computed twice: the result is that of the whole graph. What the device holds is
bounded by the chunk; features and vectors between layers stay on the host, in memory or
in files.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jraph
import numpy as np
from flax import nnx

from llmgnn_jax.errors import UserError
from llmgnn_jax.graph.aggregate import Backend
from llmgnn_jax.graph.neighbourhood import LocalNeighbourhood
from llmgnn_jax.graph.plan import EdgePlan, plan_edges

# layer(graph, neighbours=...) -> graph
Layer = Callable[..., jraph.GraphsTuple]


@dataclass(frozen=True, kw_only=True, eq=False)
class HostEdges:
    """Incoming edges of each node, on the host; the arrays may be memory maps.

    Attributes:
        indptr: (N + 1,) integers; node v hears over edges indptr[v]:indptr[v + 1].
        senders: (E,) node numbers.
        held: What the edges hold, (E, ...): "weight", "relation", "features", ... What
            a layer would count over the whole graph (the degree of a sender) is a part
            of the weights.
    """

    indptr: np.ndarray
    senders: np.ndarray
    held: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def num_nodes(self) -> int:
        """N."""
        return len(self.indptr) - 1


def host_edges(
    senders: np.ndarray,
    receivers: np.ndarray,
    num_nodes: int,
    *,
    held: Mapping[str, np.ndarray] | None = None,
) -> HostEdges:
    """Sorts any list of directed edges by (receiver, sender).

    Args:
        senders: (E,) node numbers.
        receivers: (E,) node numbers.
        num_nodes: N.
        held: (E, ...) what the edges hold, sorted along.

    Raises:
        UserError: If an end is not in [0, num_nodes).
    """
    senders, receivers = np.asarray(senders), np.asarray(receivers)
    for name, ends in (("senders", senders), ("receivers", receivers)):
        if len(ends) and not (ends.min() >= 0 and ends.max() < num_nodes):
            raise UserError.field(
                name,
                expected=f"numbers in [0, {num_nodes})",
                got=f"{ends.min()} to {ends.max()}",
            )
    order = np.lexsort((senders, receivers))
    counts = np.bincount(receivers, minlength=num_nodes)
    return HostEdges(
        indptr=np.concatenate([[0], np.cumsum(counts)]),
        senders=senders[order].astype(np.int32),
        held={name: np.asarray(value)[order] for name, value in (held or {}).items()},
    )


def layerwise(
    layers: Sequence[Layer],
    features: np.ndarray,
    edges: HostEdges,
    *,
    max_rows: int = 2**16,
    max_edges: int = 2**20,
    backend: Backend = "csr",
    folder: Path | None = None,
) -> np.ndarray:
    """Applies layers to all nodes of a graph.

    Args:
        layers: One after another; `layer(graph, neighbours=...) -> graph`, modules or
            functions. What comes between two layers is a part of one. Each finds the
            edges as they are here: updates of edges are not carried on.
        features: (N, D) of the nodes, an array or a memory map.
        edges: Who sends to whom.
        max_rows: Receivers of a chunk.
        max_edges: Edges of a chunk. A node with more of them is a chunk by itself. The
            device holds `max_rows + max_edges` node vectors at most, rounded up to a
            power of two, and what a layer makes of them.
        backend: The kernel of `LocalNeighbourhood`.
        folder: Where the vectors that each layer gives are written to, as
            layer_0.npy, ...; None keeps them in memory. A file is there once it is
            whole, and takes the place of one of that name: `features` may be a memory
            map of it. Types that .npy has not (bfloat16) are stored as float32, which
            holds their values; the next layer is given the type again.

    Returns:
        (N, D') what the last layer gives; a memory map with `folder`.

    Raises:
        UserError: If there is not one row of features a node, or a bound is below 1.
    """
    if len(features) != edges.num_nodes:
        raise UserError.field(
            "features", expected=f"{edges.num_nodes} rows", got=len(features)
        )
    for name, bound in (("max_rows", max_rows), ("max_edges", max_edges)):
        if bound < 1:
            raise UserError.field(name, expected="a number >= 1", got=bound)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    nodes, dtype = features, features.dtype
    for number, layer in enumerate(layers):
        path = None if folder is None else folder / f"layer_{number}.npy"
        run = _compiled(layer, backend)
        chunks = (
            (first, last, _chunk(edges, nodes, first, last, dtype))
            for first, last in _chunks(np.asarray(edges.indptr), max_rows, max_edges)
        )
        if path is None:
            nodes, dtype = _collected(run, chunks, edges.num_nodes, None)
            continue
        # Under another name until it is whole: chunks may be read from that file.
        partial = path.with_name(f".{path.name}.part")
        try:
            _, dtype = _collected(run, chunks, edges.num_nodes, partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        nodes = np.load(path, mmap_mode="r+")
    return nodes


def _collected(
    run: Callable[..., jax.Array],
    chunks: Iterator[tuple[int, int, tuple[jraph.GraphsTuple, EdgePlan]]],
    num_nodes: int,
    path: Path | None,
) -> tuple[np.ndarray, np.dtype]:
    """What a layer gives all nodes, (N, D'), and the type in which it does."""
    out, dtype = None, np.dtype(np.float32)
    for first, last, (graph, plan) in chunks:
        rows = last - first
        # Rounded up, so that few shapes are compiled.
        kept = min(_rounded(rows), graph.nodes.shape[0])
        given = np.asarray(run(graph, plan, kept))[:rows]
        if out is None:
            dtype = given.dtype
            out = _empty((num_nodes, *given.shape[1:]), dtype, path)
        out[first:last] = given
    assert out is not None
    if isinstance(out, np.memmap):
        out.flush()
    return out, dtype


def _compiled(layer: Layer, backend: Backend) -> Callable[..., jax.Array]:
    """(graph, plan, rows) -> (rows, D'), the first nodes of what a layer gives."""
    rebuild: Callable[[Any], Layer]
    if isinstance(layer, nnx.Module):
        definition, state = nnx.split(layer)
        rebuild = functools.partial(nnx.merge, definition)
    else:
        state, function = None, layer

        def rebuild(_: Any) -> Layer:
            return function

    @functools.partial(jax.jit, static_argnums=3)
    def run(
        state: Any, graph: jraph.GraphsTuple, plan: EdgePlan, rows: int
    ) -> jax.Array:
        neighbours = LocalNeighbourhood(plan=plan, backend=backend)
        return rebuild(state)(graph, neighbours=neighbours).nodes[:rows]

    return functools.partial(run, state)


def _chunks(
    indptr: np.ndarray, max_rows: int, max_edges: int
) -> Iterator[tuple[int, int]]:
    """Ranges of receivers that together are all of them; an empty one of none."""
    first, num_nodes = 0, len(indptr) - 1
    if not num_nodes:
        # Who runs it learns how wide the layer is.
        yield 0, 0
    while first < num_nodes:
        fits = np.searchsorted(indptr, indptr[first] + max_edges, side="right") - 1
        last = max(first + 1, min(int(fits), first + max_rows, num_nodes))
        yield first, last
        first = last


def _chunk(
    edges: HostEdges, nodes: np.ndarray, first: int, last: int, dtype: np.dtype
) -> tuple[jraph.GraphsTuple, EdgePlan]:
    """Receivers [first, last), numbered from 0, then those others who send to them.

    Padded to powers of two; the last node is jraph's padding node. Vectors are given in
    `dtype`, whatever type they are kept in.
    """
    start, stop = int(edges.indptr[first]), int(edges.indptr[last])
    rows, used = last - first, stop - start
    senders = np.asarray(edges.senders[start:stop])
    inside = (senders >= first) & (senders < last)
    others, places = np.unique(senders[~inside], return_inverse=True)
    local = np.empty(used, np.int32)
    local[inside] = senders[inside] - first
    local[~inside] = rows + places
    counts = np.diff(edges.indptr[first : last + 1])
    receivers = np.repeat(np.arange(rows, dtype=np.int32), counts)

    num_nodes = _rounded(rows + len(others) + 1)
    num_edges = _rounded(used + 1)
    spare = num_edges - used
    vectors = np.zeros((num_nodes, *nodes.shape[1:]), dtype)
    vectors[:rows] = nodes[first:last]
    vectors[rows : rows + len(others)] = nodes[others]
    held = {
        name: np.concatenate(
            [values[start:stop], np.zeros((spare, *values.shape[1:]), values.dtype)]
        )
        for name, values in edges.held.items()
    }
    padding = np.full(spare, num_nodes - 1, np.int32)
    plan = plan_edges(
        np.concatenate([local, padding]),
        np.concatenate([receivers, padding]),
        num_nodes,
        weights=held.get("weight"),
        num_edges=used,
        buckets=False,
    )
    graph = jraph.GraphsTuple(
        nodes=jnp.asarray(vectors),
        edges={name: jnp.asarray(values) for name, values in held.items()},
        senders=plan.incoming.others,
        receivers=plan.incoming.own,
        globals=None,
        n_node=jnp.asarray([rows + len(others), num_nodes - rows - len(others)]),
        n_edge=jnp.asarray([used, spare]),
    )
    return graph, plan


def _rounded(size: int) -> int:
    """The next power of two."""
    return 1 << (size - 1).bit_length()


def _empty(shape: tuple[int, ...], dtype: np.dtype, path: Path | None) -> np.ndarray:
    if path is None:
        return np.empty(shape, dtype)
    # NumPy knows bfloat16 and its like as bytes ("V") and would write them as such.
    dtype = np.dtype(np.float32) if dtype.kind == "V" else dtype
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
