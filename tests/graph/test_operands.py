"""Operands that do not belong to a plan are refused; what is no neighbour is not heard.

A kernel trusts shapes: what does not fit would be read from elsewhere.
"""

import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.graph import aggregate as operations
from llmgnn_jax.graph.aggregate import BACKENDS, Backend
from llmgnn_jax.graph.native import library
from llmgnn_jax.graph.plan import EdgePlan, plan_edges, sorted_graph

N, E = 6, 9


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    if request.param == "native" and not library.available():
        pytest.skip(f"native kernels: {library.unavailable_because()}")
    return request.param


@pytest.fixture
def plan() -> EdgePlan:
    rng = np.random.default_rng(0)
    # Node 0 sends to nobody.
    senders, receivers = rng.integers(1, N, E), rng.integers(0, N, E)
    weights = rng.random(E).astype(np.float32)
    return sorted_graph(senders, receivers, N, edges={"weight": weights}, buckets=True)[
        1
    ]


@pytest.mark.parametrize("shape", [(N - 1, 3), (N + 1, 3), (N,), (1, N)])
def test_nodes_of_another_graph(
    shape: tuple[int, ...], plan: EdgePlan, backend: Backend
) -> None:
    nodes = jnp.ones(shape)
    with pytest.raises(ValueError, match="nodes: expected"):
        operations.weighted_sum(nodes, None, plan, backend=backend)
    with pytest.raises(ValueError, match="nodes: expected"):
        operations.weighted_sum(nodes, jnp.ones(E), plan, backend=backend)
    if shape == (N,):
        return  # One number a node can be gathered.
    for gather in (operations.gather_senders, operations.gather_receivers):
        with pytest.raises(ValueError, match="nodes: expected"):
            gather(nodes, plan, backend=backend)
    with pytest.raises(ValueError, match="nodes: expected"):
        operations.maximum(nodes, plan, backend=backend)


@pytest.mark.parametrize("shape", [(E - 1,), (E + 1,), ()])
def test_edges_of_another_graph(
    shape: tuple[int, ...], plan: EdgePlan, backend: Backend
) -> None:
    values = jnp.ones(shape)
    with pytest.raises(ValueError, match="expected"):
        operations.weighted_sum(jnp.ones((N, 3)), values, plan, backend=backend)
    with pytest.raises(ValueError, match="logits: expected E = 9"):
        operations.edge_softmax(values, plan, backend=backend)
    with pytest.raises(ValueError, match="edges: expected E = 9"):
        operations.sum_edges(values, plan, backend=backend)


@pytest.mark.parametrize("wrong", [np.inf, np.nan])
@pytest.mark.parametrize("constant", [True, False])
def test_who_sends_nothing_is_not_heard(
    wrong: float, constant: bool, plan: EdgePlan, backend: Backend
) -> None:
    weights = None if constant else jnp.ones(E)
    nodes = jnp.ones((N, 20)).at[0].set(wrong)
    sums = operations.weighted_sum(nodes, weights, plan, backend=backend)
    assert np.isfinite(np.asarray(sums)).all()
    assert np.isfinite(
        np.asarray(operations.maximum(nodes, plan, backend=backend))
    ).all()


def test_a_logit_that_is_no_number_shows(plan: EdgePlan, backend: Backend) -> None:
    logits = jnp.zeros(E).at[4].set(jnp.nan).at[5].set(-jnp.inf)
    shares = operations.edge_softmax(logits, plan, backend=backend)
    assert np.isnan(np.asarray(shares)[4])


def test_a_logit_far_below_has_no_share(backend: Backend) -> None:
    plan = plan_edges(np.zeros(3, int), np.zeros(3, int), 1, buckets=True)
    logits = jnp.asarray([0.0, -200.0, 0.0])
    shares = operations.edge_softmax(logits, plan, backend=backend)
    np.testing.assert_allclose(np.asarray(shares), [0.5, 0.0, 0.5], atol=0)


@pytest.mark.parametrize(
    ("senders", "receivers", "weights"),
    [([0, 1], [0], None), ([0], [0], [1.0, 2.0])],
)
def test_a_plan_of_unequal_lengths(
    senders: list[int], receivers: list[int], weights: list[float] | None
) -> None:
    with pytest.raises(ValueError, match="as many senders as receivers"):
        plan_edges(
            np.asarray(senders),
            np.asarray(receivers),
            3,
            weights=None if weights is None else np.asarray(weights),
        )
