"""Stock jraph on JAX: its layers and its segment sums, none of our kernels.

What a user of jraph has without this package.
"""
