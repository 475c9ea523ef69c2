"""Tensors and arrays of any library to NumPy, without importing that library."""

from typing import Any

import numpy as np


def as_numpy(value: Any) -> np.ndarray:
    """The values of a NumPy, JAX or PyTorch array: on the host, dense, no gradient."""
    if hasattr(value, "detach"):
        value = value.detach()
        if str(value.layout) != "torch.strided":
            value = value.to_dense()
        # NumPy has no such type.
        if str(value.dtype) == "torch.bfloat16":
            value = value.float()
        value = value.cpu()
    return np.asarray(value)
