"""The hash of parameters in memory, as `weights_hash` is that of files."""

import hashlib

import jax
import numpy as np

from llmgnn_jax.text.encoders.model import Params
from llmgnn_jax.text.lora import ADAPTER_LEAVES


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
    for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]:
        name = ".".join(key.key for key in path)
        if path[-1].key in ADAPTER_LEAVES:
            raise ValueError(f"params: expected no adapters (merge them), got {name}")
        array = np.asarray(leaf)
        digest.update(f"{name} {array.dtype} {array.shape};".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
