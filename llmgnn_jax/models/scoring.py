"""A trained model as vectors and rankings: compiled once, used everywhere.

Shapes: U user slots, I item slots, D' width of a ranked vector, B newcomers.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from llmgnn_jax.graph.placement import Placement
from llmgnn_jax.models.features import Features
from llmgnn_jax.models.recommender import ModelSpec, RecommenderModel


class Scorer:
    """Runs a model's parameters; validation, test and serving share its programs.

    Args:
        definition: From `create`.
        spec: Likewise.
        placement: Where what it reads lies; by default all on one device.
    """

    def __init__(
        self,
        definition: nnx.GraphDef[RecommenderModel],
        spec: ModelSpec,
        placement: Placement | None = None,
    ) -> None:
        self.definition, self.spec = definition, spec

        def vectors(params: Any, features: Features) -> tuple[jax.Array, jax.Array]:
            model: RecommenderModel = nnx.merge(definition, params)
            return model.all_vectors(features, placement)

        def readers(params: Any, text_BT: jax.Array) -> jax.Array:
            model: RecommenderModel = nnx.merge(definition, params)
            return model.readers(text_BT)

        self._vectors = jax.jit(vectors)
        self._readers = jax.jit(readers)

    def vectors(self, params: Any, features: Features) -> tuple[jax.Array, jax.Array]:
        """(U, D') and (I, D'), every slot's vector."""
        return self._vectors(params, features)

    def text_vectors(self, params: Any, text_BT: jax.Array | np.ndarray) -> jax.Array:
        """(B, D'), users that are known by a text of (T,) each and have no edge.

        Raises:
            ValueError: If the model has no text side.
        """
        if not self.spec.uses_text:
            raise ValueError("a model of the graph alone cannot read a text")
        return self._readers(params, jnp.asarray(text_BT))
