"""Whole training steps, compiled for eight TPUs that are not here."""

import re

import pytest

from llmgnn_jax import recipes
from llmgnn_jax.config import replace, to_json
from llmgnn_jax.errors import UserError
from llmgnn_jax.planning.plan import Request
from llmgnn_jax.planning.process import _with_libtpu, plan_apart

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NODES, EDGES, CHIPS = 1_000_000, 10_000_000, 8
STEP = {
    "models": ("fused",),
    "graph.num_layers": 2,
    "train.negatives": "uniform",
    "train.num_negatives": 256,
    "train.batch_size": 2048,
    "train.examples": "users",
}


@pytest.fixture(scope="module")
def plan(tiny_encoder):
    """(fields changed, topology) -> a plan of the fused step with a small BERT."""
    try:
        _with_libtpu()
    except UserError:
        pytest.skip("libtpu is out of reach")

    def make(topology="v5e:2x4", **changes):
        config = replace(
            recipes.recipe("ml-100k"),
            **{**STEP, "text.encoder": str(tiny_encoder), **changes},
        )
        asked = Request(
            config=to_json(config), topology=topology, nodes=NODES, edges=EDGES
        )
        with pytest.MonkeyPatch.context() as monkeypatch:
            # As compiled elsewhere, and now: what the tests set is for CPUs.
            for name in ("XLA_FLAGS", "JAX_COMPILATION_CACHE_DIR"):
                monkeypatch.delenv(name, raising=False)
            return plan_apart(asked)

    return make


@pytest.mark.parametrize(
    "changes",
    [
        {"parallel.exchange": "ring"},
        {"parallel.exchange": "all_to_all"},
        {"graph.fanouts": (10, 5), "text.mode": "full"},
        {"graph.fanouts": (10, 5), "text.mode": "lora", "graph.layer": "gcn"},
        {"graph.fanouts": (10, 5), "text.mode": "full", "parallel.model": 2},
        {
            "graph.fanouts": (10, 5),
            "text.mode": "full",
            "parallel.parameters": "fsdp",
        },
    ],
    ids=lambda changes: " ".join(map(str, changes.values())),
)
def test_no_chip_is_given_the_whole_table(plan, changes):
    found = plan(**changes)
    assert found["fits"] is True
    assert found["chips"] == CHIPS
    assert found["gathers_table"] is False
    # Nor anything near it: a tenth, in whatever shape.
    table = NODES * found["width"] * 4
    gathered = found["collectives"].get("all-gather", {"largest": 0})
    assert gathered["largest"] < table / 10
    # A piece of the table and two of its moments.
    encoder = found["arrays"]["parameters"] - table / CHIPS
    assert 0 < encoder < 2**20
    assert found["flops"] > 0
    assert found["roofline"]["step_s"] > 0


def test_layers_are_gathered_and_their_gradients_summed_in_pieces(plan):
    """Of a BERT of two layers, whose matrices take 32 KiB each."""
    found = plan(
        **{
            "models": ("text",),
            "text.mode": "full",
            "text.remat": "dots",
            "parallel.parameters": "fsdp",
        }
    )
    away, layers = (CHIPS - 1) / CHIPS, 2 * 4 * (4 * 32 * 32 + 2 * 32 * 64)
    # Forward and backward; and the table of 256 positions.
    gathered = found["collectives"]["all-gather"]
    assert gathered["bytes"] >= away * (2 * layers + 4 * 256 * 32)
    assert found["collectives"]["reduce-scatter"]["bytes"] >= away * layers


def test_it_is_seen_where_one_is(plan):
    found = plan(**{"parallel.exchange": "all_gather"})
    assert found["gathers_table"] is True
    assert found["collectives"]["all-gather"]["largest"] >= NODES * found["width"] * 4


def test_what_does_not_fit_says_why(plan):
    found = plan(**{"graph.embedding_dim": 4096, "parallel.exchange": "ring"})
    assert found["fits"] is False
    assert re.search(r"GiB of 16.00 GiB a chip|no room", found["because"])


def test_rings_send_all_rows_round(plan):
    found = plan(**{"models": ("graph",), "parallel.exchange": "ring"})
    rows = found["cut"]["nodes"] * found["width"] * 4
    # Two layers, there and back, in seven rounds each.
    expected = 4 * (CHIPS - 1) * rows
    assert found["collectives"]["collective-permute"]["bytes"] == pytest.approx(
        expected, rel=0.02
    )


def test_an_unknown_shape_is_one_line(plan):
    with pytest.raises(UserError, match="--topology: expected one that libtpu knows"):
        plan(topology="v5e:3x5x7")
