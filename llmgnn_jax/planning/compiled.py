"""What a planned step takes once it is compiled: memory, products, exchanges, time."""

import dataclasses
import time
from typing import Any

import jax
import jax.numpy as jnp

from llmgnn_jax.planning import costs
from llmgnn_jax.planning.exchanges import collectives
from llmgnn_jax.planning.shapes import PlannedStep
from llmgnn_jax.planning.topology import Chip
from llmgnn_jax.training.state import NODE_TABLE


def compiled(
    step: PlannedStep, chip: Chip, count: int, *, optimizer: int, beside: int
) -> dict[str, Any]:
    """Compiles a step and reads the program.

    Args:
        step: What is compiled.
        chip: What each device is.
        count: How many there are.
        optimizer: Bytes that the optimizer reads and writes on each of them.
        beside: Bytes that a run holds beside the step.

    Returns:
        Fields of the document of `plan`.
    """
    arguments = (step.state, step.data, jax.ShapeDtypeStruct((), jnp.int32))
    began = time.perf_counter()
    traced = step.program.trace(*arguments)  # type: ignore[attr-defined]
    work = costs.work(traced.jaxpr, devices=count)
    try:
        program = traced.lower().compile()
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
    memory = program.memory_analysis()
    moved = collectives(program.as_text(), devices=count, told=work)
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
