"""`plan`: compiles a run's step for chips, and says what it takes of one of them."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from jax.sharding import AxisType, Mesh

from llmgnn_jax.config import Config, from_json, replace
from llmgnn_jax.errors import UserError
from llmgnn_jax.parallel.exchange import Exchange
from llmgnn_jax.parallel.mesh import AXES
from llmgnn_jax.parallel.strategy import Meshed, chosen_exchange
from llmgnn_jax.planning.compiled import compiled
from llmgnn_jax.planning.cut import Cut, cut, popularity_of
from llmgnn_jax.planning.data_shapes import Sizes
from llmgnn_jax.planning.degrees import law_of
from llmgnn_jax.planning.held import BESIDE, by_kind
from llmgnn_jax.planning.shapes import planned_step
from llmgnn_jax.planning.topology import devices_of, parse_topology
from llmgnn_jax.text.encoders.model import EncoderConfig

ASSUMPTIONS = (
    "matrix products at the chip's bfloat16 peak",
    "memory: products, look-ups, scatters and the optimizer; the rest is fused",
    "exchanges at the sum of all links' rates, not hidden behind anything",
    "neighbours drawn at random in proportion to degrees",
)
UNCOUNTED = "without the vectors of graph.filter, which rankings read and no step"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to plan.

    Attributes:
        config: Of the run, as JSON.
        topology: As `parse_topology` reads it.
        nodes: Users and items together.
        edges: M, different interactions.
        degrees: A law's name.
        tokens: Of the longest text of an item.
    """

    config: str
    topology: str
    nodes: int
    edges: int
    degrees: str = "gowalla"
    tokens: int = 32


def plan(request: Request, *, encoder: EncoderConfig | None = None) -> dict[str, Any]:
    """Compiles and measures.

    Args:
        request: What.
        encoder: The text encoder's shape; by default that of `text.encoder`.

    Returns:
        The document of `llmgnn plan --json`.

    Raises:
        UserError: For what cannot be planned.
    """
    config = from_json(request.config, origin="the configuration")
    if config.task != "ranking":
        raise UserError.field(
            "task", expected="ranking, which is laid over devices", got=config.task
        )
    config = replace(config, models=config.models[-1:])
    topology = parse_topology(request.topology)
    devices, chip = devices_of(topology)
    strategy = _strategy(config, devices)
    law = law_of(request.degrees)
    # Numbers of nodes are int32, with room for what fills pieces up.
    if not 4 <= request.nodes < 2**31 - 2**20:
        raise UserError.field(
            "--nodes",
            expected=f"a number from 4 to {2**31 - 2**20 - 1}",
            got=request.nodes,
        )
    users = max(1, round(request.nodes * law.user_share))
    sizes = Sizes(
        users=users,
        items=max(1, request.nodes - users),
        interactions=request.edges,
        tokens=request.tokens,
    )
    _check(sizes)
    count = strategy.devices
    dealt = {
        "users": sizes.users,
        "items": sizes.items,
        "interactions": sizes.interactions,
    }
    pieces = cut(
        law,
        **dealt,
        nodes=sizes.layout(config, count).num_nodes // count,
        shares=count,
    )
    if config.models != ("graph",) and encoder is None:
        encoder = _encoder_config(config)
    popularity = popularity_of(law, **dealt)
    for exchange in _exchanges(config, count):
        strategy = dataclasses.replace(strategy, exchange=exchange)
        step = planned_step(
            config,
            sizes,
            pieces,
            strategy=strategy,
            popularity=popularity,
            encoder=encoder,
        )
        arrays = by_kind(step)
        # The optimizer reads gradients, parameters and its own arrays, and writes the
        # last two: Adam's seven passes. Row-wise Adagrad's sums are a product, and
        # counted so.
        optimizer = 3 * arrays["parameters"] + 2 * arrays["optimizer"]
        beside = sum(arrays[kind] for kind in BESIDE)
        taken = compiled(step, chip, count, optimizer=optimizer, beside=beside)
        if taken["fits"] is not False:
            break
    document: dict[str, Any] = {
        "recipe": config.recipe,
        "model": config.models[-1],
        "mode": _mode(config, strategy),
        "exchange": _why(config, strategy, pieces),
        "topology": topology.name,
        "chips": count,
        "chip": dataclasses.asdict(chip),
        "mesh": dict(strategy.mesh.shape),
        "nodes": request.nodes,
        "edges": request.edges,
        "degrees": request.degrees,
        "width": config.graph.embedding_dim,
        "batch": config.train.batch_size,
        "cut": pieces.to_json(),
        "arrays": arrays,
        "assumptions": [
            *ASSUMPTIONS,
            *([] if config.graph.filter == "none" else [UNCOUNTED]),
        ],
    }
    return document | taken


