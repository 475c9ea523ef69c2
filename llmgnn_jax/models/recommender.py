"""The model: graph side, text side, fusion, and the dot product that ranks.

Shapes: B, C rows, U user slots, I item slots, N nodes, T stored text width, D width.

Declared with Flax NNX and run as plain JAX: `nnx.split` once, then `nnx.merge` inside
`jax.jit` on a pure dict of parameters. It holds no random state: what is dropped in
training comes in as masks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import jraph
from flax import nnx

from llmgnn_jax.config import Config, ModelName
from llmgnn_jax.graph.aggregate import Backend
from llmgnn_jax.graph.chosen import lightgcn_of
from llmgnn_jax.graph.layers import GCNLayer, lightgcn
from llmgnn_jax.graph.neighbourhood import WeightedSums
from llmgnn_jax.graph.node_layout import NodeLayout
from llmgnn_jax.graph.placement import (
    Draw,
    Layers,
    OneDevice,
    Placement,
    Sampled,
    drawn_tree,
)
from llmgnn_jax.graph.sampling import lightgcn_of_tree
from llmgnn_jax.graph.structure import InteractionGraph
from llmgnn_jax.models.features import Features, unit_length
from llmgnn_jax.models.fusion import FUSIONS

Side = Literal["user", "item"]


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """Which model: hashable, fixed for a run.

    Attributes:
        sides: "graph", "text", or "fused" for both.
        user_capacity: U.
        item_capacity: I.
        num_users: User slots in use in training; the spare ones start at 0.
        num_items: Likewise.
        text_dim: T; 0 for a model of the graph alone.
        layer: "lightgcn" or "gcn".
        num_layers: Rounds of message passing.
        embedding_dim: D.
        init: "xavier", or "normal"; of the others, which come from data and take the
            place of normal ones, the model knows nothing.
        init_scale: Standard deviation of the initial node vectors, for "normal".
        temperature: Of the cosine that the graph side scores by; 0: dot products.
        filter_rank: K, width of the linear filter's vectors; 0 where there is none.
        filter_weight: What its scores are multiplied by.
        groups: Of the nodes, see `NodeLayout`.
        other_capacity: O, slots of what is neither user nor item.
        people: Whether item i is user i.
        backend: Kernel of the aggregation.
        fusion: Its kind, a key of `FUSIONS`.
        activation: sigma of the fusion.
        text_pull: Whether there is a linear image of texts among the id vectors.
        towers: "shared", or "two" where users' texts have a projection of their own.
    """

    sides: ModelName
    user_capacity: int
    item_capacity: int
    num_users: int
    num_items: int
    text_dim: int
    layer: str
    num_layers: int
    embedding_dim: int
    init: str
    init_scale: float
    backend: Backend
    activation: str
    fusion: str = "concat"
    temperature: float = 0.0
    filter_rank: int = 0
    filter_weight: float = 1.0
    groups: int = 1
    other_capacity: int = 0
    people: bool = False
    text_pull: bool = False
    towers: str = "shared"

    @classmethod
    def of(
        cls,
        config: Config,
        sides: ModelName,
        *,
        graph: InteractionGraph,
        text_dim: int,
        backend: Backend,
    ) -> "ModelSpec":
        """The model of a configuration, for a graph and text vectors of width T."""
        filters = config.graph.filter != "none" and sides != "text"
        rank = min(config.graph.filter_rank, int(graph.num_items))
        return cls(
            sides=sides,
            user_capacity=graph.user_capacity,
            item_capacity=graph.item_capacity,
            num_users=int(graph.num_users),
            num_items=int(graph.num_items),
            text_dim=text_dim,
            layer=config.graph.layer,
            num_layers=config.graph.num_layers,
            embedding_dim=config.graph.embedding_dim,
            init=config.graph.init,
            init_scale=config.graph.init_scale,
            temperature=config.graph.temperature,
            filter_rank=rank if filters else 0,
            filter_weight=config.graph.filter_weight if filters else 1.0,
            backend=backend,
            activation=config.fusion.activation,
            fusion=config.fusion.kind,
            groups=graph.layout.groups,
            other_capacity=graph.layout.other_capacity,
            people=graph.layout.people,
            text_pull=sides == "fused" and config.graph.text_pull > 0,
            towers=config.text.towers if sides != "graph" else "shared",
        )

    @property
    def layout(self) -> NodeLayout:
        """Which node each user and item slot is."""
        return NodeLayout(
            user_capacity=self.user_capacity,
            item_capacity=self.item_capacity,
            groups=self.groups,
            other_capacity=self.other_capacity,
            people=self.people,
        )

    @property
    def uses_graph(self) -> bool:
        """Whether there is a graph side."""
        return self.sides != "text"

    @property
    def uses_text(self) -> bool:
        """Whether there is a text side."""
        return self.sides != "graph"


class RecommenderModel(nnx.Module):
    """Gives each user and item a vector; the score of a pair is their dot product.

    Args:
        spec: Which model.
        rngs: For the initial parameters.
    """

    def __init__(self, spec: ModelSpec, *, rngs: nnx.Rngs) -> None:
        self.spec = spec
        dim = spec.embedding_dim
        if spec.uses_graph:
            self.node_embedding = nnx.Param(_embedding(rngs, spec))
            if spec.layer == "gcn":
                for number in range(spec.num_layers):
                    setattr(self, f"gcn_{number}", GCNLayer(dim, dim, rngs=rngs))
        if spec.uses_text:
            scale = spec.text_dim**-0.5
            shape = (spec.text_dim, dim)
            drawn = scale * jax.random.normal(rngs.params(), shape)
            self.text_projection = nnx.Param(drawn)
            if spec.towers == "two":
                # As the items' at first: like texts score high from the start.
                self.user_text_projection = nnx.Param(jnp.copy(drawn))
            self.null_text = nnx.Param(jnp.zeros(dim))
        if spec.sides == "fused":
            self.null_graph = nnx.Param(jnp.zeros(dim))
            self.fusion = FUSIONS[spec.fusion](dim, activation=spec.activation)
        if spec.text_pull:
            self.text_image = nnx.Param(jnp.zeros((spec.text_dim, dim)))

    def propagate(
        self, graph: InteractionGraph, placement: Placement | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """Message passing over the whole graph.

        Args:
            graph: The graph.
            placement: Where its nodes lie; by default all on one device.

        Returns:
            (U, D) and (I, D), h^GNN of every user and item slot; with a temperature, of
            length 1 / sqrt(temperature).
        """
        return graph.split_nodes(self._propagated(graph, self._placed(placement)))

    def propagate_to(
        self,
        graph: InteractionGraph,
        nodes_R: jax.Array,
        placement: Placement | None = None,
    ) -> tuple[jax.Array, jax.Array]:
        """What a batch needs of `propagate`: some nodes' vectors.

        Args:
            graph: The graph.
            nodes_R: (R,) int32 node numbers, may repeat.
            placement: As in `propagate`.

        Returns:
            (R, D) h^GNN, as `propagate` gives it, and (R, D) id vectors.
        """
        spec, ego_ND = self.spec, self.node_embedding[...]
        placement = self._placed(placement)
        if spec.layer == "lightgcn" and placement.local_backend is not None:
            final_RD, ego_RD = lightgcn_of(
                ego_ND,
                nodes_R,
                graph.plan,
                num_layers=spec.num_layers,
                backend=placement.local_backend,
            )
            return self._scored_by_cosine(final_RD), ego_RD
        final_ND = self._propagated(graph, placement)
        return placement.take(final_ND, nodes_R), placement.take(ego_ND, nodes_R)

    def propagate_sampled(
        self,
        graph: InteractionGraph,
        nodes_R: jax.Array,
        draw: Draw,
        placement: Placement | None = None,
    ) -> Sampled:
        """`propagate_to` from sampled neighbours: its cost knows no size of the graph.

        Args:
            graph: The graph.
            nodes_R: (R,) int32 node numbers, may repeat.
            draw: Which neighbours.
            placement: As in `propagate`.

        Returns:
            As `propagate_to`, and how many requests to other devices had no place.
        """
        ego_ND, placement = self.node_embedding[...], self._placed(placement)
        native = placement.local_backend == "native" and ego_ND.dtype == jnp.float32
        if self.spec.layer == "lightgcn" and native:
            final_RD, ego_RD = lightgcn_of_tree(
                ego_ND, drawn_tree(graph, nodes_R, draw), graph.degrees
            )
            sampled = Sampled(final_RD, ego_RD, missed=jnp.zeros((), jnp.int32))
        else:
            layers, parameters = self._layers()
            sampled = placement.run_sampled(
                layers, parameters, ego_ND, graph, nodes_R, draw
            )
        return sampled._replace(final_RD=self._scored_by_cosine(sampled.final_RD))

    def _placed(self, placement: Placement | None) -> Placement:
        return placement or OneDevice(backend=self.spec.backend)

    def _propagated(self, graph: InteractionGraph, placement: Placement) -> jax.Array:
        """(N, D) h^GNN of every node."""
        layers, parameters = self._layers()
        nodes_ND = placement.run_layers(
            layers, parameters, self.node_embedding[...], graph
        )
        return self._scored_by_cosine(nodes_ND)

    def _layers(self) -> tuple[Layers, Any]:
        """The message passing, and the parameters that it is given."""
        spec = self.spec
        if spec.layer == "lightgcn":
            return _lightgcn(spec.num_layers), None
        split = [
            nnx.split(getattr(self, f"gcn_{number}"))
            for number in range(spec.num_layers)
        ]
        layers = _gcn(tuple(definition for definition, _ in split))
        return layers, [state for _, state in split]

    def _scored_by_cosine(self, nodes_RD: jax.Array) -> jax.Array:
        """Unit length over sqrt(temperature): a dot product is cosine / temperature."""
        if not self.spec.temperature:
            return nodes_RD
        return unit_length(nodes_RD) * self.spec.temperature**-0.5

    def project(self, text_BT: jax.Array, *, of: Side) -> jax.Array:
        """(B, D), what the text side says with (B, T) vectors of users' or items'."""
        if of == "user" and self.spec.towers == "two":
            return text_BT @ self.user_text_projection[...]
        return text_BT @ self.text_projection[...]

    def merge(
        self,
        *,
        of: Side,
        graph_BD: jax.Array | None,
        graph_known_B: jax.Array | None,
        text_BT: jax.Array | None,
        text_known_B: jax.Array | None,
    ) -> jax.Array:
        """The vectors that are ranked by, from both sides.

        Args:
            of: Whose they are.
            graph_BD: (B, D) from `propagate`; None without a graph side.
            graph_known_B: (B,) bool; where False the learned null vector stands in.
            text_BT: (B, T) stored text vectors; None without a text side.
            text_known_B: (B,) bool, likewise.

        Returns:
            (B, D) for one side, as `Fusion` gives it for both.
        """
        if self.spec.sides == "graph":
            assert graph_BD is not None
            return graph_BD
        assert text_BT is not None
        assert text_known_B is not None
        text_BD = jnp.where(
            text_known_B[:, None],
            self.project(text_BT, of=of),
            self.null_text[...][None, :],
        )
        if self.spec.sides == "text":
            return text_BD
        assert graph_BD is not None
        assert graph_known_B is not None
        graph_BD = jnp.where(
            graph_known_B[:, None], graph_BD, self.null_graph[...][None, :]
        )
        return self.fusion(graph_BD, text_BD)

    def all_vectors(
        self, features: Features, placement: Placement | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """Every slot's vector, as ranked at evaluation: nothing left out or dropped.

        Args:
            features: What the model reads.
            placement: As in `propagate`.

        Returns:
            (U, D') and (I, D') with D' as `merge` gives it, and K wider with a filter.
        """
        return self.vectors_of(features, None, None, placement)

    def vectors_of(
        self,
        features: Features,
        users_B: jax.Array | None,
        items_C: jax.Array | None,
        placement: Placement | None = None,
    ) -> tuple[jax.Array, jax.Array]:
        """Some slots' vectors, as `all_vectors` gives those of all.

        Args:
            features: What the model reads.
            users_B: (B,) user slots; None for all.
            items_C: (C,) item slots; None for all.
            placement: As in `propagate`.

        Returns:
            (B, D') and (C, D').
        """
        users = _rows_of(users_B)
        items = _rows_of(items_C)
        user_graph, item_graph = None, None
        user_connected, item_connected = None, None
        if self.spec.uses_graph:
            graph = features.graph
            user_graph, item_graph = self.propagate(graph, placement)
            user_graph, item_graph = users(user_graph), items(item_graph)
            user_connected, item_connected = graph.split_nodes(graph.connected)
            user_connected = users(user_connected)
            item_connected = items(item_connected)
        user_text, item_text, user_known, item_known = None, None, None, None
        if self.spec.uses_text:
            assert features.text is not None
            user_text, user_known = features.text.of_users(
                jnp.arange(self.spec.user_capacity) if users_B is None else users_B,
                take=lambda table, _: users(table),
            )
            item_text = items(features.text.item_IT)
            item_known = items(features.text.item_known_I)
        users_BD = self.merge(
            of="user",
            graph_BD=user_graph,
            graph_known_B=user_connected,
            text_BT=user_text,
            text_known_B=user_known,
        )
        items_CD = self.merge(
            of="item",
            graph_BD=item_graph,
            graph_known_B=item_connected,
            text_BT=item_text,
            text_known_B=item_known,
        )
        if not self.spec.filter_rank:
            return users_BD, items_CD
        assert features.filter is not None
        item_CK = items(features.filter.item_IK)
        if not self.spec.uses_text:
            assert item_connected is not None
            # What texts say of items that nobody had is not for a model of ids alone.
            item_CK = jnp.where(item_connected[:, None], item_CK, 0.0)
        return (
            self.with_filter(users_BD, users(features.filter.user_UK)),
            self.with_filter(items_CD, item_CK),
        )

    def readers(self, text_BT: jax.Array) -> jax.Array:
        """(B, D' + K), users who are known by a text of (T,) each and have no edge."""
        count = len(text_BT)
        vectors_BD = self.merge(
            of="user",
            graph_BD=jnp.zeros((count, self.spec.embedding_dim)),
            graph_known_B=jnp.zeros(count, bool),
            text_BT=text_BT,
            text_known_B=jnp.ones(count, bool),
        )
        # Whoever has no history has nothing that is filtered.
        return self.with_filter(vectors_BD, jnp.zeros((count, self.spec.filter_rank)))

    def with_filter(self, vectors_BD: jax.Array, filter_BK: jax.Array) -> jax.Array:
        """(B, D' + K): inner products are the model's and the filter's, weighed."""
        scale = self.spec.filter_weight**0.5
        return jnp.concatenate([vectors_BD, scale * filter_BK], axis=1)


def _rows_of(numbers: jax.Array | None) -> Callable[[jax.Array], jax.Array]:
    """Takes these rows of a table; of all in order, the table itself."""
    return lambda table: table if numbers is None else table[numbers]


def _embedding(rngs: nnx.Rngs, spec: ModelSpec) -> jax.Array:
    """(N, D) random vectors of users, items, others and the padding node.

    Spare slots are 0, so newcomers start from 0.
    """

    def side(used: int, capacity: int) -> jax.Array:
        shape, key = (used, spec.embedding_dim), rngs.params()
        if spec.init == "xavier":
            bound = (6.0 / sum(shape)) ** 0.5
            drawn = jax.random.uniform(key, shape, minval=-bound, maxval=bound)
        else:
            drawn = spec.init_scale * jax.random.normal(key, shape)
        return jnp.pad(drawn, ((0, capacity - used), (0, 0)))

    users_UD = side(spec.num_users, spec.user_capacity)
    items_ID = side(spec.num_items, spec.item_capacity)
    others_OD = None
    if spec.other_capacity:
        # Slots that fill up the groups have no edge: what they hold reaches nobody.
        others_OD = side(spec.other_capacity, spec.other_capacity)
    return spec.layout.join(users_UD, items_ID, others_OD)


def _lightgcn(num_layers: int) -> Layers:
    def layers(
        _: Any, graph: jraph.GraphsTuple, neighbours: WeightedSums
    ) -> jraph.GraphsTuple:
        return lightgcn(graph, num_layers=num_layers, neighbours=neighbours)

    return layers


def _gcn(definitions: tuple[nnx.GraphDef[GCNLayer], ...]) -> Layers:
    def layers(
        states: Any, graph: jraph.GraphsTuple, neighbours: WeightedSums
    ) -> jraph.GraphsTuple:
        for number, (definition, state) in enumerate(
            zip(definitions, states, strict=True)
        ):
            if number:
                graph = graph._replace(nodes=jax.nn.relu(graph.nodes))
            graph = nnx.merge(definition, state)(graph, neighbours=neighbours)
        return graph

    return layers


def create(
    spec: ModelSpec, *, seed: int
) -> tuple[nnx.GraphDef[RecommenderModel], dict]:
    """A model's definition and its initial parameters, a pure dict of arrays."""
    return split_model(RecommenderModel(spec, rngs=nnx.Rngs(seed)))


def split_model(
    model: RecommenderModel,
) -> tuple[nnx.GraphDef[RecommenderModel], dict]:
    """A model's definition and its parameters, a pure dict of arrays."""
    definition, params, rest = nnx.split(model, nnx.Param, ...)  # type: ignore[misc]
    assert not jax.tree.leaves(rest), "modules hold parameters alone"
    return definition, nnx.to_pure_dict(params)
