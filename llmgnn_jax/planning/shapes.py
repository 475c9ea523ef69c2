"""The training step of a run that is not there: shapes in place of arrays.

What `training.prepare`, `training.trained` and `training.ranking` make of data, made of
sizes alone, laid over the devices by the same rules.
"""

from dataclasses import dataclass
from typing import Any

import jax

from llmgnn_jax.config import Config
from llmgnn_jax.errors import UserError
from llmgnn_jax.graph.node_layout import NodeLayout
from llmgnn_jax.models.features import Features
from llmgnn_jax.models.recommender import ModelSpec, create
from llmgnn_jax.parallel.exchange import Shares
from llmgnn_jax.parallel.popularity import Popularity
from llmgnn_jax.parallel.strategy import Meshed
from llmgnn_jax.planning.cut import Cut
from llmgnn_jax.planning.data_shapes import (
    Sizes,
    graph_of,
    ints,
    pairs_of,
    texts_of,
    validation_graph,
)
from llmgnn_jax.text.encoders.model import EncoderConfig, declare
from llmgnn_jax.text.lora import Adapters
from llmgnn_jax.text.readout import Readout
from llmgnn_jax.text.trainable import partition, trainable
from llmgnn_jax.training.batch import num_named
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


@dataclass(frozen=True, kw_only=True, eq=False)
class PlannedStep:
    """A program and what it is called with.

    Attributes:
        program: The step, as a run compiles it.
        state: Shapes, with their places.
        data: Likewise.
        validation: The graph that validation hears beside the steps' own, likewise;
            None where it is the same.
    """

    program: Program
    state: TrainState
    data: TrainData
    validation: Shares | None = None


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
            expected="those that are drawn, or in_batch: all items as negatives are "
            "for data that fit one device",
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
    graph = graph_of(config, layout, pieces, strategy.exchange, popularity)
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
        fusion=config.fusion.kind,
        groups=layout.groups,
        text_pull=sides == "fused" and config.graph.text_pull > 0,
        towers=config.text.towers if sides != "graph" else "shared",
    )
    definition, params = _declared(spec)
    text = None
    if encoder is not None:
        text = texts_of(layout, text_dim)
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
        **pairs_of(config, sizes, layout, pieces),
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
    # Named as it is in a graph: the rules go by names.
    beside = {"plan": validation_graph(config, layout, pieces, strategy.exchange)}
    return PlannedStep(
        program=program,
        state=state,
        data=data,
        validation=_placed(beside, strategy)["plan"],
    )


def _declared(spec: ModelSpec) -> tuple[Any, dict[str, Any]]:
    """A model without memory."""
    made: list[Any] = []

    def params() -> dict:
        definition, values = create(spec, seed=0)
        made.append(definition)
        return values

    shapes = jax.eval_shape(params)
    return made[0], shapes


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
        frozen=frozen, ids_IL=ints(items, sizes.tokens), counts_I=ints(items)
    )
    spec = EncoderSpec(
        graphdef=model.graphdef,
        readout=readout,
        texts=min(text.texts_per_step, num_named(config.train), sizes.items),
        places=0,
    )
    return trained, inputs, spec


def _placed(tree: Any, strategy: Meshed) -> Any:
    """Shapes with the places that the rules give their names."""
    where = strategy.shardings(tree)
    return jax.tree.map(
        lambda leaf, place: jax.ShapeDtypeStruct(
            leaf.shape, leaf.dtype, sharding=place
        ),
        *(tree, where),
    )
