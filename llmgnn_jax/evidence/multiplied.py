"""A model's score as a function of how much of each edge is there.

Every edge has a multiplier, 1 where it is there and 0 where it is gone. An interaction
of the user that is asked about is heard of in up to three ways: as an edge of the
graph, as a part of the user's vector of the linear filter, and as a part of the user's
text, where that is the mean of the history's. All else stays as it is: degrees and
lengths that sums are divided by, what is known of whom, and the vectors of items in the
filter.

Shapes: E directed edge slots, I item slots, T width of the text vectors, D node width.
"""

import dataclasses
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from llmgnn_jax.graph.aggregate import Backend, weighted_sum
from llmgnn_jax.graph.placement import Layers, OneDevice
from llmgnn_jax.graph.plan import EdgePlan
from llmgnn_jax.graph.structure import InteractionGraph
from llmgnn_jax.models.features import Features, TextFeatures
from llmgnn_jax.models.recommender import RecommenderModel
from llmgnn_jax.models.scoring import Scorer


class Multipliers(NamedTuple):
    """How much of everything is there; also the derivatives by it.

    Attributes:
        edges_E: (E,) of each directed edge of the graph.
        filter_I: (I,) of each item of the user's history, in the filter.
        text_I: (I,) likewise, in the user's text.
    """

    edges_E: jax.Array
    filter_I: jax.Array
    text_I: jax.Array


class Asked(NamedTuple):
    """Whose score of what.

    Attributes:
        user: () int32, a user slot.
        item: () int32, an item slot.
        read_I: (I,) float32, what each item of the user's history counts for in the
            filter, 0 where the user has not had it.
        history_I: (I,) float32, 1 for each item of the history.
        profile: () float32, how much of a text of the user's own is there.
    """

    user: jax.Array
    item: jax.Array
    read_I: jax.Array
    history_I: jax.Array
    profile: jax.Array


class Slope(NamedTuple):
    """The score at a point of the line, and its derivatives there."""

    score: jax.Array
    by: Multipliers


class MultipliedScore:
    """Compiled once a model: scores, and their derivatives by all multipliers.

    Args:
        scorer: The model.
    """

    def __init__(self, scorer: Scorer) -> None:
        spec, definition = scorer.spec, scorer.definition

        def score(
            by: Multipliers, params: Any, features: Features, asked: Asked
        ) -> jax.Array:
            model: RecommenderModel = nnx.merge(definition, params)
            user_1, item_1 = asked.user[None], asked.item[None]
            users_1D, items_1D = model.vectors_of(
                _multiplied(features, by, asked),
                user_1,
                item_1,
                _MultipliedEdges(backend=spec.backend, multipliers_E=by.edges_E),
            )
            return jnp.sum(users_1D * items_1D)

        def slope(
            place: jax.Array,
            loops_E: jax.Array,
            params: Any,
            features: Features,
            asked: Asked,
        ) -> Slope:
            everywhere_I = jnp.full_like(asked.history_I, place)
            by = Multipliers(
                edges_E=jnp.where(loops_E, 1.0, place),
                filter_I=everywhere_I,
                text_I=everywhere_I,
            )
            value, gradient = jax.value_and_grad(score)(by, params, features, asked)
            return Slope(value, gradient)

        self.score: Callable[..., jax.Array] = jax.jit(score)
        self.slope: Callable[..., Slope] = jax.jit(slope)


@dataclass(frozen=True, kw_only=True)
class _MultipliedEdges(OneDevice):
    """All on one device, the weights of the graph times the multipliers."""

    multipliers_E: jax.Array

    def run_layers(
        self,
        layers: Layers,
        parameters: Any,
        nodes_ND: jax.Array,
        graph: InteractionGraph,
    ) -> jax.Array:
        sums = _WeighedSums(
            plan=graph.plan,
            backend=self.backend,
            weights_E=graph.graph.edges["weight"] * self.multipliers_E,
        )
        return layers(parameters, graph.graph._replace(nodes=nodes_ND), sums).nodes


@dataclass(frozen=True, kw_only=True)
class _WeighedSums:
    """Sums over neighbours with weights that are no constants."""

    plan: EdgePlan
    backend: Backend
    weights_E: jax.Array

    def own(self, nodes: jax.Array) -> jax.Array:
        return nodes

    def weighted(self, nodes: jax.Array) -> jax.Array:
        return weighted_sum(nodes, self.weights_E, self.plan, backend=self.backend)


@dataclass(frozen=True, kw_only=True)
class _OneUserText(TextFeatures):
    """Text features in which the user that is asked about has this vector."""

    vector_T: jax.Array

    def of_users(
        self,
        users_B: jax.Array,
        *,
        left_out_B: jax.Array | None = None,
        take: Callable[[jax.Array, jax.Array], jax.Array] = operator.getitem,
    ) -> tuple[jax.Array, jax.Array]:
        assert left_out_B is None, "nothing is left out of what is explained"
        return self.vector_T[None], take(self.user_parts_U, users_B) > 0


def _multiplied(features: Features, by: Multipliers, asked: Asked) -> Features:
    """What the model reads of the user, with as much of the history as is there."""
    changed: dict[str, Any] = {}
    text, of_filter = features.text, features.filter
    if text is not None:
        changed["text"] = _multiplied_text(text, by.text_I, asked)
    if of_filter is not None:
        # What is gone is taken away, so that all there is gives the vector bit for bit.
        gone_K = (asked.read_I * (1.0 - by.filter_I)) @ of_filter.read_IK
        changed["filter"] = dataclasses.replace(
            of_filter, user_UK=of_filter.user_UK.at[asked.user].add(-gone_K)
        )
    return dataclasses.replace(features, **changed)


def _multiplied_text(text: TextFeatures, by_I: jax.Array, asked: Asked) -> TextFeatures:
    sum_T = text.user_UT[asked.user]
    # The length that it is divided by stays, and so attributions are exact.
    squares = jnp.sum(sum_T**2)
    scale = jnp.where(squares > 1e-12, jax.lax.rsqrt(jnp.maximum(squares, 1e-12)), 0.0)
    gone_T = (asked.history_I * (1.0 - by_I)) @ text.item_IT
    there_T = jnp.where(
        text.from_history_U[asked.user], sum_T - gone_T, asked.profile * sum_T
    )
    fields = {
        field.name: getattr(text, field.name) for field in dataclasses.fields(text)
    }
    return _OneUserText(**fields, vector_T=there_T * scale)
