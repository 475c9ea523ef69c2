"""What is said of the rows of the generation benchmark."""

from benchmarks.generation import add_shares, extra


def row(system, size="batch 8", precision="float32", **values):
    return {"system": system, "variant": "v", "size": size, "precision": precision} | (
        values
    )


def test_shares_are_of_the_case_that_a_row_is_of():
    """A case's rows, those of another, and rows without notes: what reads has none."""
    document = {
        "rows": [
            row("reads", unit="GB/s", median=10.0),
            row("ours", unit="tokens/s", median=80.0, notes={"bytes_a_step": 5e8}),
            row("peer", unit="tokens/s", median=40.0),
            row("ours", "batch 1", unit="tokens/s", median=80.0),
        ]
    }
    add_shares(document, None)
    _, ours, peer, other = document["rows"]
    assert ours["gb_per_s"] == 5.0
    assert ours["share_of_reads"] == 0.5
    assert peer["share_of_reads"] == 0.25
    assert "gb_per_s" not in other
    assert extra(document).splitlines() == [
        "batch 8, float32, ours v: 5.0 GB/s of weights, 50% of reads",
        "batch 8, float32, peer v: 2.5 GB/s of weights, 25% of reads",
    ]
