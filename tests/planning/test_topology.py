"""What a topology may be called, and what happens to what is none."""

import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.planning.topology import parse_topology


@pytest.mark.parametrize(
    ("name", "kind", "chips"),
    [
        ("v5e:2x4", "v5e", 8),
        ("v5p:8x8x16", "v5p", 1024),
        ("cpu", "cpu", 1),
        ("cpu:8", "cpu", 8),
        ("gpu:4", "gpu", 4),
    ],
)
def test_names(name, kind, chips):
    found = parse_topology(name)
    assert (found.kind, found.chips) == (kind, chips)


@pytest.mark.parametrize(
    "name", ["v5e", "v5e:8", "v9:2x4", "cpu:x", "cpu:0", "", "v5p:2x"]
)
def test_none(name):
    with pytest.raises(UserError, match="--topology: expected KIND:SHAPE"):
        parse_topology(name)
