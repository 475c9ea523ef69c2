"""Which axis of an array is cut over which devices."""

import pytest
from jax.sharding import AbstractMesh
from jax.sharding import PartitionSpec as P

from llmgnn_jax.parallel.rules import spread_of

LAYER = "params.text_encoder.layer_0."


@pytest.mark.parametrize(
    ("path", "shape", "replicated", "fully_sharded"),
    [
        # Matrices that are cut by column, and those that are cut by row.
        ("attention.query.kernel", (64, 64), P(None, "model"), P("data", "model")),
        ("attention.output.kernel", (64, 32), P("model"), P(("model", "data"), None)),
        # Axes that do not divide: another, or none.
        ("attention.output.kernel", (6, 64), P("model"), P("model", "data")),
        (
            "attention.query.kernel",
            (6, 64),
            P(None, "model"),
            P(None, ("model", "data")),
        ),
        ("attention.query.kernel", (6, 6), P(None, "model"), P(None, "model")),
        ("attention.query.kernel", (7, 7), P(None, None), P(None, None)),
        ("gate.lora_a", (64, 8), P(), P(("data", "model"), None)),
        ("gate.lora_b", (2, 64), P(None, "model"), P(None, ("model", "data"))),
        # Vectors.
        ("attention.query.bias", (64,), P("model"), P("model")),
        ("output_norm.scale", (64,), P(), P()),
        # Tables: of words by column.
        ("words", (64, 32), P("model"), P("model", "data")),
        ("words", (61, 32), P(None), P(None, ("data", "model"))),
        ("words", (64, 30), P("model"), P(("model", "data"), None)),
        ("positions", (64, 32), P(), P(("data", "model"), None)),
        ("positions", (12, 6), P(), P("data", None)),
        ("convolution_0.kernel", (3, 64, 32), P(), P(None, ("data", "model"), None)),
    ],
)
def test_an_encoders_parameters(path, shape, replicated, fully_sharded):
    mesh = AbstractMesh((4, 2), ("data", "model"))
    for prefix in (LAYER, "opt_state.0.mu.text_encoder.", "encoder.frozen."):
        assert spread_of(prefix + path, shape, mesh) == replicated
        found = spread_of(prefix + path, shape, mesh, fully_sharded=True)
        assert found == fully_sharded


@pytest.mark.parametrize(
    "path", ["params.node_embedding", "params.fusion.kernel", "features.text.item_IT"]
)
def test_nothing_else_is_cut_otherwise(path):
    mesh = AbstractMesh((4, 2), ("data", "model"))
    one, other = (
        spread_of(path, (64, 32), mesh, fully_sharded=value) for value in (False, True)
    )
    assert one == other
