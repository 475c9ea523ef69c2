"""Recommenders that fuse a graph neural network with a language model, in JAX."""

__version__ = "0.1.0"
