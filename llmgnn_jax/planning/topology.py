"""Chips to plan for: `v5e:2x4` and the like, or what this machine has.

Rates are the vendor's published peaks a chip; a step reaches less.
"""

import math
import os
import re
from dataclasses import dataclass
from typing import Any

from llmgnn_jax.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Chip:
    """One device.

    Attributes:
        name: Of its kind.
        hbm_bytes: Its memory; None where that is not known.
        flops: bfloat16 multiplications and additions a second; None likewise.
        hbm_rate: Bytes a second between memory and chip; None likewise.
        link_rate: Bytes a second out of the chip over all links; None likewise.
    """

    name: str
    hbm_bytes: int | None
    flops: float | None = None
    hbm_rate: float | None = None
    link_rate: float | None = None


GIB = 2**30

# https://cloud.google.com/tpu/docs/system-architecture-tpu-vm, a page a version.
TPUS: dict[str, Chip] = {
    "v4": Chip(
        name="TPU v4",
        hbm_bytes=32 * GIB,
        flops=275e12,
        hbm_rate=1.2e12,
        link_rate=300e9,
    ),
    "v5e": Chip(
        name="TPU v5e",
        hbm_bytes=16 * GIB,
        flops=197e12,
        hbm_rate=819e9,
        link_rate=200e9,
    ),
    "v5p": Chip(
        name="TPU v5p",
        hbm_bytes=95 * GIB,
        flops=459e12,
        hbm_rate=2765e9,
        link_rate=600e9,
    ),
    "v6e": Chip(
        name="TPU v6e",
        hbm_bytes=32 * GIB,
        flops=918e12,
        hbm_rate=1640e9,
        link_rate=448e9,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Topology:
    """Which chips, and how many.

    Attributes:
        name: As it was asked for.
        kind: "v5e", ..., or "cpu" or "gpu".
        chips: How many.
    """

    name: str
    kind: str
    chips: int

    @property
    def is_tpu(self) -> bool:
        """Whether it is compiled for ahead of time, without a chip."""
        return self.kind in TPUS


def parse_topology(name: str) -> Topology:
    """`v5e:2x4`, `v5p:8x8x16`, `cpu`, `cpu:8`, `gpu`, `gpu:4`.

    Raises:
        UserError: If it is none of these.
    """
    kind, _, shape = name.partition(":")
    if kind in TPUS and re.fullmatch(r"[1-9]\d*(x[1-9]\d*){1,2}", shape):
        return Topology(
            name=name, kind=kind, chips=math.prod(map(int, shape.split("x")))
        )
    if kind in ("cpu", "gpu") and re.fullmatch(r"([1-9]\d*)?", shape):
        return Topology(name=name, kind=kind, chips=int(shape or 1))
    raise UserError.field(
        "--topology",
        expected="KIND:SHAPE with KIND one of "
        + ", ".join(TPUS)
        + ", such as v5e:2x4 or v5p:4x4x4; or cpu:N or gpu:N",
        got=repr(name),
    )


def environment(topology: Topology) -> dict[str, str]:
    """What the process that compiles for a topology is started with."""
    variables = dict(os.environ)
    if topology.is_tpu:
        # libtpu asks the machine that it runs on, which is none of its own.
        variables |= {
            "JAX_PLATFORMS": "cpu",
            "TPU_SKIP_MDS_QUERY": "1",
            "TPU_ACCELERATOR_TYPE": "v5litepod-8",
            "TPU_WORKER_HOSTNAMES": "localhost",
            "TPU_WORKER_ID": "0",
            # No chip is held, so others may compile too; and a killed process leaves a
            # lock behind.
            "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
            "TPU_STDERR_LOG_LEVEL": "3",
            "TPU_MIN_LOG_LEVEL": "3",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
    elif topology.kind == "cpu":
        flag = f"--xla_force_host_platform_device_count={topology.chips}"
        variables |= {"JAX_PLATFORMS": "cpu", "NPROC": "256"}
        variables["XLA_FLAGS"] = f"{variables.get('XLA_FLAGS', '')} {flag}".strip()
    return variables


def devices_of(topology: Topology) -> tuple[list[Any], Chip]:
    """The devices to compile for, and what one of them is.

    Raises:
        UserError: If there are not as many here, or libtpu cannot describe it.
    """
    import jax

    if topology.is_tpu:
        from jax.experimental import topologies

        try:
            found = topologies.get_topology_desc(
                platform="tpu", topology_name=topology.name
            )
        except Exception as error:
            raise UserError.field(
                "--topology",
                expected="one that libtpu knows",
                got=f"{topology.name!r} ({str(error).splitlines()[0]})",
                fix="install libtpu (make setup-tpu), or choose another shape",
            ) from error
        return list(found.devices), TPUS[topology.kind]
    try:
        devices = jax.devices(topology.kind)
    except RuntimeError:
        devices = []
    if len(devices) < topology.chips:
        raise UserError.field(
            "--topology",
            expected=f"at most the {len(devices)} devices of the kind "
            f"{topology.kind} that this machine has",
            got=topology.chips,
        )
    devices = devices[: topology.chips]
    stats = devices[0].memory_stats() or {}
    memory = stats.get("bytes_limit")
    if memory is None and topology.kind == "cpu":
        # The devices of a CPU share its memory.
        pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        memory = pages // topology.chips
    return devices, Chip(name=devices[0].device_kind, hbm_bytes=memory)
