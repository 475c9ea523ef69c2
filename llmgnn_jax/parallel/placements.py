"""The placements of many devices: shares on a mesh, and replicas.

Shapes: N nodes or rows of a table, n of them on a device, D width, R rows asked for, B
rows of a batch, b of them that a program computes.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import jax
import jax.numpy as jnp
import jraph
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from llmgnn_jax.graph.aggregate import Backend
from llmgnn_jax.graph.aggregate.operations import no_gradient
from llmgnn_jax.graph.placement import Draw, Layers, OneDevice, Sampled, run_on_tree
from llmgnn_jax.graph.sampling.words import key_words
from llmgnn_jax.graph.structure import InteractionGraph
from llmgnn_jax.parallel.exchange import SharedNeighbourhood, Shares
from llmgnn_jax.parallel.mesh import AXES, DATA
from llmgnn_jax.parallel.routes import Reach, route
from llmgnn_jax.parallel.sampling import SharedTable, sample_shared


@dataclass(frozen=True, kw_only=True)
class OnMesh:
    """Tables and nodes in equal pieces on all devices, one program for all of them.

    Attributes:
        mesh: The devices.
        backend: Kernel of the sums over neighbours within a device.
        slack: Room for what one device asks of another, see `Reach`.
        row_slack: Likewise.
    """

    mesh: Mesh
    backend: Backend
    slack: float = 2.0
    row_slack: float = 1.25

    @property
    def local_backend(self) -> Backend | None:
        return None

    @property
    def programs(self) -> int:
        return 1

    @property
    def shares(self) -> int:
        return self.mesh.size

    def run_layers(
        self,
        layers: Layers,
        parameters: Any,
        nodes_ND: jax.Array,
        graph: InteractionGraph,
    ) -> jax.Array:
        def run(parameters: Any, nodes_nD: jax.Array, shares: Shares) -> jax.Array:
            neighbours = SharedNeighbourhood(
                shares=shares, axes=AXES, backend=self.backend
            )
            return layers(parameters, _nodes_alone(nodes_nD), neighbours).nodes

        spread = self._spread(run, in_specs=(P(), P(AXES), P(AXES)), out_specs=P(AXES))
        return spread(parameters, nodes_ND, cast(Shares, graph.plan))

    def run_sampled(
        self,
        layers: Layers,
        parameters: Any,
        nodes_ND: jax.Array,
        graph: InteractionGraph,
        numbers_R: jax.Array,
        draw: Draw,
    ) -> Sampled:
        reach = Reach(
            axes=AXES,
            shares=self.shares,
            slack=self.slack,
            row_slack=self.row_slack,
        )

        def run(
            parameters: Any,
            nodes_nD: jax.Array,
            degrees_n: jax.Array,
            table: SharedTable,
            words_2: jax.Array,
            seeds_r: jax.Array,
            rows_r: jax.Array,
        ) -> tuple[jax.Array, jax.Array, jax.Array]:
            tree, missed = sample_shared(
                words_2, table, seeds_r, rows_r, fanouts=draw.fanouts, reach=reach
            )
            ways = route(
                tree.node_ids,
                tree.node_mask,
                size=len(nodes_nD),
                reach=reach,
                expected=table.distinct(len(seeds_r), draw.fanouts),
            )
            nodes, degrees = ways.rows(nodes_nD), ways.rows(degrees_n)
            missed = jax.lax.psum(missed + ways.missed, AXES)
            final = run_on_tree(layers, parameters, tree, nodes, degrees)
            return final, nodes[: len(seeds_r)], missed

        # As many seeds for each device: none fill up.
        count = len(numbers_R)
        short = -count % self.shares
        seeds_R = jnp.pad(numbers_R, (0, short), constant_values=-1)
        rows_R = jnp.pad(draw.rows_R, (0, short))
        pieces = P(AXES)
        final, ego, missed = self._spread(
            run,
            in_specs=(P(), pieces, pieces, pieces, P(), pieces, pieces),
            out_specs=(pieces, pieces, P()),
        )(
            parameters,
            nodes_ND,
            graph.degrees,
            cast(SharedTable, graph.plan),
            key_words(draw.key),
            seeds_R,
            rows_R,
        )
        return Sampled(final[:count], ego[:count], missed)

    def take(self, table_N: jax.Array, numbers_R: jax.Array) -> jax.Array:
        if table_N.dtype == bool:
            return _take(table_N.astype(jnp.int8), numbers_R, self) > 0
        return _take(table_N, numbers_R, self)

    def ask(
        self,
        question: Callable[..., jax.Array],
        holder: Any,
        numbers_R: jax.Array,
        *others: jax.Array,
        rows: int,
    ) -> jax.Array:
        def answer(holder: Any, numbers_R: jax.Array, *others: jax.Array) -> jax.Array:
            places_R, mine_R = _places(numbers_R, rows // self.shares)
            said = question(holder, jnp.where(mine_R, places_R, 0), *others)
            mask = mine_R.reshape(-1, *[1] * (said.ndim - 1))
            # Who holds a row answers, the others add 0; so a truth takes one byte.
            sent = said.astype(jnp.int8) if said.dtype == bool else said
            return jax.lax.psum(jnp.where(mask, sent, 0), AXES).astype(said.dtype)

        whole = (P(),) * (1 + len(others))
        spread = self._spread(answer, in_specs=(P(AXES), *whole), out_specs=P())
        return self._by_rows(spread(holder, numbers_R, *others))

    def _by_rows(self, rows_R: jax.Array) -> jax.Array:
        """A row of the batch goes where the batch's rows are computed."""
        where = P(DATA) if rows_R.shape[0] % self.mesh.shape[DATA] == 0 else P()
        return jax.lax.with_sharding_constraint(rows_R, NamedSharding(self.mesh, where))

    def row_numbers(self, batch_size: int) -> jax.Array:
        rows_B = jnp.arange(batch_size, dtype=jnp.int32)
        spread = NamedSharding(self.mesh, P(DATA))
        return jax.lax.with_sharding_constraint(rows_B, spread)

    def everyones(self, rows_b: jax.Array) -> jax.Array:
        return rows_b

    def mean(self, values: Any) -> Any:
        return values

    def _spread(self, function: Any, *, in_specs: Any, out_specs: Any) -> Any:
        return jax.shard_map(
            function,
            mesh=self.mesh,
            in_specs=in_specs,
            out_specs=out_specs,
            # What is the same on all devices is said, not inferred: foreign functions
            # and loops tell nothing of it.
            check_vma=False,
        )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _take(table_N: jax.Array, numbers_R: jax.Array, on: OnMesh) -> jax.Array:
    """Each device looks its own rows up; their sum is the answer."""

    rows_R = on._spread(rows_of_holders, in_specs=(P(AXES), P()), out_specs=P())(
        table_N, numbers_R
    )
    return on._by_rows(rows_R)


