"""The peers: PyTorch and PyTorch Geometric, each path as well as it can be written.

Nothing in the package imports this, or torch.
"""
