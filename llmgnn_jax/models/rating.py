"""The model of ratings: y = mu + b_u + b_i + <h_u, h_i>.

Shapes: B rows, U user slots, I item slots, D' width of a vector of `RecommenderModel`.

h comes from the graph, the text, or both, as where items are ranked. The head is dense:
mu and the biases stand in two more coordinates of each vector, so that the predicted
rating is the dot product of a user's with an item's, and whatever ranks, serves or
folds in newcomers by dot products does so by predicted ratings.

Whoever has no train interaction has the bias 0 and, in a model of the graph alone, h =
0: what is left is the other side's bias and mu.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from llmgnn_jax.graph.placement import Placement
from llmgnn_jax.models.features import Features
from llmgnn_jax.models.recommender import (
    ModelSpec,
    RecommenderModel,
    Side,
    split_model,
)


class RatingModel(RecommenderModel):
    """Gives vectors whose dot product is the predicted rating, before it is clipped.

    Args:
        spec: Which model.
        mean: mu, of the train ratings.
        rngs: For the initial parameters.
    """

    def __init__(self, spec: ModelSpec, *, mean: float, rngs: nnx.Rngs) -> None:
        super().__init__(spec, rngs=rngs)
        self.mean = mean
        self.user_bias = nnx.Param(jnp.zeros(spec.user_capacity))
        self.item_bias = nnx.Param(jnp.zeros(spec.item_capacity))

    def merge(
        self,
        *,
        of: Side,
        graph_BD: jax.Array | None,
        graph_known_B: jax.Array | None,
        text_BT: jax.Array | None,
        text_known_B: jax.Array | None,
    ) -> jax.Array:
        """As of `RecommenderModel`; 0 where a model of the graph alone knows nothing.

        An id vector that met no rating is as it was drawn.
        """
        if self.spec.sides == "graph":
            assert graph_BD is not None
            assert graph_known_B is not None
            graph_BD = jnp.where(graph_known_B[:, None], graph_BD, 0.0)
        return super().merge(
            of=of,
            graph_BD=graph_BD,
            graph_known_B=graph_known_B,
            text_BT=text_BT,
            text_known_B=text_known_B,
        )

    def with_biases(
        self, vectors_BD: jax.Array, biases_B: jax.Array, *, of: Side
    ) -> jax.Array:
        """(B, D' + 2): users hold mu + b_u and 1, items 1 and b_i."""
        ones_B = jnp.ones_like(biases_B)
        held = (self.mean + biases_B, ones_B) if of == "user" else (ones_B, biases_B)
        return jnp.concatenate([vectors_BD, jnp.stack(held, axis=1)], axis=1)

    def vectors_of(
        self,
        features: Features,
        users_B: jax.Array | None,
        items_C: jax.Array | None,
        placement: Placement | None = None,
    ) -> tuple[jax.Array, jax.Array]:
        """(B, D' + 2) and (C, D' + 2), as of `RecommenderModel`, with biases."""
        users_BD, items_CD = super().vectors_of(features, users_B, items_C, placement)
        user_bias_B, item_bias_C = (
            bias[...] if numbers is None else bias[numbers]
            for bias, numbers in (
                (self.user_bias, users_B),
                (self.item_bias, items_C),
            )
        )
        return (
            self.with_biases(users_BD, user_bias_B, of="user"),
            self.with_biases(items_CD, item_bias_C, of="item"),
        )

    def readers(self, text_BT: jax.Array) -> jax.Array:
        """(B, D' + 2), as of `RecommenderModel`: nobody's bias is known."""
        vectors_BD = super().readers(text_BT)
        return self.with_biases(vectors_BD, jnp.zeros(len(text_BT)), of="user")


def create_rating(
    spec: ModelSpec, *, mean: float, seed: int
) -> tuple[nnx.GraphDef[RecommenderModel], dict[str, Any]]:
    """A model's definition and its initial parameters, a pure dict of arrays."""
    return split_model(RatingModel(spec, mean=mean, rngs=nnx.Rngs(seed)))