def rows_of_holders(table_n: jax.Array, numbers_R: jax.Array) -> jax.Array:
    """Within `shard_map`: (R, ...) rows of a table, (n, ...) of which lie here."""
    places_R, mine_R = _places(numbers_R, len(table_n))
    rows = table_n[jnp.where(mine_R, places_R, 0)]
    mask = mine_R.reshape(-1, *[1] * (rows.ndim - 1))
    return jax.lax.psum(jnp.where(mask, rows, jnp.zeros((), rows.dtype)), AXES)


def _places(numbers_R: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
    """(R,) places in a device's piece of a table; (R,) bool, whether they are in it."""
    places_R = numbers_R - jax.lax.axis_index(AXES) * size
    return places_R, (places_R >= 0) & (places_R < size)


def _take_forward(
    table_N: jax.Array, numbers_R: jax.Array, on: OnMesh
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _take(table_N, numbers_R, on), (numbers_R, table_N)


def _take_backward(
    on: OnMesh, residuals: tuple[jax.Array, jax.Array], gradient_R: jax.Array
) -> tuple:
    numbers_R, table_N = residuals

    def put_back(gradient_R: jax.Array, numbers_R: jax.Array) -> jax.Array:
        size = table_N.shape[0] // on.mesh.size
        places_R, mine_R = _places(numbers_R, size)
        zeros = jnp.zeros((size, *gradient_R.shape[1:]), gradient_R.dtype)
        # Not theirs: beyond the last row, and so nowhere.
        return zeros.at[jnp.where(mine_R, places_R, size)].add(gradient_R, mode="drop")

    spread = on._spread(put_back, in_specs=(P(), P()), out_specs=P(AXES))
    return spread(gradient_R, numbers_R), no_gradient(numbers_R)


_take.defvjp(_take_forward, _take_backward)


@dataclass(frozen=True, kw_only=True)
class OnReplicas(OneDevice):
    """Everything on each device, which computes its rows of the batch: classic `pmap`.

    Attributes:
        count: Devices; of the axis `data` of the `pmap` that the programs run under.
    """

    count: int

    @property
    def programs(self) -> int:
        return self.count

    def row_numbers(self, batch_size: int) -> jax.Array:
        assert batch_size % self.count == 0, "each program has as many rows"
        own = batch_size // self.count
        first = jax.lax.axis_index(DATA) * own
        return (first + jnp.arange(own)).astype(jnp.int32)

    def everyones(self, rows_b: jax.Array) -> jax.Array:
        return jax.lax.all_gather(rows_b, DATA, tiled=True)

    def mean(self, values: Any) -> Any:
        return jax.lax.pmean(values, DATA)


def _nodes_alone(nodes_nD: jax.Array) -> jraph.GraphsTuple:
    """A graph whose edges are the neighbourhood's affair."""
    return jraph.GraphsTuple(
        nodes=nodes_nD,
        edges=None,
        senders=None,
        receivers=None,
        globals=None,
        n_node=jnp.asarray([len(nodes_nD)], jnp.int32),
        n_edge=jnp.asarray([0], jnp.int32),
    )
