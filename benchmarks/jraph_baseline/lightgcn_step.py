"""One training step of LightGCN with jraph's layers: propagation, BPR, backward, Adam.

Shapes: S drawn batches, B rows, N nodes, D width.

Batches are drawn beforehand and lie on the device. The step is one jitted function that
is given all it reads, and donates the table and the moments.
"""

import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import jraph
import numpy as np
import optax

from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.jraph_baseline.graphs import LAYERS, Layer, graph_of
from benchmarks.ours.device import compiled, peak_mb

# (N, D) table and a graph -> (N, D)
Propagation = Callable[[jax.Array, jraph.GraphsTuple], jax.Array]


def by_autodiff(layer: Layer, num_layers: int) -> Propagation:
    """(1 / (L + 1)) sum over l of A^l X; XLA scatters in the backward."""

    def propagate(table: jax.Array, graph: jraph.GraphsTuple) -> jax.Array:
        total = nodes = table
        for _ in range(num_layers):
            nodes = layer(graph._replace(nodes=nodes))
            total += nodes
        return total / (num_layers + 1)

    return propagate


def own_backward(layer: Layer, num_layers: int) -> Propagation:
    """The same, told that A is its own transpose: gradients go through the layers."""
    forward = by_autodiff(layer, num_layers)
    propagate = jax.custom_vjp(forward)

    def backward(
        graph: jraph.GraphsTuple, gradient: jax.Array
    ) -> tuple[jax.Array, None]:
        return forward(gradient, graph), None

    propagate.defvjp(lambda table, graph: (forward(table, graph), graph), backward)
    return propagate


PROPAGATIONS = {"autodiff": by_autodiff, "own": own_backward}


def setup(
    inputs: Inputs,
    *,
    layer: str,
    num_layers: int,
    learning_rate: float,
    l2: float,
    backward: str = "autodiff",
) -> Task:
    """One of `LAYERS` with one of `PROPAGATIONS`."""
    propagate = PROPAGATIONS[backward](LAYERS[layer], num_layers)
    # The table is trained; the graph's own nodes are replaced by it.
    graph = graph_of({**inputs, "nodes": inputs["table"][:0]})
    optimizer = optax.adam(learning_rate)
    batches = [
        (jnp.asarray(nodes_3B, jnp.int32), jnp.asarray(keep_B, jnp.float32))
        for nodes_3B, keep_B in zip(
            inputs["batch_nodes"], inputs["batch_keep"], strict=True
        )
    ]

    def loss_of(
        table: jax.Array,
        graph: jraph.GraphsTuple,
        nodes_3B: jax.Array,
        keep_B: jax.Array,
    ) -> jax.Array:
        users, positives, negatives = propagate(table, graph)[nodes_3B]
        margins = jnp.sum(users * (positives - negatives), axis=1)
        penalty = jnp.sum(jnp.square(table[nodes_3B]))
        pairs = jnp.sum(jax.nn.softplus(-margins) * keep_B)
        return (pairs + 0.5 * l2 * penalty) / len(keep_B)

    def step(
        state: tuple[jax.Array, optax.OptState],
        graph: jraph.GraphsTuple,
        nodes_3B: jax.Array,
        keep_B: jax.Array,
    ) -> tuple[tuple[jax.Array, optax.OptState], jax.Array]:
        table, moments = state
        loss, gradient = jax.value_and_grad(loss_of)(table, graph, nodes_3B, keep_B)
        updates, moments = optimizer.update(gradient, moments, table)
        return (optax.apply_updates(table, updates), moments), loss

    def start() -> tuple[jax.Array, optax.OptState]:
        table = jnp.asarray(inputs["table"])
        return table, optimizer.init(table)

    program, compile_s = compiled(
        jax.jit(step, donate_argnums=0), start(), graph, *batches[0]
    )

    def outputs() -> dict[str, np.ndarray]:
        gradient = jax.jit(jax.grad(loss_of))(start()[0], graph, *batches[0])
        state, losses = start(), []
        for batch in batches:
            state, loss = program(state, graph, *batch)
            losses.append(loss)
        return {"gradient": np.asarray(gradient), "losses": np.asarray(losses)}

    state, turns = start(), itertools.cycle(batches)

    def run() -> None:
        nonlocal state
        state, loss = program(state, graph, *next(turns))
        loss.block_until_ready()

    return Task(run=run, outputs=outputs, compile_s=compile_s, device_peak_mb=peak_mb())
