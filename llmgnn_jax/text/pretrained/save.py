"""An encoder to a folder in Hugging Face's layout."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from llmgnn_jax.text.encoders.model import EncoderConfig, Params
from llmgnn_jax.text.parameters import flat
from llmgnn_jax.text.pretrained.families import family_of
from llmgnn_jax.text.pretrained.load import CONFIG, transposed
from llmgnn_jax.text.pretrained.tensors import WEIGHTS


def save_encoder(folder: Path, *, params: Params, config: EncoderConfig) -> None:
    """Writes config.json and model.safetensors, which transformers loads.

    Args:
        folder: Made if absent; the two files are replaced, each when it is whole.
        params: The encoder's parameters; adapters must be merged first.
        config: Its shape.
    """
    arrays = flat(params)
    names = family_of(config).names(config)
    assert names.keys() == arrays.keys(), "the encoder's parameters and no adapters"
    write_tensors(
        folder / WEIGHTS,
        {
            theirs: transposed(ours, np.asarray(arrays[ours]))
            for ours, theirs in names.items()
        },
    )
    write_json(folder / CONFIG, config.to_values())


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes a safetensors file; what was there is replaced when it is whole.

    Raises:
        OSError: If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        safetensors.numpy.save_file(
            dict(tensors), unfinished, metadata={"format": "pt"}
        )
        unfinished.replace(path)
    except safetensors.SafetensorError as error:
        # What the library makes of a full disk or a folder that may not be written.
        raise OSError(str(error)) from error
    finally:
        unfinished.unlink(missing_ok=True)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Writes a JSON file; what was there is replaced when it is whole."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(json.dumps(values, indent=2) + "\n", "utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
