"""One propagation A X: `aggregate` on a `jraph.GraphsTuple`."""

import jax
import jax.numpy as jnp
import jraph
import numpy as np

from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.ours.device import check_backend, compiled, peak_mb
from llmgnn_jax.graph.aggregate import aggregate
from llmgnn_jax.graph.plan import plan_edges


def setup(inputs: Inputs, *, backend: str, precision: str) -> Task:
    """`llmgnn_jax.graph.aggregate.aggregate` with one of its backends."""
    check_backend(backend)
    plan = plan_edges(
        inputs["senders"],
        inputs["receivers"],
        int(inputs["num_nodes"]),
        weights=inputs["weights"],
        buckets=backend == "bucketed",
    )
    graph = _graph(inputs, plan.incoming.others, plan.incoming.own, precision)

    def propagate(graph: jraph.GraphsTuple, plan) -> jax.Array:
        return aggregate(graph, plan, backend=backend)

    return _task(propagate, graph, plan, inputs, precision)


def _graph(inputs: Inputs, senders, receivers, precision: str) -> jraph.GraphsTuple:
    return jraph.GraphsTuple(
        nodes=jnp.asarray(inputs["nodes"], precision),
        edges={"weight": jnp.asarray(inputs["weights"])},
        senders=jnp.asarray(senders),
        receivers=jnp.asarray(receivers),
        globals=None,
        n_node=jnp.asarray([int(inputs["num_nodes"])], jnp.int32),
        n_edge=jnp.asarray([len(inputs["senders"])], jnp.int32),
    )


def _task(propagate, graph, plan, inputs: Inputs, precision: str) -> Task:
    program, compile_s = compiled(jax.jit(propagate), graph, plan)

    def outputs() -> dict[str, np.ndarray]:
        if precision != "float32":
            return {"out": np.asarray(program(graph, plan), np.float32)}

        def out_of(nodes: jax.Array) -> jax.Array:
            return propagate(graph._replace(nodes=nodes), plan)

        out, back = jax.vjp(jax.jit(out_of), graph.nodes)
        (gradient,) = back(jnp.asarray(inputs["cotangent"]))
        return {"out": np.asarray(out), "gradient": np.asarray(gradient)}

    return Task(
        run=lambda: program(graph, plan).block_until_ready(),
        outputs=outputs,
        compile_s=compile_s,
        device_peak_mb=peak_mb(),
    )
