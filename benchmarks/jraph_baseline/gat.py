"""`jraph.GAT`, forward and backward: gradients of the nodes and of every parameter.

Shapes: N nodes, E edges, H heads, F width of a head.
"""

import jax
import jax.numpy as jnp
import jraph
import numpy as np

from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.jraph_baseline.graphs import graph_of
from benchmarks.ours.device import compiled, peak_mb

PARAMETERS = ("kernel", "sender_attention", "receiver_attention", "bias")
_SLOPE = 0.2


def setup(inputs: Inputs) -> Task:
    """The layer as it comes; the edges hold their self-loops already."""
    heads, width = inputs["sender_attention"].shape
    params = {name: jnp.asarray(inputs[name]) for name in PARAMETERS}
    graph = graph_of(inputs)
    cotangent = jnp.asarray(inputs["cotangent"])

    def forward(
        params: dict[str, jax.Array], nodes: jax.Array, graph: jraph.GraphsTuple
    ) -> jax.Array:
        def logits(sent_EHF: jax.Array, received_EHF: jax.Array, edges: object):
            del edges
            by_sender = sent_EHF * params["sender_attention"]
            by_receiver = received_EHF * params["receiver_attention"]
            scores_EH1 = jnp.sum(by_sender + by_receiver, axis=-1, keepdims=True)
            return jax.nn.leaky_relu(scores_EH1, _SLOPE)

        layer = jraph.GAT(
            lambda nodes: (nodes @ params["kernel"]).reshape(-1, heads, width),
            logits,
            lambda out_NHF: out_NHF.reshape(len(out_NHF), -1) + params["bias"],
        )
        return layer(graph._replace(nodes=nodes)).nodes

    @jax.jit
    def both(params, nodes, cotangent, graph):
        out, back = jax.vjp(
            lambda params, nodes: forward(params, nodes, graph), params, nodes
        )
        return out, back(cotangent)

    arguments = (params, graph.nodes, cotangent, graph)
    program, compile_s = compiled(both, *arguments)

    def outputs() -> dict[str, np.ndarray]:
        out, (by_name, of_nodes) = program(*arguments)
        gradients = {**by_name, "nodes": of_nodes}
        return {
            "out": np.asarray(out),
            **{f"gradient_{name}": np.asarray(g) for name, g in gradients.items()},
        }

    return Task(
        run=lambda: jax.block_until_ready(program(*arguments)),
        outputs=outputs,
        compile_s=compile_s,
        device_peak_mb=peak_mb(),
    )
