"""What C++ kernels for CPUs share: built where a compiler is, never required."""
