"""`SparseFeatures`: node features that are mostly 0, such as bags of words.

Shapes: N nodes, F features, Z features that are not 0, D width.
"""

import functools
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse

from llmgnn_jax.graph.aggregate import Backend, weighted_sum
from llmgnn_jax.graph.plan import EdgePlan, plan_edges


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["values", "plan"],
    meta_fields=["backend"],
)
@dataclass(frozen=True, kw_only=True)
class SparseFeatures:
    """(N, F), stored as edges from features to the nodes that have them.

    A product with a matrix is then a weighted sum over the edges into each node, and
    its gradient one over the edges out of each feature: the same primitive as between
    nodes.

    Attributes:
        values: (Z,) float32, by node and then by feature.
        plan: The edges, of Z.
        backend: Which kernel.
    """

    values: jax.Array
    plan: EdgePlan
    backend: Backend

    @classmethod
    def of(
        cls, features: scipy.sparse.csr_array, *, backend: Backend
    ) -> "SparseFeatures":
        """From a matrix on the host, its indices ascending within a row."""
        num_nodes, num_features = features.shape
        plan = plan_edges(
            features.indices,
            np.repeat(np.arange(num_nodes), np.diff(features.indptr)),
            num_nodes,
            num_senders=num_features,
            buckets=backend == "bucketed",
        )
        values = jnp.asarray(features.data.astype(np.float32))
        return cls(values=values, plan=plan, backend=backend)

    @property
    def shape(self) -> tuple[int, int]:
        """(N, F)."""
        return self.plan.incoming.num_nodes, self.plan.outgoing.num_nodes

    @property
    def nodes_Z(self) -> jax.Array:
        """(Z,) int32, whose feature a value is."""
        return self.plan.incoming.own

    @property
    def features_Z(self) -> jax.Array:
        """(Z,) int32, which feature it is."""
        return self.plan.incoming.others

    def with_values(self, values_Z: jax.Array) -> "SparseFeatures":
        """Others at the same places."""
        return replace(self, values=values_Z)

    def __matmul__(self, kernel_FD: jax.Array) -> jax.Array:
        """(N, D), differentiable in both."""
        return weighted_sum(kernel_FD, self.values, self.plan, backend=self.backend)
