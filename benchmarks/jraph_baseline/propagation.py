"""One propagation A X by a layer of jraph's."""

import jax
import jax.numpy as jnp
import jraph
import numpy as np

from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.jraph_baseline.graphs import LAYERS, graph_of
from benchmarks.ours.device import compiled, peak_mb


def setup(inputs: Inputs, *, layer: str) -> Task:
    """One of `LAYERS`, in float32."""
    propagate = LAYERS[layer]
    graph = graph_of(inputs)
    program, compile_s = compiled(jax.jit(propagate), graph)

    def outputs() -> dict[str, np.ndarray]:
        @jax.jit
        def both(
            nodes: jax.Array, graph: jraph.GraphsTuple, cotangent: jax.Array
        ) -> tuple[jax.Array, jax.Array]:
            out, back = jax.vjp(
                lambda nodes: propagate(graph._replace(nodes=nodes)), nodes
            )
            return out, back(cotangent)[0]

        out, gradient = both(graph.nodes, graph, jnp.asarray(inputs["cotangent"]))
        return {"out": np.asarray(out), "gradient": np.asarray(gradient)}

    return Task(
        run=lambda: program(graph).block_until_ready(),
        outputs=outputs,
        compile_s=compile_s,
        device_peak_mb=peak_mb(),
    )
