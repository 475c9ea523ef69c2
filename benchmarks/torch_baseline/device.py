"""Where torch computes, and how to wait for it."""

from collections.abc import Callable

import numpy as np
import torch

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def tensor(array: np.ndarray, dtype: torch.dtype | None = None) -> torch.Tensor:
    """A tensor of its own memory, on the device."""
    return torch.from_numpy(np.array(array)).to(DEVICE, dtype)


def numpy(tensor: torch.Tensor) -> np.ndarray:
    """(...) float32 on the host."""
    return tensor.detach().float().cpu().numpy()


def wait() -> None:
    """Returns when the device is done."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def peak_mb() -> Callable[[], float] | None:
    """What measures the accelerator's peak; None on a CPU."""
    if DEVICE.type != "cuda":
        return None
    return lambda: torch.cuda.max_memory_allocated() / 1e6
