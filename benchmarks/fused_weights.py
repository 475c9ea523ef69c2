"""Random weights of the fused model for both sides, by our names.

Shapes: N nodes, T width of a text vector, D width of a side, M = 2 D.
"""

import numpy as np

# What is pulled to where it starts, `llmgnn_jax.models.fusion.ConcatFusion`.
FUSION = ("kernel", "bias", "output_kernel", "output_bias")


def random_weights(
    *, num_nodes: int, text_dim: int, dim: int, seed: int
) -> dict[str, np.ndarray]:
    """Weights as if trained a little: none is 0, nor is any gradient.

    Returns:
        Name -> float32, "fusion.kernel" for what is inside the fusion.
    """
    rng = np.random.default_rng(seed)

    def normal(*shape: int, scale: float) -> np.ndarray:
        return np.float32(scale) * rng.standard_normal(shape, np.float32)

    start = fusion_start(dim)
    return {
        "node_embedding": normal(num_nodes, dim, scale=0.1),
        "text_projection": normal(text_dim, dim, scale=text_dim**-0.5),
        "null_text": normal(dim, scale=0.1),
        "null_graph": normal(dim, scale=0.1),
        **{
            f"fusion.{name}": start[name] + normal(*start[name].shape, scale=0.01)
            for name in FUSION
        },
    }


def fusion_start(dim: int) -> dict[str, np.ndarray]:
    """Where `concat` with ReLU starts: W = [I, -I], W_y its transpose, no biases."""
    width = 2 * dim
    identity = np.eye(width, dtype=np.float32)
    kernel = np.concatenate([identity, -identity], axis=1)
    return {
        "kernel": kernel,
        "bias": np.zeros(2 * width, np.float32),
        "output_kernel": np.ascontiguousarray(kernel.T),
        "output_bias": np.zeros(width, np.float32),
    }
