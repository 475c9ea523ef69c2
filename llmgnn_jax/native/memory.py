"""The C library's memory, told to keep what is freed.

On a CPU an XLA program asks for all of its temporaries at once, hundreds of megabytes
in a training step, and gives them back at its end. glibc maps so large a block anew
each time, and every page of it faults and is cleared: 13 % of a step of MiniLM.
"""

import ctypes
import os
import platform

# glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8

_SET_BY_USERS = ("GLIBC_TUNABLES", "LD_PRELOAD")


def keep_freed_memory() -> bool:
    """Large blocks come from one heap, which does not shrink, and are used again.

    To be called before JAX starts its threads: those that allocate from a heap of their
    own have large blocks mapped. The memory that a process holds is what it held at
    most. `LLMGNN_MALLOC=0` in the environment leaves things as they are, as do settings
    of the allocator by `MALLOC_...`, `GLIBC_TUNABLES` or `LD_PRELOAD`.

    Returns:
        Whether it was set; False without glibc.
    """
    if platform.libc_ver()[0] != "glibc" or os.environ.get("LLMGNN_MALLOC") == "0":
        return False
    if any(name in _SET_BY_USERS or name.startswith("MALLOC_") for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    # A threshold of -1: never. No maps at all: also of blocks above any threshold.
    settings = ((_TRIM_THRESHOLD, -1), (_MMAP_MAX, 0), (_ARENA_MAX, 1))
    return all([mallopt(name, value) == 1 for name, value in settings])
