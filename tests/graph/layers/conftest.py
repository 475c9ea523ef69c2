"""A graph with all that is hard about graphs, and checks against slow loops.

12 nodes: 0 hears all, all hear 4, 7 and 8 hear nobody, 8 is heard by nobody either;
some edges are there twice or three times, some lead to their own sender.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import jraph
import numpy as np
import pytest
from flax import nnx

from llmgnn_jax.graph.aggregate import BACKENDS, Backend
from llmgnn_jax.graph.native import library
from llmgnn_jax.graph.neighbourhood import LocalNeighbourhood
from llmgnn_jax.graph.plan import EdgePlan, plan_edges

NODES, WIDTH, EDGE_DIM, RELATIONS = 12, 4, 3, 3


@dataclass(frozen=True, kw_only=True)
class Case:
    """The hard graph; nodes and edges from `num_nodes` and `num_edges` on are padding.

    Attributes:
        graph: With nodes, and edges "weight", "features" and "relation".
        plan: Its edges.
        num_nodes: 12.
        num_edges: Without the padding.
    """

    graph: jraph.GraphsTuple
    plan: EdgePlan
    num_nodes: int
    num_edges: int

    def neighbours(self, backend: Backend = "segment") -> LocalNeighbourhood:
        return LocalNeighbourhood(plan=self.plan, backend=backend)

    @property
    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Senders and receivers of the edges that are no padding."""
        held = self.graph.senders, self.graph.receivers
        senders, receivers = (np.asarray(end)[: self.num_edges] for end in held)
        return senders, receivers

    def of_edges(self, name: str) -> np.ndarray:
        """What the edges that are no padding hold."""
        values = np.asarray(self.graph.edges[name])[: self.num_edges]
        return values if values.dtype.kind == "i" else values.astype(np.float64)


def _hard(*, padding_edges: int = 0, padding_nodes: int = 0) -> Case:
    rng = np.random.default_rng(11)
    heard = [node for node in range(NODES) if node not in (7, 8)]
    senders = [
        *rng.choice([0, 1, 2, 3, 5, 7], 20),
        *[node for node in range(NODES - 1)],
    ]
    receivers = [*rng.choice(heard, 20), *[0] * (NODES - 1)]
    senders += [4] * len(heard) + [5, 5, 5, 9, 9]
    receivers += [*heard, 6, 6, 6, 9, 1]
    keep = np.asarray(senders) != 8
    senders, receivers = np.asarray(senders)[keep], np.asarray(receivers)[keep]
    order = np.lexsort((senders, receivers))
    num_edges, num_slots = len(order), NODES + padding_nodes
    # What lies in padding must not matter, so it is large.
    padding = np.full(padding_edges, num_slots - 1)

    def padded(values: np.ndarray, number: int, filler: float) -> np.ndarray:
        shape = (number, *values.shape[1:])
        return np.concatenate([values, np.full(shape, filler, values.dtype)])

    senders = np.concatenate([senders[order], padding])
    receivers = np.concatenate([receivers[order], padding])
    floats = {
        "weight": padded(rng.uniform(0.2, 1.0, num_edges), padding_edges, 0.0),
        "features": padded(rng.normal(size=(num_edges, EDGE_DIM)), padding_edges, 50.0),
    }
    relation = padded(rng.integers(0, RELATIONS, num_edges), padding_edges, 1)
    nodes = padded(rng.normal(size=(NODES, WIDTH)), padding_nodes, 50.0)
    plan = plan_edges(
        senders,
        receivers,
        num_slots,
        weights=floats["weight"],
        num_edges=num_edges,
        buckets=True,
    )
    edges = {name: jnp.asarray(values, jnp.float32) for name, values in floats.items()}
    graph = jraph.GraphsTuple(
        nodes=jnp.asarray(nodes, jnp.float32),
        edges={**edges, "relation": jnp.asarray(relation, jnp.int32)},
        senders=jnp.asarray(senders, jnp.int32),
        receivers=jnp.asarray(receivers, jnp.int32),
        globals=None,
        n_node=jnp.asarray([NODES, padding_nodes], jnp.int32),
        n_edge=jnp.asarray([num_edges, padding_edges], jnp.int32),
    )
    return Case(graph=graph, plan=plan, num_nodes=NODES, num_edges=num_edges)


@pytest.fixture(scope="session")
def hard() -> Callable[..., Case]:
    """(padding_edges=, padding_nodes=) -> the hard graph."""
    return _hard


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each kernel that can be had here."""
    if request.param == "native" and (reason := library.unavailable_because()):
        pytest.skip(f"the native kernels are out of reach: {reason}")
    return request.param


def _drawn(layer: nnx.Module, seed: int = 5) -> tuple[Any, dict]:
    definition, params, rest = nnx.split(layer, nnx.Param, ...)
    assert not jax.tree.leaves(rest), "modules hold parameters alone"
    rng = np.random.default_rng(seed)
    return definition, jax.tree.map(
        lambda leaf: jnp.asarray(0.6 * rng.normal(size=leaf.shape), jnp.float32),
        nnx.to_pure_dict(params),
    )


@pytest.fixture
def drawn() -> Callable[..., tuple[Any, dict]]:
    """(layer, seed=) -> definition and random parameters, biases too."""
    return _drawn


Loop = Callable[[np.ndarray, Mapping[str, np.ndarray], Case], np.ndarray]


def _agrees(layer: nnx.Module, case: Case, loop: Loop, backend: Backend) -> None:
    definition, params = _drawn(layer)
    rng = np.random.default_rng(2)
    neighbours, real = case.neighbours(backend), case.num_nodes

    # Most of the time goes into compiling what runs once.
    @functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    @functools.partial(jax.value_and_grad, argnums=(0, 1), has_aux=True)
    def ours(
        nodes: jax.Array, params: dict, direction: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        graph = case.graph._replace(nodes=nodes)
        out = nnx.merge(definition, params)(graph, neighbours=neighbours).nodes[:real]
        return jnp.sum(direction * jnp.tanh(out)), out

    doubles = jax.tree.map(
        lambda leaf: np.asarray(leaf, np.float64), (case.graph.nodes[:real], params)
    )
    expected = loop(*doubles, case)
    direction = rng.normal(size=expected.shape).astype(np.float32)
    (_, out), gradients = ours(case.graph.nodes, params, direction)
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)
    assert not np.asarray(gradients[0][real:]).any()
    gradients = gradients[0][:real], gradients[1]

    # Each argument on its own, along a direction of its own.
    leaves, structure = jax.tree.flatten(doubles)
    step = 1e-6
    for which, gradient in enumerate(jax.tree.leaves(gradients)):
        assert np.isfinite(gradient).all()
        along = rng.normal(size=gradient.shape)
        ends = []
        for sign in (1, -1):
            moved = list(leaves)
            moved[which] = leaves[which] + sign * step * along
            moved_out = loop(*jax.tree.unflatten(structure, moved), case)
            ends.append((direction * np.tanh(moved_out)).sum())
        slope = (ends[0] - ends[1]) / (2 * step)
        got = (np.asarray(gradient, np.float64) * along).sum()
        np.testing.assert_allclose(got, slope, rtol=1e-4, atol=1e-4)


@pytest.fixture
def agrees() -> Callable[..., None]:
    """(layer, case, loop, backend): values and gradients are those of a slow loop.

    The loop is given float64 nodes, parameters and the case; gradients are compared
    with its finite differences.
    """
    return _agrees
