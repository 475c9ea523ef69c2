"""`Strategy`: how a run's programs and arrays are laid over devices."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from llmgnn_jax.config import Config, ParallelConfig
from llmgnn_jax.errors import UserError
from llmgnn_jax.graph.aggregate import Backend
from llmgnn_jax.graph.placement import OneDevice, Placement
from llmgnn_jax.graph.structure import InteractionGraph
from llmgnn_jax.parallel import processes
from llmgnn_jax.parallel.exchange import Exchange
from llmgnn_jax.parallel.fsdp import FullySharded
from llmgnn_jax.parallel.mesh import DATA, device_mesh
from llmgnn_jax.parallel.partition import share_out, table_in_shares
from llmgnn_jax.parallel.placements import OnMesh, OnReplicas
from llmgnn_jax.parallel.rules import shardings
from llmgnn_jax.text import kernels
from llmgnn_jax.text.encoders import pieces

Parameters: TypeAlias = Literal["replicated", "fsdp"]


class Strategy(Protocol):
    """What a training loop asks of the devices."""

    @property
    def placement(self) -> Placement:
        """What models and steps are written in terms of."""
        ...

    @property
    def devices(self) -> int:
        """How many there are."""
        ...

    def share_graph(
        self, graph: InteractionGraph, *, sampled: bool = False
    ) -> InteractionGraph:
        """The graph as the placement reads it; its arrays may still be on the host.

        Args:
            graph: The graph.
            sampled: Whether its edges are drawn from, not summed over.
        """
        ...

    def place(self, tree: Any) -> Any:
        """Arrays to where the programs expect them."""
        ...

    def traced(self) -> contextlib.AbstractContextManager[None]:
        """What a step's programs are traced within."""
        ...

    def compile(self, run: Callable[..., Any], state: Any) -> Callable[..., Any]:
        """`run(state, data, count)` -> (state, metrics), with the state donated.

        Args:
            run: A pure function.
            state: Of the shapes and places that it is called with.
        """
        ...

    def gathered(self, tree: Any) -> Any:
        """Arrays on one device."""
        ...


