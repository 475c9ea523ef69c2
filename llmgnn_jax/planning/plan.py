"""`plan`: compiles a run's step for chips, and says what it takes of one of them."""

import dataclasses
import time
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh

from llmgnn_jax.config import Config, from_json, replace
from llmgnn_jax.errors import UserError
from llmgnn_jax.parallel.exchange import Exchange
from llmgnn_jax.parallel.mesh import AXES
from llmgnn_jax.parallel.strategy import Meshed, chosen_exchange
from llmgnn_jax.planning import costs
from llmgnn_jax.planning.cut import Cut, cut, popularity_of
from llmgnn_jax.planning.data_shapes import Sizes
from llmgnn_jax.planning.degrees import law_of
from llmgnn_jax.planning.exchanges import collectives
from llmgnn_jax.planning.held import BESIDE, by_kind
from llmgnn_jax.planning.shapes import PlannedStep, planned_step
from llmgnn_jax.planning.topology import Chip, devices_of, parse_topology
from llmgnn_jax.text.encoders.model import EncoderConfig
from llmgnn_jax.training.state import NODE_TABLE

ASSUMPTIONS = (
    "matrix products at the chip's bfloat16 peak",
    "memory: products, look-ups, scatters and the optimizer; the rest is fused",
    "exchanges at the sum of all links' rates, not hidden behind anything",
    "neighbours drawn at random in proportion to degrees",
)


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
        taken = _measured(step, chip, count, optimizer=optimizer, beside=beside)
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
        "assumptions": list(ASSUMPTIONS),
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


def _measured(
    step: PlannedStep, chip: Chip, count: int, *, optimizer: int, beside: int
) -> dict[str, Any]:
    arguments = (step.state, step.data, jax.ShapeDtypeStruct((), jnp.int32))
    began = time.perf_counter()
    traced = step.program.trace(*arguments)  # type: ignore[attr-defined]
    work = costs.work(traced.jaxpr, devices=count)
    try:
        compiled = traced.lower().compile()
    except jax.errors.JaxRuntimeError as error:
        if "memory" not in str(error).lower():
            raise
        return {
            "fits": False,
            "because": _out_of_memory(str(error)),
            "compile_s": time.perf_counter() - began,
            "bytes": None,
        }
    seconds = time.perf_counter() - began
    memory = compiled.memory_analysis()
    moved = collectives(compiled.as_text(), devices=count, told=work)
    table = step.state.params.get(NODE_TABLE)
    of_table = 0 if table is None else table.size * table.dtype.itemsize
    gathered = moved.get("all-gather")
    used = {
        "arguments": int(memory.argument_size_in_bytes),
        "outputs": int(memory.output_size_in_bytes),
        "aliased": int(memory.alias_size_in_bytes),
        "temporaries": int(memory.temp_size_in_bytes),
        "program": int(memory.generated_code_size_in_bytes),
        "beside": beside,
    }
    # A donated argument and its result are one.
    total = sum(used.values()) - 2 * used["aliased"]
    traffic = work.traffic + optimizer
    limit = chip.hbm_bytes
    fits = None if limit is None else total <= limit
    return {
        "fits": fits,
        "because": _because(total, limit),
        "compile_s": seconds,
        "bytes": {**used, "total": total},
        "flops": work.flops,
        "traffic": traffic,
        "collectives": {kind: dataclasses.asdict(one) for kind, one in moved.items()},
        "gathers_table": bool(
            count > 1 and gathered and of_table and gathered.largest >= of_table
        ),
        "roofline": _roofline(
            work.flops, traffic, sum(one.bytes for one in moved.values()), chip
        ),
    }


def _because(total: int, limit: int | None) -> str:
    if limit is None:
        return f"{_gib(total)} a chip; its memory is not known"
    share = f"{_gib(total)} of {_gib(limit)} a chip, {total / limit:.0%}"
    return share if total <= limit else f"it takes {share}"


def _gib(size: float) -> str:
    return f"{size / 2**30:.2f} GiB"


def _out_of_memory(message: str) -> str:
    """The line of XLA's report that says how much."""
    lines = [line.strip() for line in message.splitlines() if "memory" in line.lower()]
    return f"the compiler found no room: {lines[0][:200]}"


def _roofline(
    flops: float, traffic: float, moved: float, chip: Chip
) -> dict[str, float] | None:
    if chip.flops is None or chip.hbm_rate is None or chip.link_rate is None:
        return None
    compute, memory = flops / chip.flops, traffic / chip.hbm_rate
    network = moved / chip.link_rate
    return {
        "compute_s": compute,
        "memory_s": memory,
        "network_s": network,
        "step_s": max(compute, memory) + network,
    }
