"""A run folder to its data and one of its models."""

import hashlib
from pathlib import Path

import jax
import numpy as np

from llmgnn_jax.assets.bucket import run_path
from llmgnn_jax.config import ModelName
from llmgnn_jax.data.memory import Held
from llmgnn_jax.errors import UserError
from llmgnn_jax.training.prepare import Prepared, prepare
from llmgnn_jax.training.run_folder import (
    check_source,
    check_split,
    on_one_device,
    read_config,
)
from llmgnn_jax.training.trained import TrainedModel, load_trained


def load_run(
    run: str | Path, *, model: ModelName | None = None, dataset: Held | None = None
) -> tuple[Prepared, TrainedModel]:
    """The data of a run that recommends items, and a model.

    Args:
        run: The folder, or its URL.
        model: Which of its models; by default the last one.
        dataset: What it was trained on, if `fit` was given it in memory.

    Raises:
        UserError: If the folder is no run, its checkpoint cannot be read, or the data
            are no longer those that it was trained on.
    """
    folder = run_path(run)
    config = on_one_device(read_config(folder))
    if config.task not in ("ranking", "rating"):
        raise UserError.field(
            str(folder),
            expected="a run that ranks items",
            got=f"one of the task {config.task}",
        )
    name = model or config.models[-1]
    if name not in config.models:
        raise UserError.field(
            "model", expected=f"one of {', '.join(config.models)}", got=repr(name)
        )
    check_source(folder, config)
    prepared = prepare(config, dataset=dataset)
    check_split(folder, config, data_hash=prepared.data_hash)
    return prepared, load_trained(name, prepared, folder=folder)


def model_version(prepared: Prepared, model: TrainedModel) -> str:
    """16 hex digits: the model, its parameters and the split it was trained on."""
    hasher = hashlib.sha256(prepared.data_hash.encode())
    hasher.update(model.name.encode())
    leaves, structure = jax.tree.flatten(model.params)
    hasher.update(str(structure).encode())
    for leaf in leaves:
        array = np.ascontiguousarray(leaf)
        hasher.update(f"{array.dtype}{array.shape}".encode())
        hasher.update(array.tobytes())
    return hasher.hexdigest()[:16]
