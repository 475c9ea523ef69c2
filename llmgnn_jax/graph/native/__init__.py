"""C++ kernels for CPUs: built where a compiler is, never required."""
