"""One run in several processes: the same command on each host, a mesh over all of them.

Each process reads the data and holds the pieces of its own devices; the first one
writes. What decides how a run goes on (a signal, a measured choice) is agreed upon.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from llmgnn_jax.errors import UserError

Name = TypeVar("Name", bound=str)

# The first process measures while the others, done, wait at the end for it.
_LONGEST_EVALUATION = 24 * 3600

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """How processes find one another.

    Attributes:
        coordinator: HOST:PORT of the first process; None: what SLURM, Kubernetes, MPI
            or a TPU's own metadata say.
        processes: How many; None likewise.
        process: Which this is, from 0; None likewise.
    """

    coordinator: str | None = None
    processes: int | None = None
    process: int | None = None

    def __post_init__(self) -> None:
        given = (self.coordinator, self.processes, self.process)
        if any(one is None for one in given) and any(one is not None for one in given):
            raise UserError.field(
                "--coordinator, --processes, --process",
                expected="all of them, or --distributed alone",
                got=" ".join(map(str, given)).replace("None", "-"),
            )
        if self.processes is None or self.process is None:
            return
        if not 0 <= self.process < self.processes:
            raise UserError.field(
                "--process",
                expected=f"a number from 0 to {self.processes - 1}",
                got=self.process,
            )


def join(cluster: Cluster) -> None:
    """Waits for the other processes; to be called before anything asks for a device.

    Raises:
        UserError: If they cannot be found.
    """
    try:
        jax.distributed.initialize(
            coordinator_address=cluster.coordinator,
            num_processes=cluster.processes,
            process_id=cluster.process,
            # Where all is said, no scheduler says which devices are ours.
            cluster_detection_method="deactivate" if cluster.coordinator else None,
            shutdown_timeout_seconds=_LONGEST_EVALUATION,
        )
    except (ValueError, RuntimeError) as error:
        raise UserError.field(
            "--distributed",
            expected="processes that find one another",
            got=str(error).splitlines()[0],
            fix="say --coordinator HOST:PORT, --processes N and --process I, which "
            "differs by host",
        ) from error
    logger.info(
        "process %d of %d: %d of %d devices are here",
        *(jax.process_index(), jax.process_count()),
        *(jax.local_device_count(), jax.device_count()),
    )


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return jax.process_index() == 0


def meet(name: str) -> None:
    """Waits until all processes are here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def any_of_them(flag: bool) -> bool:
    """Whether it is true of one process; all get the same answer."""
    if jax.process_count() == 1:
        return flag
    return bool(np.any(multihost_utils.process_allgather(np.asarray(flag))))


def choice_of_first(choices: Sequence[str], chosen: str) -> str:
    """What the first process has chosen, where each measured by itself."""
    if jax.process_count() == 1:
        return chosen
    number = np.asarray(choices.index(chosen), np.int32)
    return choices[int(multihost_utils.broadcast_one_to_all(number))]


def numbers_of_first(values: dict[Name, float]) -> dict[Name, float]:
    """What the first process has measured: others' processors may round otherwise."""
    if jax.process_count() == 1:
        return values
    # Float64 in halves of 32 bits: JAX would round it.
    halves = np.asarray(list(values.values()), np.float64).view(np.uint32)
    told = np.asarray(multihost_utils.broadcast_one_to_all(halves), np.uint32)
    return dict(zip(values, told.view(np.float64).tolist(), strict=True))


def put(tree: Any, where: Any) -> Any:
    """Arrays to their places; a process brings the pieces of its own devices.

    Args:
        tree: The whole of each array in every process, or arrays that are in place.
        where: A tree of shardings like it.
    """
    if jax.process_count() == 1:
        return jax.device_put(tree, where)

    def placed(leaf: Any, place: NamedSharding) -> jax.Array:
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
            return jax.device_put(leaf, place)
        host = np.asarray(leaf)
        return jax.make_array_from_callback(host.shape, place, host.__getitem__)

    return jax.tree.map(placed, tree, where)


def brought(tree: Any, mesh: Mesh) -> Any:
    """Arrays on a mesh -> the whole of each on one device of this process."""
    if jax.process_count() == 1:
        return jax.device_put(tree, mesh.devices.flat[0])
    everywhere = NamedSharding(mesh, P())
    whole = jax.jit(lambda tree: tree, out_shardings=everywhere)(tree)
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), whole)
