"""Sampled GraphSAGE training: sampling, forward, backward and Adam in one program."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.ours.device import check_backend, compiled, peak_mb
from llmgnn_jax.graph.aggregate import Backend
from llmgnn_jax.graph.layers.sage import SAGELayer
from llmgnn_jax.graph.sampling import (
    SampledTree,
    gather_features,
    propagate_tree,
    sample_table,
    sample_tree,
)
from llmgnn_jax.graph.sampling.tree import Hop

# The names that both sides give the parameters of a layer.
_NAMES = {"kernel": "neighbours", "root_kernel": "root", "bias": "bias"}


def setup(
    inputs: Inputs,
    *,
    fanouts: list[int],
    learning_rate: float,
    replace: bool,
    in_place: bool,
    backend: Backend,
) -> Task:
    """All batches of `seeds` (S, B) in one call, by `lax.scan`.

    With `in_place` the first layer reads the graph's table of vectors where it lies;
    else the tree's rows are gathered first.
    """
    check_backend(backend)
    num_nodes = int(inputs["num_nodes"])
    table = sample_table(inputs["senders"], inputs["receivers"], num_nodes).to_device()
    features, targets = jnp.asarray(inputs["nodes"]), jnp.asarray(inputs["targets"])
    seeds_SB = jnp.asarray(inputs["seeds"], jnp.int32)
    definitions, params = _layers(inputs)
    optimizer = optax.adam(learning_rate)

    def loss_of(params, tree, features, targets):
        layers = [
            nnx.merge(definition, layer)
            for definition, layer in zip(definitions, params, strict=True)
        ]
        first, last = layers

        def hidden(graph, *, neighbours):
            graph = first(graph, neighbours=neighbours)
            return graph._replace(nodes=jax.nn.relu(graph.nodes))

        if in_place:
            held = {"table_ND": features}
        else:
            held = {"nodes_ND": gather_features(features, tree, backend=backend)}
        out_BD = propagate_tree([hidden, last], tree, **held, backend=backend)
        return jnp.mean((out_BD - targets[tree.seeds]) ** 2), out_BD

    @jax.jit
    def run_batches(state, key, seeds_SB, table, features, targets):
        def step(state, numbered):
            number, seeds_B = numbered
            params, opt_state = state
            tree = sample_tree(
                jax.random.fold_in(key, number),
                table,
                seeds_B,
                fanouts=fanouts,
                replace=replace,
            )
            (loss, _), gradients = jax.value_and_grad(loss_of, has_aux=True)(
                params, tree, features, targets
            )
            updates, opt_state = optimizer.update(gradients, opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), loss

        numbers = jnp.arange(len(seeds_SB))
        return jax.lax.scan(step, state, (numbers, seeds_SB))

    def arguments():
        key = jax.random.fold_in(jax.random.key(0), calls)
        return state, key, seeds_SB, table, features, targets

    state, calls = (params, optimizer.init(params)), 0
    program, compile_s = compiled(run_batches, *arguments())

    def run() -> None:
        nonlocal state, calls
        state, losses = program(*arguments())
        losses.block_until_ready()
        calls += 1

    def outputs() -> dict[str, np.ndarray]:
        tree = _block(inputs, fanouts)
        gradients, out_BD = jax.jit(jax.grad(loss_of, has_aux=True))(
            params, tree, features, targets
        )
        found = {"out": np.asarray(out_BD)}
        for number, layer in enumerate(gradients):
            for name, values in layer.items():
                found[f"gradient_{_NAMES[name]}_{number}"] = np.asarray(values)
        return found

    return Task(
        run=run,
        outputs=outputs,
        units=seeds_SB.size,
        compile_s=compile_s,
        device_peak_mb=peak_mb(),
    )


def _layers(inputs: Inputs) -> tuple[list, list[dict[str, jax.Array]]]:
    """Two layers' static halves, and the parameters that the inputs give them."""
    definitions, params = [], []
    for number in range(2):
        held = {name: inputs[f"{ours}_{number}"] for name, ours in _NAMES.items()}
        in_dim, out_dim = held["kernel"].shape
        layer = SAGELayer(in_dim, out_dim, aggregator="mean", rngs=nnx.Rngs(0))
        definition, state = nnx.split(layer)
        assert set(nnx.to_pure_dict(state)) == set(held)
        definitions.append(definition)
        params.append({name: jnp.asarray(values) for name, values in held.items()})
    return definitions, params


def _block(inputs: Inputs, fanouts: list[int]) -> SampledTree:
    """The fixed tree of the inputs."""
    hops = tuple(
        Hop(
            nodes=jnp.asarray(inputs[f"block_nodes_{number}"]),
            mask=jnp.asarray(inputs[f"block_mask_{number}"]),
            edge_ids=jnp.zeros(inputs[f"block_nodes_{number}"].shape, jnp.int32),
        )
        for number in range(len(fanouts))
    )
    return SampledTree(
        seeds=jnp.asarray(inputs["seeds"][0], jnp.int32),
        hops=hops,
        fanouts=tuple((fanout,) for fanout in fanouts),
    )
