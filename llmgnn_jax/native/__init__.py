"""What C++ kernels for CPUs share: built where a compiler is, never required."""

from llmgnn_jax.native.library import Library, NativeUnavailable

__all__ = ["Library", "NativeUnavailable"]
