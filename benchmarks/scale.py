"""One propagation from 1 M to 50 M edges, beside the bandwidth of random reads.

    python -m benchmarks.scale --json benchmarks/results/scale.json

Nodes are edges / 23, as in Gowalla; both ends of an edge are drawn by rank ** -0.8
(`benchmarks.graphs.power_law`), node numbers at random. Width 64, float32, forward.

The ceiling is measured at each table size on 2**21 rows that are drawn from the graph's
own senders, so with the same skew, in random order. It is the best of three: torch's
`index_select` and `jnp.take` (bytes read and written), and `embedding_bag` that adds up
256 rows at a time (bytes read; next to nothing is written). A propagation reads E rows
of 256 bytes; its edges' numbers and weights and the N rows that it writes are not
counted, so 100 % cannot be reached, but for rows that are found in the cache because a
graph's order is not as random as the probe's.

Beside the JSON file goes a plot of the same name, .svg.
"""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import graphs, propagation
from benchmarks.harness import Case, System, main
from benchmarks.harness.system import Inputs
from benchmarks.plot import Line, chart

EDGES_PER_NODE = 23
EDGES_M = (1, 2, 5, 10, 20, 50)
PROBES = 2**21
PEERS = ("csr", "csr_reduce", "bags")
BACKENDS = ("native", "csr")
_ROW_BYTES = propagation.WIDTH * 4


def inputs_of(edges_m: float) -> Inputs:
    """A power-law graph and the rows to probe."""
    num_edges = int(edges_m * 1e6)
    edges = graphs.power_law(num_edges // EDGES_PER_NODE, num_edges, seed=0)
    picks = np.random.default_rng(1).integers(0, num_edges, PROBES)
    return {**propagation.with_nodes(edges), "probe": edges.senders[picks]}


def gathers() -> tuple[System, ...]:
    """What the ceiling is measured with."""
    return (
        *(
            System(
                system="pytorch",
                variant=variant,
                setup="benchmarks.torch_baseline.gather:setup",
                options={"how": how},
                unit="GB/s",
            )
            for variant, how in (
                ("index_select, read and written", "copy"),
                ("embedding_bag of 256, read", "sum"),
            )
        ),
        System(
            system="jax",
            variant="jnp.take, read and written",
            setup="benchmarks.ours.gather:setup",
            unit="GB/s",
        ),
    )


def cases(quick: bool) -> Sequence[Case]:
    """For each size the propagation, and in the same rounds the ceiling."""
    return [
        Case(
            size=f"{edges_m} M edges",
            precision="float32",
            unit="ms",
            inputs=functools.partial(inputs_of, edges_m),
            systems=(
                *propagation.systems(
                    "float32", backends=BACKENDS, peers=PEERS, jraph=False
                ),
                *gathers(),
            ),
            tolerance=propagation.HUB_TOLERANCE,
            about=propagation.about,
        )
        for edges_m in (EDGES_M[:2] if quick else EDGES_M)
    ]


def finish(document: dict[str, Any], path: Path | None) -> None:
    """Adds nanoseconds an edge, shares of the ceiling and bytes an edge; plots them."""
    document["scale"] = [
        point
        for edges_m in EDGES_M
        if (point := _point(document["rows"], edges_m)) is not None
    ]
    if path is None or not document["scale"]:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".svg").write_text(picture(document), "utf-8")


def picture(document: Mapping[str, Any]) -> str:
    """Nanoseconds an edge by size, as an SVG document."""
    names = dict.fromkeys(
        name for point in document["scale"] for name in point["systems"]
    )
    lines = [
        Line(
            name=name,
            points=[
                (point["edges"], point["systems"][name]["ns_per_edge"])
                for point in document["scale"]
                if name in point["systems"]
            ],
        )
        for name in names
    ]
    ceiling = [
        (point["edges"], _ROW_BYTES / point["ceiling_gb_per_s"])
        for point in document["scale"]
    ]
    lines.append(Line(name="random rows, the ceiling", points=ceiling, dashed=True))
    title = f"Propagation, width {propagation.WIDTH}, float32, {document['device']}"
    return chart(lines, title=title, x_label="directed edges", y_label="ns an edge")


def _point(rows: Sequence[dict[str, Any]], edges_m: float) -> dict[str, Any] | None:
    size, edges = f"{edges_m} M edges", edges_m * 1e6
    timed = [row for row in rows if (row["size"], row["unit"]) == (size, "ms")]
    probed = [row for row in rows if (row["size"], row["unit"]) == (size, "GB/s")]
    if not timed or not probed:
        return None
    best = max(probed, key=lambda row: row["median"])
    systems = {}
    for row in timed:
        gb_per_s = edges * _ROW_BYTES / row["median"] / 1e6
        systems[f"{row['system']} {row['variant']}"] = {
            "ns_per_edge": row["median"] * 1e6 / edges,
            "gb_per_s": gb_per_s,
            "share_of_ceiling": gb_per_s / best["median"],
            "peak_bytes_per_edge": row["peak_mb"] * 1e6 / edges,
        }
    return {
        "edges": edges,
        "nodes": int(edges) // EDGES_PER_NODE,
        "ceiling_gb_per_s": best["median"],
        "ceiling_by": f"{best['system']} {best['variant']}",
        "systems": systems,
    }


def table(document: Mapping[str, Any]) -> str:
    """Nanoseconds an edge and shares of the ceiling, in Markdown."""
    lines = [
        "| edges | ceiling GB/s | system | ns an edge | GB/s | of the ceiling | peak "
        "bytes an edge |",
        "|---:|---:|---|---:|---:|---:|---:|",
    ]
    for point in document["scale"]:
        for name, held in point["systems"].items():
            lines.append(
                f"| {point['edges'] / 1e6:g} M | {point['ceiling_gb_per_s']:.1f} | "
                f"{name} | {held['ns_per_edge']:.2f} | {held['gb_per_s']:.1f} | "
                f"{held['share_of_ceiling']:.0%} | {held['peak_bytes_per_edge']:.0f} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main("scale", cases, description=__doc__ or "", finish=finish, more=table)
