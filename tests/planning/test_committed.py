"""The committed plans say what the documentation says of them."""

import json
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "docs" / "results" / "plan-scale.json"
CHIPS = (64, 256, 1024)


@pytest.fixture(scope="module")
def plans():
    found = json.loads(FILE.read_text("utf-8"))["plans"]
    return {(one["nodes"], one["case"], one["chips"]): one for one in found}


def of_a_chip(plan):
    return plan["bytes"]["total"]


@pytest.mark.parametrize("nodes", [10**8, 10**9])
def test_rings_take_their_share_of_a_chip(plans, nodes):
    first = of_a_chip(plans[nodes, "ring", 64])
    for chips in CHIPS:
        assert of_a_chip(plans[nodes, "ring", chips]) <= 1.15 * first * 64 / chips


def test_nothing_is_over_the_memory_of_1024_chips(plans):
    rows = [one for (_, _, chips), one in plans.items() if chips == 1024]
    assert len(rows) == 6
    for one in rows:
        assert one["fits"]
        assert of_a_chip(one) <= one["chip"]["hbm_bytes"]


def test_no_table_is_gathered(plans):
    assert {one["chips"] for one in plans.values()} == set(CHIPS)
    assert not [key for key, one in plans.items() if one.get("gathers_table")]


@pytest.mark.parametrize("kind", ["parameters", "optimizer", "edges"])
def test_what_is_in_pieces_is_an_even_share_and_its_padding(plans, kind):
    for (nodes, case, chips), one in plans.items():
        if case != "ring":
            continue  # Elsewhere there is what is asked of others, or an encoder.
        first = plans[nodes, case, 64]
        share = first["arrays"][kind] * 64 / chips
        if kind == "edges":
            # The largest block of one chip's edges from another is every block's size.
            share *= padding(one["cut"]) / padding(first["cut"])
        assert one["arrays"][kind] <= 1.01 * share


def padding(cut):
    return cut["block"] / cut["block_mean"]
