"""Calls of the kernels of ranking from the host, through `ctypes`."""

import ctypes
import functools
import os
from typing import Any

import numpy as np

from llmgnn_jax.evaluation.native import library

# Of the kernels' arguments: "p" is an address, "i" a number of 64 bits.
_SIGNATURES = {
    "LlmgnnSketch": "piii" + "pppppp",
    "LlmgnnBestItems": "ppi" + "ppp" + "pii" + "pppppp" + "ii" + "ipp",
    "LlmgnnQueryBytes": "",
    "LlmgnnQuery": "p" + "ppp" + "pii" + "pppppp" + "p",
    "LlmgnnBestOfUser": "piiip",
}
_TYPES = {"p": ctypes.c_void_p, "i": ctypes.c_int64}
NO_MEMORY = 2


def call(name: str, *arguments: int | None) -> int:
    """What a kernel returns.

    Raises:
        MemoryError: If it had none.
    """
    status = kernel(name)(*arguments)
    if status == NO_MEMORY:
        raise MemoryError(f"{name} had no memory: fewer users at a time need less")
    return int(status)


@functools.cache
def kernel(name: str) -> Any:
    found = library.function(name)
    found.restype = ctypes.c_int64
    found.argtypes = [_TYPES[letter] for letter in _SIGNATURES[name]]
    return found


def address(array: np.ndarray) -> int:
    """Where an array's memory begins; its owner is to live as long as it is used."""
    assert array.flags.c_contiguous
    return array.__array_interface__["data"][0]


@functools.cache
def threads() -> int:
    """As many as XLA has: the cores that this process may use, or `NPROC`."""
    if (told := os.environ.get("NPROC", "")).isdigit():
        return max(1, int(told))
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