def _exchanges(config: Config, chips: int) -> tuple[Exchange, ...]:
    """What is compiled, until one fits: a run would measure, here bytes are counted."""
    taken = chosen_exchange(config.parallel)
    if config.parallel.exchange != "auto" or config.graph.fanouts or chips == 1:
        return (taken,)
    # No exchange sends less than the first, and none holds less than the second.
    return taken, "ring"


def _why(config: Config, strategy: Meshed, pieces: Cut) -> str:
    """Which exchange is planned, and why where `auto` was asked for."""
    taken = strategy.exchange
    if config.parallel.exchange != "auto" or config.graph.fanouts:
        return taken
    if strategy.devices == 1:
        return f"{taken}, by auto: there is nothing to send"
    if taken == "ring":
        return "ring, by auto: all_to_all, which would send less, does not fit"
    sent = pieces.halo / pieces.nodes
    return (
        f"{taken}, by auto: it sends {sent:.1%} of the bytes of the others; a run "
        "measures them"
    )


def _mode(config: Config, strategy: Meshed) -> str:
    if config.graph.fanouts:
        return "sampled " + " x ".join(map(str, config.graph.fanouts))
    return f"full graph, {strategy.exchange}"


def _strategy(config: Config, devices: list[Any]) -> Meshed:
    parallel = config.parallel
    data = parallel.data or len(devices) // parallel.model
    if parallel.strategy != "mesh" or data * parallel.model != len(devices):
        raise UserError.field(
            "parallel",
            expected=f"a mesh of all {len(devices)} chips",
            got=f"{parallel.strategy}, {data} x {parallel.model}",
            fix="leave --parallel.strategy and --parallel.data out, and choose a "
            "--parallel.model that divides them",
        )
    if config.train.batch_size % (data * config.train.accumulate):
        raise UserError.field(
            "train.batch_size",
            expected=f"a multiple of the {data} chips that share it",
            got=config.train.batch_size,
        )
    mesh = Mesh(
        np.array(devices).reshape(data, parallel.model),
        AXES,
        axis_types=(AxisType.Auto,) * 2,
    )
    return Meshed(
        mesh=mesh,
        backend="segment",
        exchange=chosen_exchange(parallel),
        slack=parallel.slack,
        row_slack=parallel.row_slack,
        parameters=parallel.parameters,
    )


def _check(sizes: Sizes) -> None:
    most = sizes.users * sizes.items
    if not 1 <= sizes.interactions <= most:
        raise UserError.field(
            "--edges",
            expected=f"a number from 1 to {most}, the pairs of {sizes.users} users and "
            f"{sizes.items} items",
            got=sizes.interactions,
        )
    if sizes.tokens < 1:
        raise UserError.field(
            "--tokens", expected="a number of tokens", got=sizes.tokens
        )


def _encoder_config(config: Config) -> EncoderConfig:
    from llmgnn_jax.text.pretrained.folder import folder_of
    from llmgnn_jax.text.pretrained.load import read_config

    return read_config(folder_of(config.text.encoder))
