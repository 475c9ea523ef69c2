"""Peers in NumPy."""
