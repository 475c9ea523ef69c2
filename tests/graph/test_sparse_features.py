"""Sparse features: products and gradients as of the dense matrix, on every backend."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
from flax import nnx

from llmgnn_jax.graph.aggregate import Backend
from llmgnn_jax.graph.layers import GCNLayer, SAGELayer
from llmgnn_jax.graph.neighbourhood import LocalNeighbourhood
from llmgnn_jax.graph.plan import plan_edges, sorted_graph
from llmgnn_jax.graph.sparse_features import SparseFeatures


def matrix(num_nodes: int, num_features: int) -> np.ndarray:
    """Node 1 has no feature, and nobody has feature 2."""
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(num_nodes, num_features)).astype(np.float32)
    dense[rng.random(dense.shape) < 0.6] = 0
    dense[1], dense[:, 2] = 0, 0
    return dense


def sparse(dense: np.ndarray, backend: Backend = "csr") -> SparseFeatures:
    return SparseFeatures.of(scipy.sparse.csr_array(dense), backend=backend)


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (6, 6)])
def test_products_and_gradients(shape: tuple[int, int], backend: Backend) -> None:
    dense = matrix(*shape)
    features = sparse(dense, backend)
    assert features.shape == shape
    rng = np.random.default_rng(1)
    kernel = rng.normal(size=(shape[1], 3)).astype(np.float32)
    weight = rng.normal(size=(shape[0], 3)).astype(np.float32)

    def loss(kernel: jax.Array, values: jax.Array) -> jax.Array:
        return jnp.sum(jnp.asarray(weight) * (features.with_values(values) @ kernel))

    product = jax.jit(lambda f, k: f @ k)(features, kernel)
    np.testing.assert_allclose(product, dense.astype(np.float64) @ kernel, atol=1e-5)
    of_kernel, of_values = jax.jit(jax.grad(loss, argnums=(0, 1)))(
        jnp.asarray(kernel), features.values
    )
    np.testing.assert_allclose(of_kernel, dense.T.astype(float) @ weight, atol=1e-5)
    whole = weight.astype(np.float64) @ kernel.T
    np.testing.assert_allclose(of_values, whole[dense != 0], atol=1e-5)


def test_no_feature_at_all(backend: Backend) -> None:
    features = sparse(np.zeros((4, 7), np.float32), backend)
    product = features @ jnp.ones((7, 2))
    assert product.shape == (4, 2)
    assert not product.any()


def test_places_are_by_node_and_then_by_feature() -> None:
    dense = matrix(5, 9)
    features = sparse(dense)
    rows, columns = np.nonzero(dense)
    np.testing.assert_array_equal(features.nodes_Z, rows)
    np.testing.assert_array_equal(features.features_Z, columns)
    np.testing.assert_array_equal(features.values, dense[rows, columns])


# A wide layer sends what it is given: sparse features are multiplied first even so.
@pytest.mark.parametrize("layer_type", [GCNLayer, SAGELayer])
@pytest.mark.parametrize("out_dim", [2, 12])
def test_a_layer_takes_them_as_it_takes_dense_ones(
    layer_type: type, out_dim: int
) -> None:
    dense = matrix(5, 9)
    graph, plan = sorted_graph(
        np.array([0, 1, 1, 4, 2]),
        np.array([1, 0, 4, 1, 2]),
        5,
        edges={"weight": np.array([0.5, 1.5, 2.0, 1.0, 0.25], np.float32)},
    )
    layer = layer_type(9, out_dim, rngs=nnx.Rngs(0))
    neighbours = LocalNeighbourhood(plan=plan, backend="csr")
    expected, got = (
        layer(graph._replace(nodes=nodes), neighbours=neighbours).nodes
        for nodes in (jnp.asarray(dense), sparse(dense))
    )
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_ends_have_ranges_of_their_own() -> None:
    ends = np.array([6]), np.array([1])
    plan = plan_edges(*ends, 2, num_senders=7)
    assert plan.incoming.num_nodes == 2
    assert plan.outgoing.num_nodes == 7
    with pytest.raises(ValueError, match=r"senders must lie in \[0, 6\)"):
        plan_edges(*ends, 2, num_senders=6)
    with pytest.raises(ValueError, match=r"receivers must lie in \[0, 1\)"):
        plan_edges(*ends, 1, num_senders=7)
