"""The hash of parameters in memory, as `weights_hash` is that of files."""

import hashlib

import numpy as np

from llmgnn_jax.text.encoders.model import Params
from llmgnn_jax.text.lora import ADAPTER_LEAVES
from llmgnn_jax.text.parameters import flat


def params_hash(params: Params) -> str:
    """Sha256 (hex) of the names, shapes, types and values of all parameters.

    For `TextEncoder(weights=...)` of an encoder that was trained here.

    Args:
        params: A nested dict of arrays, without adapters: merge them, since what they
            are scaled by is no parameter.

    Raises:
        ValueError: If there are adapters.
    """
    digest = hashlib.sha256()
    for name, leaf in flat(params).items():
        if name.rpartition(".")[2] in ADAPTER_LEAVES:
            raise ValueError(f"params: expected no adapters (merge them), got {name}")
        array = np.asarray(leaf)
        digest.update(f"{name} {array.dtype} {array.shape};".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