@dataclass(frozen=True, kw_only=True)
class Single:
    """One device: nothing is moved, nothing exchanged."""

    backend: Backend

    @property
    def placement(self) -> Placement:
        return OneDevice(backend=self.backend)

    @property
    def devices(self) -> int:
        return 1

    def share_graph(
        self, graph: InteractionGraph, *, sampled: bool = False
    ) -> InteractionGraph:
        del sampled
        return graph

    def place(self, tree: Any) -> Any:
        return tree

    def traced(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def compile(self, run: Callable[..., Any], state: Any) -> Callable[..., Any]:
        del state
        return jax.jit(run, donate_argnums=0)

    def gathered(self, tree: Any) -> Any:
        return tree


@dataclass(frozen=True, kw_only=True)
class Meshed:
    """Tables, graph and the encoder's parameters in pieces, the batch in rows.

    Attributes:
        mesh: The devices.
        backend: Kernel of the sums over neighbours within a device.
        exchange: How node vectors reach other devices.
        slack: Room for what one device asks of another, see `routes.Reach`.
        parameters: What of the encoder's is on each device that shares a batch: all,
            or a piece of each matrix.
    """

    mesh: Mesh
    backend: Backend
    exchange: Exchange
    slack: float
    row_slack: float
    parameters: Parameters = "replicated"

    @property
    def placement(self) -> Placement:
        return OnMesh(
            mesh=self.mesh,
            backend=self.backend,
            slack=self.slack,
            row_slack=self.row_slack,
        )

    @property
    def devices(self) -> int:
        return self.mesh.size

    def share_graph(
        self, graph: InteractionGraph, *, sampled: bool = False
    ) -> InteractionGraph:
        shares: Any
        if sampled:
            shares = table_in_shares(
                graph.plan, shares=self.devices, layout=graph.layout
            )
        else:
            shares = share_out(graph.plan, shares=self.devices, exchange=self.exchange)
        edges_apart = graph.graph._replace(edges=None, senders=None, receivers=None)
        return dataclasses.replace(graph, graph=edges_apart, plan=shares)

    def place(self, tree: Any) -> Any:
        return processes.put(tree, self.shardings(tree))

    def shardings(self, tree: Any) -> Any:
        """Where each array of a tree lies."""
        return shardings(tree, self.mesh, fully_sharded=self.parameters == "fsdp")

    @contextlib.contextmanager
    def traced(self) -> Iterator[None]:
        sharded = None
        if self.parameters == "fsdp":
            sharded = FullySharded(mesh=self.mesh)
        # Kernels of ours cannot be cut: XLA would bring all operands to each device.
        with kernels.left_out(), pieces.lie_in(sharded):
            yield

    def compile(self, run: Callable[..., Any], state: Any) -> Callable[..., Any]:
        # Said, so that what a call gives is what the next one takes.
        where = jax.tree.map(lambda leaf: leaf.sharding, state)
        everywhere = NamedSharding(self.mesh, P())
        return jax.jit(run, donate_argnums=0, out_shardings=(where, everywhere))

    def gathered(self, tree: Any) -> Any:
        return processes.brought(tree, self.mesh)


@dataclass(frozen=True, kw_only=True)
class Replicated:
    """`jax.pmap`: a copy of everything on each device, gradients averaged."""

    mesh: Mesh
    backend: Backend

    @property
    def placement(self) -> Placement:
        return OnReplicas(count=self.devices, backend=self.backend)

    @property
    def devices(self) -> int:
        return self.mesh.size

    def share_graph(
        self, graph: InteractionGraph, *, sampled: bool = False
    ) -> InteractionGraph:
        del sampled
        return graph

    def place(self, tree: Any) -> Any:
        return jax.device_put(tree, NamedSharding(self.mesh, P()))

    def traced(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def compile(self, run: Callable[..., Any], state: Any) -> Callable[..., Any]:
        del state

        def on_each(number: jax.Array, state: Any, data: Any, count: jax.Array) -> Any:
            del number
            return run(state, data, count)

        mapped = jax.pmap(
            on_each,
            axis_name=DATA,
            in_axes=(0, None, None, None),
            out_axes=None,
            devices=list(self.mesh.devices.flat),
            donate_argnums=1,
        )
        # `pmap` asks for something that differs by device.
        numbers = jnp.arange(self.devices)
        numbers = jax.device_put(numbers, NamedSharding(self.mesh, P(DATA)))
        return functools.partial(mapped, numbers)

    def gathered(self, tree: Any) -> Any:
        return jax.device_put(tree, self.mesh.devices.flat[0])


def strategy_of(config: Config, *, backend: Backend) -> Strategy:
    """How a run is laid over the devices that are there.

    Raises:
        UserError: If there are too few, or batch and groups cannot be cut so.
    """
    parallel = config.parallel
    mesh = device_mesh(parallel)
    count = mesh.size
    if count == 1:
        return Single(backend=backend)
    _check(config, mesh.shape[DATA])
    if jax.process_count() > 1 and (
        parallel.strategy == "pmap" or count != jax.device_count()
    ):
        raise UserError.field(
            "parallel",
            expected=f"a mesh of all {jax.device_count()} devices of the "
            f"{jax.process_count()} processes",
            got=f"{parallel.strategy} of {count}",
            fix="leave out --parallel.strategy and --parallel.data",
        )
    if parallel.strategy == "pmap":
        # As `pmap` makes one of its devices: what it gives is what it takes.
        flat = Mesh(mesh.devices.reshape(-1), (DATA,), axis_types=(AxisType.Auto,))
        return Replicated(mesh=flat, backend=backend)
    if parallel.groups % count:
        raise UserError.field(
            "parallel.groups",
            expected=f"a multiple of the {count} devices",
            got=parallel.groups,
            fix="start the run with another number, or use as many devices as divide "
            "it",
        )
    return Meshed(
        mesh=mesh,
        backend=backend,
        exchange=chosen_exchange(parallel),
        slack=parallel.slack,
        row_slack=parallel.row_slack,
        parameters=parallel.parameters,
    )


def chosen_exchange(parallel: ParallelConfig) -> Exchange:
    """The way that `parallel.exchange` asks for; what `auto` is before it is measured,
    and where it is not: what sends the fewest bytes."""
    return "all_to_all" if parallel.exchange == "auto" else parallel.exchange


def _check(config: Config, count: int) -> None:
    parts = config.train.accumulate
    if config.train.batch_size % (count * parts):
        each = "" if parts == 1 else f", times its {parts} parts"
        raise UserError.field(
            "train.batch_size",
            expected=f"a multiple of the {count} devices that share it{each}",
            got=config.train.batch_size,
            fix="change it, or --parallel.data",
        )
