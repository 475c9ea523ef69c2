"""The devices of a run as a mesh with the axes `data` and `model`."""

import jax
import numpy as np
from jax.sharding import AxisType, Mesh

from llmgnn_jax.config import ParallelConfig
from llmgnn_jax.errors import UserError

DATA, MODEL = "data", "model"
AXES = (DATA, MODEL)
"""Rows of tables and nodes are spread over both, a batch over the first."""


def device_mesh(parallel: ParallelConfig) -> Mesh:
    """The mesh that a configuration asks for.

    Raises:
        UserError: If there are not as many devices, or not a multiple of `model`.
    """
    devices = jax.devices()
    data = parallel.data or len(devices) // parallel.model
    if not 0 < data * parallel.model <= len(devices):
        field = "parallel.data" if parallel.data else "parallel.model"
        raise UserError.field(
            field,
            expected=f"at most {len(devices)} devices in all",
            got=f"{max(data, 1)} x {parallel.model}",
            fix="lower it, or leave --parallel.data at 0",
        )
    if not parallel.data and len(devices) % parallel.model:
        raise UserError.field(
            "parallel.model",
            expected=f"a number that divides the {len(devices)} devices",
            got=parallel.model,
            fix="change it, or say --parallel.data too and leave some idle",
        )
    chosen = np.array(devices[: data * parallel.model]).reshape(data, parallel.model)
    return Mesh(chosen, AXES, axis_types=(AxisType.Auto,) * 2)
