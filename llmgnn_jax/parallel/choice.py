"""Which exchange a run uses: as configured, or the fastest on its graph and devices."""

import dataclasses
import logging
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from llmgnn_jax.graph.structure import InteractionGraph
from llmgnn_jax.parallel import processes
from llmgnn_jax.parallel.exchange import EXCHANGES, Exchange
from llmgnn_jax.parallel.mesh import AXES
from llmgnn_jax.parallel.rules import shardings
from llmgnn_jax.parallel.strategy import Meshed

logger = logging.getLogger(__name__)

# Below this every exchange costs less than measuring them, and noise would choose.
_TOO_SMALL = 50_000
# Seconds that all repeats may take together, after one of each; and how many there are.
_BUDGET = 3.0
_ROUNDS = (2, 9)
# One that is this many times slower than the best is not run again.
_HOPELESS = 4.0
# What a step holds beside the table and a propagation: the table's gradient, both of
# Adam's moments, and the best table so far.
_BESIDE = 4


def choose_exchange(
    graph: InteractionGraph, *, strategy: Meshed, width: int
) -> Exchange:
    """Measures one propagation with its gradient by each exchange, on the graph itself.

    What the first process has measured decides, at each turn, for all: they run the
    same programs in the same order.

    Args:
        graph: Whole, on the host or on one device.
        strategy: The devices and the kernel; its own exchange is not looked at.
        width: D of the node vectors.

    Returns:
        The one with the least median time of those that fit; `all_to_all`, which sends
        the fewest bytes, for a graph of few edges, which is not measured.
    """
    if int(graph.plan.num_edges) < _TOO_SMALL:
        return "all_to_all"
    began = time.perf_counter()
    runs: dict[Exchange, Callable[[], Any]] = {}
    for name in EXCHANGES:
        # Those before are held while it is judged: all are measured in turn.
        run = _prepared(graph, dataclasses.replace(strategy, exchange=name), width)
        if run is not None:
            runs[name] = run
    if len(runs) < 2:
        # Where nothing fits, what holds least.
        chosen: Exchange = next(iter(runs), "ring")
        logger.info("parallel.exchange auto: %s, for want of memory", chosen)
        return chosen
    for run in runs.values():
        run()  # The first time is another: memory is found, connections are made.
    times = {name: [seconds_of(run)] for name, run in runs.items()}
    firsts = processes.numbers_of_first({name: times[name][0] for name in runs})
    best = min(firsts.values())
    runs = {name: runs[name] for name in runs if firsts[name] <= _HOPELESS * best}
    rounds = int(_BUDGET / sum(firsts[name] for name in runs))
    for _ in range(min(max(rounds, min(_ROUNDS)), max(_ROUNDS))):
        # In turn: what slows the machine for a while slows all of them.
        for name, run in runs.items():
            times[name].append(seconds_of(run))
    medians = processes.numbers_of_first(
        {name: float(np.median(times[name])) for name in runs}
    )
    chosen = min(medians, key=medians.__getitem__)
    logger.info(
        "parallel.exchange auto: %s (%s; measured in %.1f s)",
        chosen,
        ", ".join(
            f"{name} {1e3 * {**firsts, **medians}[name]:.1f} ms" for name in firsts
        ),
        time.perf_counter() - began,
    )
    return chosen


def seconds_of(run: Callable[[], Any]) -> float:
    """How long a run takes, until its results are there."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _prepared(
    graph: InteractionGraph, strategy: Meshed, width: int
) -> Callable[[], Any] | None:
    """A propagation and its gradient, to be run; None if one process has no room."""
    mesh = strategy.mesh
    spread = NamedSharding(mesh, P(AXES))
    nodes = jax.ShapeDtypeStruct(
        (graph.layout.num_nodes, width), jnp.float32, sharding=spread
    )
    shared = strategy.share_graph(graph)
    shapes = jax.tree.map(
        lambda leaf, place: jax.ShapeDtypeStruct(
            leaf.shape, leaf.dtype, sharding=place
        ),
        *(shared, shardings(shared, mesh)),
    )

    def propagated(nodes_ND: jax.Array, graph: InteractionGraph) -> jax.Array:
        return strategy.placement.run_layers(
            lambda _, graph, near: graph._replace(nodes=near.weighted(graph.nodes)),
            None,
            nodes_ND,
            graph,
        )

    @jax.jit
    def forward_and_backward(nodes_ND: jax.Array, graph: InteractionGraph) -> Any:
        out_ND, pull = jax.vjp(lambda nodes: propagated(nodes, graph), nodes_ND)
        return out_ND, pull(out_ND)[0]

    compiled = _compiled(forward_and_backward, nodes, shapes)
    fits = compiled is not None and _fits(compiled, mesh, nodes)
    if processes.any_of_them(not fits):
        return None
    assert compiled is not None
    ones = jax.jit(lambda: jnp.ones(nodes.shape, nodes.dtype), out_shardings=spread)()
    placed = strategy.place(shared)
    return lambda: jax.block_until_ready(compiled(ones, placed))


def _compiled(function: Any, *shapes: Any) -> Any | None:
    """The program; None where the compiler itself finds no room for it."""
    try:
        return function.lower(*shapes).compile()
    except jax.errors.JaxRuntimeError as error:
        if "memory" not in str(error).lower():
            raise
        return None


def _fits(compiled: Any, mesh: Mesh, nodes: jax.ShapeDtypeStruct) -> bool:
    """Whether a step that propagates so has room, where a device tells its memory."""
    here = [device for device in mesh.devices.flat if _is_here(device)]
    stats = here[0].memory_stats() or {}
    if "bytes_limit" not in stats:
        return True
    free = stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    memory = compiled.memory_analysis()
    propagation = memory.argument_size_in_bytes + memory.temp_size_in_bytes
    table = nodes.size * nodes.dtype.itemsize // mesh.size
    return propagation + _BESIDE * table <= free


def _is_here(device: Any) -> bool:
    return device.process_index == jax.process_index()
