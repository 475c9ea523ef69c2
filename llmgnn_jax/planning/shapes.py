"""The training step of a run that is not there: shapes in place of arrays.

What `training.prepare`, `training.trained` and `training.ranking` make of data, made of
sizes alone, laid over the devices by the same rules.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import jraph

from llmgnn_jax.config import Config
from llmgnn_jax.errors import UserError
from llmgnn_jax.graph.node_layout import NodeLayout
from llmgnn_jax.graph.structure import InteractionGraph
from llmgnn_jax.models.features import Features, TextFeatures
from llmgnn_jax.models.recommender import ModelSpec, create
from llmgnn_jax.parallel.exchange import EdgeBlock, Exchange, Shares
from llmgnn_jax.parallel.popularity import Popularity
from llmgnn_jax.parallel.sampling import SharedTable
from llmgnn_jax.parallel.strategy import Meshed
from llmgnn_jax.planning.cut import Cut
from llmgnn_jax.text.encoders.model import EncoderConfig, declare
from llmgnn_jax.text.lora import Adapters
from llmgnn_jax.text.readout import Readout
from llmgnn_jax.text.trainable import partition, trainable
from llmgnn_jax.training.batch import num_named
from llmgnn_jax.training.known_items import KnownItems
from llmgnn_jax.training.optimizer import build_optimizer
from llmgnn_jax.training.program import Program
from llmgnn_jax.training.state import (
    TEXT_ENCODER,
    TrainData,
    TrainState,
    create_state,
)
from llmgnn_jax.training.step import build_program
from llmgnn_jax.training.text_step import EncoderInputs, EncoderSpec


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Of the data.

    Attributes:
        users: How many.
        items: How many.
        interactions: M, different pairs.
        tokens: Of the longest text of an item.
    """

    users: int
    items: int
    interactions: int
    tokens: int

    def layout(self, config: Config, shares: int) -> NodeLayout:
        """Where they stand, dealt into as many groups as there are devices."""
        return NodeLayout.holding(
            users=self.users + config.graph.spare_users,
            items=self.items + config.graph.spare_items,
            groups=shares,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class PlannedStep:
    """A program and what it is called with.

    Attributes:
        program: The step, as a run compiles it.
        state: Shapes, with their places.
        data: Likewise.
    """

    program: Program
    state: TrainState
    data: TrainData


def planned_step(
    config: Config,
    sizes: Sizes,
    pieces: Cut,
    *,
    strategy: Meshed,
    popularity: Popularity,
    encoder: EncoderConfig | None,
) -> PlannedStep:
    """The step of a configuration's last model on data of such sizes.

    Args:
        config: Of the run.
        sizes: Of its data.
        pieces: Of the graph.
        strategy: Which devices.
        popularity: Of the graph's nodes.
        encoder: The text encoder's shape; None for a model of the graph alone.

    Raises:
        UserError: If the step needs what grows with users times items, or numbers of
            interactions that are no int32.
    """
    if config.train.negatives == "all":
        raise UserError.field(
            "train.negatives",
            expected="uniform or in_batch: all items as negatives are for data "
            "that fit one device",
            got="'all'",
            fix="add --train.negatives uniform",
        )
    if config.train.examples == "interactions" and sizes.interactions >= 2**31:
        raise UserError.field(
            "train.examples",
            expected="users, where there are 2**31 interactions or more: they have no "
            "numbers on a device",
            got="'interactions'",
            fix="add --train.examples users",
        )
    layout = sizes.layout(config, strategy.devices)
    graph = _graph(config, layout, pieces, strategy.exchange, popularity)
    sides = config.models[-1]
    readout = None if encoder is None else _readout(config, encoder)
    text_dim = 0 if readout is None else readout.out_features
    spec = ModelSpec(
        sides=sides,
        user_capacity=layout.user_capacity,
        item_capacity=layout.item_capacity,
        num_users=sizes.users,
        num_items=sizes.items,
        text_dim=text_dim,
        layer=config.graph.layer,
        num_layers=config.graph.num_layers,
        embedding_dim=config.graph.embedding_dim,
        init=config.graph.init,
        init_scale=config.graph.init_scale,
        temperature=config.graph.temperature,
        backend=strategy.backend,
        activation=config.fusion.activation,
        groups=layout.groups,
    )
    definition, params = _declared(spec)
    text = None
    if encoder is not None:
        text = _text(layout, text_dim)
    inputs = encoder_spec = None
    if encoder is not None and config.text.mode != "frozen":
        trained, inputs, encoder_spec = _encoder(config, sizes, layout, encoder)
        params = {**params, TEXT_ENCODER: trained}
    optimizer = build_optimizer(config)
    trains_text = inputs is not None
    state = jax.eval_shape(
        lambda params, text: create_state(params, optimizer, seed=0, text=text),
        *(params, text if trains_text else None),
    )
    data = TrainData(
        features=Features(graph=graph, text=None if trains_text else text),
        encoder=inputs,
        num_items=sizes.items,
        num_examples=sizes.interactions,
        num_active=sizes.users,
        **_pairs(config, sizes, layout, pieces),
    )
    state, data = (_placed(tree, strategy) for tree in (state, data))
    program = build_program(
        definition,
        optimizer,
        config,
        encoder=encoder_spec,
        strategy=strategy,
        state=state,
    )
    return PlannedStep(program=program, state=state, data=data)


def _shape(*shape: int, dtype: Any = jnp.float32) -> Any:
    """Stands where an array does."""
    return jax.ShapeDtypeStruct(shape, dtype)


def _ints(*shape: int) -> Any:
    return _shape(*shape, dtype=jnp.int32)


def _declared(spec: ModelSpec) -> tuple[Any, dict[str, Any]]:
    """A model without memory."""
    made: list[Any] = []

    def params() -> dict:
        definition, values = create(spec, seed=0)
        made.append(definition)
        return values

    shapes = jax.eval_shape(params)
    return made[0], shapes


def _graph(
    config: Config,
    layout: NodeLayout,
    pieces: Cut,
    exchange: Exchange,
    popularity: Popularity,
) -> InteractionGraph:
    count, nodes = pieces.shares, layout.num_nodes
    plan: Any
    if config.graph.fanouts:
        plan = SharedTable(
            indptr=_ints(nodes + count),
            neighbours=_ints(count * pieces.edges),
            popularity=popularity,
        )
    else:
        plan = _shares(config, layout, pieces, exchange)
    return InteractionGraph(
        graph=jraph.GraphsTuple(
            nodes=None,
            edges=None,
            senders=None,
            receivers=None,
            globals=None,
            n_node=_ints(2),
            n_edge=_ints(2),
        ),
        plan=plan,
        degrees=_shape(nodes),
        connected=_shape(nodes, dtype=bool),
        num_users=_ints(),
        num_items=_ints(),
        layout=layout,
        self_loops=config.graph.layer == "gcn",
    )


def _shares(
    config: Config, layout: NodeLayout, pieces: Cut, exchange: Exchange
) -> Shares:
    count, own = pieces.shares, layout.num_nodes // pieces.shares
    # A self-loop never leaves its device.
    loops = own if config.graph.layer == "gcn" else 0

    def block(*shape: int, pointers: bool = True) -> EdgeBlock:
        return EdgeBlock(
            own=_ints(*shape),
            others=_ints(*shape),
            weights=_shape(*shape),
            indptr=_ints(count, own + 1) if pointers else None,
        )

    if exchange == "all_gather":
        near, far, send = block(count, pieces.edges + loops), None, None
    elif exchange == "ring":
        near = block(count, count, pieces.block + loops, pointers=False)
        far, send = None, None
    else:
        near = block(count, pieces.near + loops)
        far, send = block(count, pieces.far), _ints(count, count, pieces.halo)
    return Shares(near=near, far=far, send=send, exchange=exchange)


def _text(layout: NodeLayout, width: int) -> TextFeatures:
    users, items = layout.user_capacity, layout.item_capacity
    return TextFeatures(
        item_IT=_shape(items, width),
        item_known_I=_shape(items, dtype=bool),
        user_UT=_shape(users, width),
        user_parts_U=_ints(users),
        from_history_U=_shape(users, dtype=bool),
    )


def _readout(config: Config, encoder: EncoderConfig) -> Readout:
    text = config.text
    return Readout(
        head=text.head,
        pooling=text.pooling,
        inputs=encoder.out_features,
        dtype=text.dtype,
    )


def _encoder(
    config: Config, sizes: Sizes, layout: NodeLayout, encoder: EncoderConfig
) -> tuple[Any, EncoderInputs, EncoderSpec]:
    """Its trained parameters, what else it reads, and how it runs."""
    text = config.text
    adapters = None
    if text.mode == "lora":
        adapters = Adapters(
            rank=text.lora_rank, alpha=text.lora_alpha, targets=text.lora_targets
        )
    model = declare(encoder, dtype=text.dtype, remat=text.remat, adapters=adapters)
    readout = _readout(config, encoder)
    params = {**model.params, **readout.declared()}
    mask = trainable(params, mode=text.mode, freeze=text.freeze)
    trained, frozen = partition(params, mask)
    items = layout.item_capacity
    inputs = EncoderInputs(
        frozen=frozen, ids_IL=_ints(items, sizes.tokens), counts_I=_ints(items)
    )
    spec = EncoderSpec(
        graphdef=model.graphdef,
        readout=readout,
        texts=min(text.texts_per_step, num_named(config.train), sizes.items),
        places=0,
    )
    return trained, inputs, spec


def _pairs(
    config: Config, sizes: Sizes, layout: NodeLayout, pieces: Cut
) -> dict[str, Any]:
    """The train pairs, as `TrainData` has them."""
    count = pieces.shares
    examples = None
    if config.train.examples == "interactions":
        examples = _ints(_up(sizes.interactions, count))
    return {
        "users_E": examples,
        "items_E": examples,
        "known": KnownItems(
            indptr=_ints(layout.user_capacity + count),
            indices=_ints(count * pieces.pairs),
            bits=None,
            longest=pieces.most_items,
            num_items=layout.item_capacity,
            num_users=layout.user_capacity,
        ),
        "item_counts_I": _shape(layout.item_capacity),
        "active_users_A": _ints(_up(sizes.users, count)),
    }


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _placed(tree: Any, strategy: Meshed) -> Any:
    """Shapes with the places that the rules give their names."""
    where = strategy.shardings(tree)
    return jax.tree.map(
        lambda leaf, place: jax.ShapeDtypeStruct(
            leaf.shape, leaf.dtype, sharding=place
        ),
        *(tree, where),
    )


def bytes_of(tree: Any) -> int:
    """What a tree of placed shapes takes on one device."""
    return sum(
        _held(leaf) for leaf in jax.tree.leaves(tree) if hasattr(leaf, "sharding")
    )


def _held(leaf: jax.ShapeDtypeStruct) -> int:
    assert leaf.sharding is not None
    shape = leaf.sharding.shard_shape(leaf.shape)
    size = 1
    for extent in shape:
        size *= extent
    return size * leaf.dtype.itemsize


def by_kind(step: PlannedStep) -> dict[str, int]:
    """What each kind of array takes on one device, in bytes."""
    state, data = step.state, step.data
    text = [state.text, data.features.text]
    edges = data.features.graph.plan
    of_graph = dataclasses.replace(data.features.graph, plan=None)  # type: ignore[arg-type]
    return {
        "parameters": bytes_of(state.params),
        "optimizer": bytes_of(state.opt_state),
        "edges": bytes_of(edges),
        "nodes": bytes_of(of_graph),
        "text vectors": bytes_of(text),
        "tokens": 0
        if data.encoder is None
        else bytes_of((data.encoder.ids_IL, data.encoder.counts_I)),
        "frozen encoder": 0 if data.encoder is None else bytes_of(data.encoder.frozen),
        "train pairs": bytes_of(
            (
                data.users_E,
                data.items_E,
                data.known,
                data.item_counts_I,
                data.active_users_A,
            )
        ),
    }
