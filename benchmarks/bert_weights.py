"""Random weights of a BERT for both sides, by Hugging Face's names, in its layout.

Shapes: D width, F width of the feed-forward layer, V vocabulary, P positions, R rank of
an adapter.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from benchmarks.harness.system import Precision

# A bias of all keys changes no softmax: its gradient is 0 but for rounding, and is
# compared at the scale of the queries' biases.
_KEY, _QUERY = "attention.self.key.bias", "attention.self.query.bias"
# Sums over all tokens of a batch, which PyTorch's LayerNorm and embedding with bfloat16
# weights add up in bfloat16: they come out wrong by up to twice their size.
_ROUGH = ("LayerNorm.bias", "token_type_embeddings.weight")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
    """Of a BERT, by the names of Hugging Face's config.json."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int = 512


# all-MiniLM-L6-v2: 22.6 M parameters.
MINILM = Shape(
    vocab_size=30_522,
    hidden_size=384,
    num_hidden_layers=6,
    num_attention_heads=12,
    intermediate_size=1536,
)


def random_weights(shape: Shape, *, seed: int) -> dict[str, np.ndarray]:
    """Kernels and words normal with standard deviation 0.02, norms 1, biases 0.

    Positions and types, which all texts share, are a tenth of that, as in trained
    models they are small beside the words: else the vectors of all texts are nearly
    one, and gradients differences of numbers that are nearly equal.

    Returns:
        Hugging Face's name -> float32; kernels are (outputs, inputs).
    """
    rng = np.random.default_rng(seed)
    dim, wide = shape.hidden_size, shape.intermediate_size
    weights = {}

    def table(rows: int, columns: int) -> np.ndarray:
        return np.float32(0.02) * rng.standard_normal((rows, columns), np.float32)

    def norm(name: str) -> None:
        weights[f"{name}.weight"] = np.ones(dim, np.float32)
        weights[f"{name}.bias"] = np.zeros(dim, np.float32)

    for name, rows, scale in (
        ("word", shape.vocab_size, 1.0),
        ("position", shape.max_position_embeddings, 0.1),
        ("token_type", 2, 0.1),
    ):
        weights[f"embeddings.{name}_embeddings.weight"] = np.float32(scale) * table(
            rows, dim
        )
    norm("embeddings.LayerNorm")
    dense = {
        **{f"attention.self.{name}": (dim, dim) for name in ("query", "key", "value")},
        "attention.output.dense": (dim, dim),
        "intermediate.dense": (wide, dim),
        "output.dense": (dim, wide),
    }
    for number in range(shape.num_hidden_layers):
        layer = f"encoder.layer.{number}"
        for name, (outputs, inputs) in dense.items():
            weights[f"{layer}.{name}.weight"] = table(outputs, inputs)
            weights[f"{layer}.{name}.bias"] = np.zeros(outputs, np.float32)
        norm(f"{layer}.attention.output.LayerNorm")
        norm(f"{layer}.output.LayerNorm")
    return weights


def random_adapters(shape: Shape, *, rank: int, seed: int) -> dict[str, np.ndarray]:
    """Adapters on queries and values that have been trained a little.

    B is not 0, as it is at first: the gradient of A would be.

    Returns:
        "LAYER.query.a" -> (D, R) and "LAYER.query.b" -> (R, D), and of the values.
    """
    rng = np.random.default_rng(seed)
    dim = shape.hidden_size
    found = {}
    for number in range(shape.num_hidden_layers):
        for target in ("query", "value"):
            low = rng.uniform(-(dim**-0.5), dim**-0.5, (dim, rank))
            high = 0.02 * rng.standard_normal((rank, dim))
            found[f"{number}.{target}.a"] = low.astype(np.float32)
            found[f"{number}.{target}.b"] = high.astype(np.float32)
    return found


def with_prefix(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Names that tell weights, adapters and gradients apart."""
    return {prefix + name: array for name, array in arrays.items()}


def without_prefix(
    inputs: Mapping[str, np.ndarray], prefix: str
) -> dict[str, np.ndarray]:
    """Those of the arrays whose names begin so, by the rest of their names."""
    return {
        name.removeprefix(prefix): array
        for name, array in inputs.items()
        if name.startswith(prefix)
    }


def for_parity(
    gradients: Mapping[str, np.ndarray], *, precision: Precision
) -> dict[str, np.ndarray]:
    """Gradients by Hugging Face's names, none of them 0 throughout.

    All in float32; in bfloat16 those that every side computes to a tenth.
    """
    rough = precision == "bfloat16"
    found = {
        name: array
        for name, array in gradients.items()
        if not (rough and name.endswith(_ROUGH))
    }
    for name in list(found):
        if name.endswith(_KEY):
            query = name.replace(_KEY, _QUERY)
            both = np.stack([found.pop(query), found.pop(name)])
            found[name.replace("key.bias", "query_and_key.bias")] = both
    return with_prefix(found, "gradient.")
