"""Dropout: the same for a sparse matrix as for a dense one, and keyed by entry."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse

from llmgnn_jax.graph.sparse_features import SparseFeatures
from llmgnn_jax.models.dropout import dropout

KEY = jax.random.key(3)


def dense_of(features: SparseFeatures) -> np.ndarray:
    dense = np.zeros(features.shape, np.float32)
    dense[np.asarray(features.nodes_Z), np.asarray(features.features_Z)] = np.asarray(
        features.values
    )
    return dense


def test_sparse_features_are_dropped_as_the_dense_matrix_is() -> None:
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(20, 31)).astype(np.float32)
    dense[rng.random(dense.shape) < 0.5] = 0
    sparse = SparseFeatures.of(scipy.sparse.csr_array(dense), backend="csr")
    got = dropout(sparse, key=KEY, rate=0.4)
    expected = np.asarray(dropout(jnp.asarray(dense), key=KEY, rate=0.4))
    np.testing.assert_array_equal(dense_of(got), expected)
    kept = expected != 0
    np.testing.assert_allclose(expected[kept], dense[kept] / 0.6, rtol=1e-6)
    assert 0.45 < kept.sum() / (dense != 0).sum() < 0.75


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_how_much_is_dropped(rate: float) -> None:
    out = np.asarray(dropout(jnp.ones((200, 50)), key=KEY, rate=rate))
    # Four standard deviations; each row and each column has draws of its own.
    assert abs((out == 0).mean() - rate) < 4 * (rate * (1 - rate) / out.size) ** 0.5
    np.testing.assert_allclose(out[out != 0], 1 / (1 - rate), rtol=1e-6)
    assert len(np.unique(out != 0, axis=0)) == 200
    assert len(np.unique(out != 0, axis=1).T) == 50


def test_a_draw_belongs_to_its_entry() -> None:
    whole = np.asarray(dropout(jnp.ones((12, 8)), key=KEY, rate=0.5))
    part = np.asarray(dropout(jnp.ones((5, 3)), key=KEY, rate=0.5))
    np.testing.assert_array_equal(part, whole[:5, :3])
    other = np.asarray(dropout(jnp.ones((12, 8)), key=jax.random.key(4), rate=0.5))
    assert (other != whole).any()


def test_nothing_is_dropped_at_rate_0() -> None:
    nodes = jnp.ones((3, 2))
    assert dropout(nodes, key=KEY, rate=0.0) is nodes


def test_the_gradient_flows_through_what_is_kept() -> None:
    nodes = jnp.ones((6, 4))
    gradient = jax.grad(lambda x: jnp.sum(dropout(x, key=KEY, rate=0.5)))(nodes)
    np.testing.assert_array_equal(gradient, dropout(nodes, key=KEY, rate=0.5))
