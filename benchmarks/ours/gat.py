"""`GATLayer`, forward and backward: gradients of the nodes and of every parameter."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.ours.device import check_backend, compiled, peak_mb
from llmgnn_jax.graph.layers.gat import GATLayer
from llmgnn_jax.graph.neighbourhood import LocalNeighbourhood
from llmgnn_jax.graph.plan import sorted_graph


def setup(inputs: Inputs, *, backend: str) -> Task:
    """The layer on one backend; the edges hold their self-loops already."""
    check_backend(backend)
    graph, plan = sorted_graph(
        inputs["senders"],
        inputs["receivers"],
        int(inputs["num_nodes"]),
        buckets=backend == "bucketed",
    )
    heads, width = inputs["sender_attention"].shape
    layer = GATLayer(inputs["nodes"].shape[1], width, heads=heads, rngs=nnx.Rngs(0))
    definition, state = nnx.split(layer)
    names = ("kernel", "sender_attention", "receiver_attention", "bias")
    params = {name: jnp.asarray(inputs[name]) for name in names}
    assert set(nnx.to_pure_dict(state)) == set(params)
    nodes, cotangent = jnp.asarray(inputs["nodes"]), jnp.asarray(inputs["cotangent"])

    def forward(params, nodes, graph, plan):
        neighbours = LocalNeighbourhood(plan=plan, backend=backend)
        layer = nnx.merge(definition, params)
        return layer(graph._replace(nodes=nodes), neighbours=neighbours).nodes

    @jax.jit
    def both(params, nodes, cotangent, graph, plan):
        out, back = jax.vjp(
            lambda params, nodes: forward(params, nodes, graph, plan), params, nodes
        )
        return out, back(cotangent)

    program, compile_s = compiled(both, params, nodes, cotangent, graph, plan)

    def run() -> None:
        jax.block_until_ready(program(params, nodes, cotangent, graph, plan))

    def outputs() -> dict[str, np.ndarray]:
        out, (by_name, of_nodes) = program(params, nodes, cotangent, graph, plan)
        gradients = {**by_name, "nodes": of_nodes}
        return {
            "out": np.asarray(out),
            **{f"gradient_{name}": np.asarray(g) for name, g in gradients.items()},
        }

    return Task(run=run, outputs=outputs, compile_s=compile_s, device_peak_mb=peak_mb())
