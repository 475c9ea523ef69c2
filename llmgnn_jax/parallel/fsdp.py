"""Fully sharded parameters of the text encoder, and how a step uses them.

Each of its matrices, with gradient and moments, lies cut over the devices that share a
batch as well (Rajbhandari et al. 2020, "ZeRO", stage 3,
https://arxiv.org/abs/1910.02054; Zhao et al. 2023, "PyTorch FSDP",
https://arxiv.org/abs/2304.11277). A layer's are gathered before it runs, forward and
again backward, and of their gradients each device is given the sum of its own piece.

Shapes: B rows, L tokens, D width, V vocabulary.
"""

import functools
from dataclasses import dataclass

import jax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from llmgnn_jax.parallel.mesh import AXES, DATA
from llmgnn_jax.parallel.rules import spread_of

GATHER = "gather_parameters"
"""What stands in the names of the operations that bring parameters together."""


@dataclass(frozen=True, kw_only=True)
class FullySharded:
    """`text.encoders.pieces.Pieces` on a mesh: XLA sends, told where.

    Attributes:
        mesh: The devices.
    """

    mesh: Mesh

    def whole(self, path: str, parameter: jax.Array) -> jax.Array:
        """Gathered over `data`; what is cut over `model` stays cut."""
        cut, together = self._spreads(path, parameter)
        if cut == together:
            return parameter
        return _gathered(parameter, self._at(cut), self._at(together))

    def summed_in_pieces(self, path: str, parameter: jax.Array) -> jax.Array:
        """The same; its gradient is cut before anything is made of it."""
        cut, together = self._spreads(path, parameter)
        return _summed(parameter, self._at(cut)) if cut != together else parameter

    def rows(
        self, path: str, table_VD: jax.Array, ids: jax.Array, *, batch_axis: int
    ) -> jax.Array:
        """Each device looks its columns up for the whole batch, and sends every other
        one those of its texts: rows that are named travel, and the table does not."""
        cut, _ = self._spreads(path, table_VD)
        if len(cut) < 2 or cut[1] not in (DATA, AXES):
            return table_VD[ids]
        everyones = jax.lax.with_sharding_constraint(ids, self._at(P()))
        columns = jax.lax.with_sharding_constraint(
            table_VD[everyones], self._at(P(*[None] * ids.ndim, cut[1]))
        )
        if ids.shape[batch_axis] % self.mesh.shape[DATA]:
            return columns
        by_rows: list[str | None] = [None] * columns.ndim
        by_rows[batch_axis] = DATA
        return jax.lax.with_sharding_constraint(columns, self._at(P(*by_rows)))

    def _spreads(self, path: str, parameter: jax.Array) -> tuple[P, P]:
        """How it lies, and how it is used."""
        name = f"text_encoder.{path}"
        return (
            spread_of(name, parameter.shape, self.mesh, fully_sharded=True),
            spread_of(name, parameter.shape, self.mesh),
        )

    def _at(self, spread: P) -> NamedSharding:
        return NamedSharding(self.mesh, spread)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _gathered(
    parameter: jax.Array, cut: NamedSharding, together: NamedSharding
) -> jax.Array:
    return _gather(parameter, cut, together)


def _gather(
    parameter: jax.Array, cut: NamedSharding, together: NamedSharding
) -> jax.Array:
    with jax.named_scope(GATHER):
        parameter = jax.lax.with_sharding_constraint(parameter, cut)
        return jax.lax.with_sharding_constraint(parameter, together)


def _gathered_forward(
    parameter: jax.Array, cut: NamedSharding, together: NamedSharding
) -> tuple[jax.Array, None]:
    # Not `_gathered`, within which `encoders.remat` could not see what is gathered.
    return _gather(parameter, cut, together), None


def _gathered_backward(
    cut: NamedSharding, together: NamedSharding, _: None, gradient: jax.Array
) -> tuple[jax.Array]:
    # The transpose of a gather is a sum of which each device keeps its own piece; that
    # of the constraint above alone would be the whole sum on all of them.
    del together
    return (jax.lax.with_sharding_constraint(gradient, cut),)


_gathered.defvjp(_gathered_forward, _gathered_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _summed(parameter: jax.Array, cut: NamedSharding) -> jax.Array:
    del cut
    return parameter


def _summed_forward(parameter: jax.Array, cut: NamedSharding) -> tuple[jax.Array, None]:
    return parameter, None


def _summed_backward(
    cut: NamedSharding, _: None, gradient: jax.Array
) -> tuple[jax.Array]:
    gradient = jax.lax.with_sharding_constraint(gradient, cut)
    # Or XLA takes the parts of the whole sum, which every device then has to have.
    return (jax.lax.optimization_barrier(gradient),)


_summed.defvjp(_summed_forward, _summed_backward)
