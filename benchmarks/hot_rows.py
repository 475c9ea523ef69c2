"""What devices ask of one another where neighbours are drawn, and how to send less.

    python -m benchmarks.hot_rows --json benchmarks/results/hot_rows.json

No device is needed: trees are drawn on the host, for the seeds of each device, and the
rows that they name are counted. Bytes are those that one device sends in a step, row
vectors forward and their gradients backward, width 64, float32, padding included; and
those by which one propagation over the whole graph exchanges its halo.

What is compared, all of it without loss in the steps that were drawn:

* `by requests`: a place for each request, times 2;
* `by rows`: a place for each row that is expected to be asked for, times 1.25: what a
  run does (`parallel.popularity`, `parallel.row_slack`);
* `largest`: as many places as the largest message took: a bound that nobody knows
  beforehand;
* `hot`: the same, and the hottest rows on every device, brought by one all-gather whose
  backward pass is a reduce-scatter, instead of asked for;
* `each`: the largest message if a row were sent once for each request.
"""

import argparse
import datetime
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.graphs import Interactions, gowalla
from llmgnn_jax.data import catalog
from llmgnn_jax.data.splits import split_by_rule
from llmgnn_jax.graph.node_layout import NodeLayout, balanced_order
from llmgnn_jax.graph.sampling import SampleTable, sample_tree
from llmgnn_jax.parallel.popularity import Popularity
from llmgnn_jax.parallel.routes import Reach
from llmgnn_jax.planning.degrees import LAWS, Degrees

GROUPS, WIDTH, SLACK = 64, 64, 2.0
NEGATIVES, STEPS = 1024, 2
DEVICES = (8, 64)
FANOUTS = ((10, 10), (5, 5))
BATCHES = (1024, 8192)
HOT = (0.001, 0.01, 0.05)
# What goes with a row beside it: that it is asked for, and its degree.
_ASKED, _DEGREE = 4, 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Dealt:
    """A graph whose nodes are dealt to groups by degree, as a run deals them.

    Attributes:
        name: Of the graph.
        layout: Where users and items stand.
        table: Their neighbours.
        degrees: (N,) int64.
        users: How many.
        items: How many.
    """

    name: str
    layout: NodeLayout
    table: SampleTable
    degrees: np.ndarray
    users: int
    items: int


def ml100k() -> Interactions:
    """The train part of MovieLens-100K."""
    dataset = catalog.load("ml-100k")
    split = split_by_rule(dataset, rule="random", seed=0, valid_share=0.1)
    pairs = split.training().csr()
    return Interactions(
        num_users=dataset.num_users,
        num_items=dataset.num_items,
        users=np.repeat(np.arange(pairs.num_rows, dtype=np.int32), pairs.counts()),
        items=pairs.indices,
    )


def by_law(interactions: int) -> Interactions:
    """Drawn by the law of Gowalla's degrees, as many to a node as there."""
    law, rng = LAWS["gowalla"], np.random.default_rng(0)
    nodes = round(interactions / 11.44)
    users = round(nodes * law.user_share)
    sides = []
    for count, of in ((users, law.users), (nodes - users, law.items)):
        degrees = Degrees(count=count, edges=interactions, law=of).at(np.arange(count))
        # Each node as often as its degree says, in any order: few pairs come twice.
        cumulative = np.cumsum(degrees)
        at = (np.arange(interactions) + 0.5) * cumulative[-1] / interactions
        ends = np.minimum(np.searchsorted(cumulative, at), count - 1)
        sides.append(rng.permutation(ends.astype(np.int64)))
    pairs = np.unique(sides[0] * (nodes - users) + sides[1])
    found_users, found_items = np.divmod(pairs, nodes - users)
    return Interactions(
        num_users=users,
        num_items=nodes - users,
        users=found_users.astype(np.int32),
        items=found_items.astype(np.int32),
    )


def dealt(name: str, pairs: Interactions) -> Dealt:
    """Deals users and items to groups by degree, and lays their edges out."""
    layout = NodeLayout.holding(
        users=pairs.num_users, items=pairs.num_items, groups=GROUPS
    )
    ends = []
    for numbers, count, capacity, nodes_of in (
        (pairs.users, pairs.num_users, layout.user_capacity, layout.user_nodes),
        (pairs.items, pairs.num_items, layout.item_capacity, layout.item_nodes),
    ):
        degrees = np.bincount(numbers, minlength=count)
        slot = np.empty(count, np.int64)
        order = balanced_order(degrees, capacity=capacity, groups=GROUPS)
        slot[order] = np.arange(count)
        ends.append(nodes_of(slot[numbers]))
    senders, receivers = np.concatenate(ends), np.concatenate(ends[::-1])
    order = np.argsort(receivers, kind="stable")
    degrees = np.bincount(receivers, minlength=layout.num_nodes)
    indptr = np.concatenate([[0], np.cumsum(degrees)])
    return Dealt(
        name=name,
        layout=layout,
        table=SampleTable.of_rows(indptr, senders[order].astype(np.int32)),
        degrees=degrees,
        users=pairs.num_users,
        items=pairs.num_items,
    )


def hottest(graph: Dealt, share: float) -> np.ndarray:
    """(N,) bool: the first slots of both sides in each group, about so many rows."""
    layout, count = graph.layout, round(share * (graph.users + graph.items))
    first = np.argsort(-graph.degrees, kind="stable")[:count]
    chosen = np.zeros(layout.num_nodes, bool)
    chosen[first] = True
    users, items = (
        side.reshape(GROUPS, -1) for side in layout.split(np.arange(len(chosen)))
    )
    hot = np.zeros(layout.num_nodes, bool)
    for side in (users, items):
        # As many in each group: a place that is known without looking.
        hot[side[:, : math.ceil(chosen[side].sum() / GROUPS)]] = True
    return hot


def seeds_of(graph: Dealt, batch: int, rng: np.random.Generator) -> np.ndarray:
    """A step's users, one item of each, and the negatives that all rows share."""
    layout, indptr = graph.layout, graph.table.indptr
    nodes = layout.user_nodes(np.arange(graph.users))
    active = nodes[graph.degrees[nodes] > 0]
    users = rng.choice(active, batch)
    place = (rng.random(batch) * graph.degrees[users]).astype(np.int64)
    items = np.asarray(graph.table.neighbours)[np.asarray(indptr)[users] + place]
    negatives = layout.item_nodes(rng.integers(0, graph.items, NEGATIVES))
    return np.concatenate([users, items, negatives]).astype(np.int32)


def sampled(
    graph: Dealt, *, devices: int, fanouts: tuple[int, ...], batch: int
) -> dict[str, Any]:
    """What one device sends in a step, by each way."""
    rng = np.random.default_rng(1)
    num_nodes = graph.layout.num_nodes
    size = num_nodes // devices
    hot = {share: hottest(graph, share) for share in HOT}
    layers: list[int] = [0] * len(fanouts)
    popularity = Popularity.of(*graph.layout.split(graph.degrees))
    # The largest message: of each request, of each row, of each row that is not hot.
    most = dict.fromkeys(["each", "rows", *HOT], 0)
    asked_hot = dict.fromkeys(HOT, 0)
    requests = different = places = 0
    for step in range(STEPS):
        seeds = seeds_of(graph, batch, rng)
        own = -(-len(seeds) // devices)
        for device in range(devices):
            rows = np.arange(device * own, min((device + 1) * own, len(seeds)))
            tree = sample_tree(
                jax.random.key(step),
                graph.table,
                seeds[rows],
                fanouts=fanouts,
                rows_B=rows.astype(np.int32),
            )
            asked = [seeds[rows], *(hop.nodes[hop.mask] for hop in tree.hops[:-1])]
            for hop, parents in enumerate(asked):
                layers[hop] = max(layers[hop], _largest(parents, size, devices))
            ids = np.asarray(tree.node_ids)[np.asarray(tree.node_mask)]
            distinct = np.unique(ids)
            requests, different = requests + len(ids), different + len(distinct)
            most["each"] = max(most["each"], _largest(ids, size, devices))
            most["rows"] = max(most["rows"], _largest(distinct, size, devices))
            for share, chosen in hot.items():
                asked_hot[share] += int(chosen[ids].sum())
                cold = distinct[~chosen[distinct]]
                most[share] = max(most[share], _largest(cold, size, devices))
            places = own * sum(np.cumprod([1, *fanouts]).tolist())
    reach = Reach(axes=("data",), shares=devices, slack=SLACK)
    expected = popularity.distinct(own, fanouts)
    by_rows = reach.row_places(places, size=size, expected=expected)
    sent = {
        "by requests": _vectors(reach.places(places), devices),
        "by rows": _vectors(by_rows, devices),
        "largest": _vectors(most["rows"], devices),
        "each": _vectors(most["each"], devices),
    }
    for share, chosen in hot.items():
        gathered = _gathered(int(chosen.sum()), devices)
        sent[f"hot {share:.1%}"] = _vectors(most[share], devices) + gathered
    parents_W = np.cumprod([own, *fanouts]).tolist()[:-1]
    draws = sum(
        # Asked, told of seed, place and truth; answered.
        (devices - 1) * reach.places(parents) * 4 * (1 + 3 + fanout)
        for parents, fanout in zip(parents_W, fanouts, strict=True)
    )
    number = STEPS * devices
    return {
        "kind": "sampled",
        "graph": graph.name,
        "devices": devices,
        "fanouts": list(fanouts),
        "batch": batch,
        "requests": requests / number,
        "different": different / number,
        "expected": expected,
        "places": by_rows,
        "needed": most["rows"],
        "of_hot": {f"{share:.1%}": asked_hot[share] / requests for share in HOT},
        "draws": [
            {"places": reach.places(parents), "needed": needed}
            for parents, needed in zip(parents_W, layers, strict=True)
        ],
        "draws_bytes": draws,
        "bytes": sent,
    }


def whole(graph: Dealt, *, devices: int) -> dict[str, Any]:
    """What one device sends in one propagation over the whole graph, one way."""
    num_nodes = graph.layout.num_nodes
    size = num_nodes // devices
    receivers = np.repeat(np.arange(num_nodes), graph.degrees)
    senders = np.asarray(graph.table.neighbours).astype(np.int64)
    pairs = np.unique(receivers // size * num_nodes + senders)
    to, node = pairs // num_nodes, pairs % num_nodes
    away = to != node // size
    to, node = to[away], node[away]

    def message(chosen: np.ndarray) -> tuple[int, float]:
        counts = np.bincount(
            to[chosen] * devices + node[chosen] // size, minlength=devices**2
        ).reshape(devices, devices)
        return int(counts.max()), float(counts.sum() / (devices * (devices - 1)))

    row = 4 * WIDTH
    largest, mean = message(np.ones(len(node), bool))
    sent = {
        "whole table": (devices - 1) * size * row,
        "all_to_all": (devices - 1) * largest * row,
        "without padding": (devices - 1) * mean * row,
    }
    for share in HOT:
        chosen = hottest(graph, share)
        rest, _ = message(~chosen[node])
        gathered = (devices - 1) * math.ceil(int(chosen.sum()) / devices)
        sent[f"hot {share:.1%}"] = ((devices - 1) * rest + gathered) * row
    return {
        "kind": "whole graph",
        "graph": graph.name,
        "devices": devices,
        "bytes": sent,
    }


def _largest(nodes: np.ndarray, size: int, devices: int) -> int:
    return int(np.bincount(nodes // size, minlength=devices).max())


def _vectors(places: int, devices: int) -> float:
    """Asked for, and sent forward with its degree, and its gradient back."""
    return float((devices - 1) * places * (2 * 4 * WIDTH + _ASKED + _DEGREE))


def _gathered(rows: int, devices: int) -> float:
    """All-gather of rows and degrees, reduce-scatter of the gradient."""
    each = math.ceil(rows / devices)
    return float((devices - 1) * each * (2 * 4 * WIDTH + _DEGREE))


def tables(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    hot = [f"{share:.1%}" for share in HOT]
    lines = [
        "| graph | devices | fan-outs | batch | requests a device | different rows | "
        f"to the hottest {', '.join(hot)} | by requests | by rows | largest | hot "
        f"{', '.join(hot)} | each |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        if row["kind"] != "sampled":
            continue
        sent = row["bytes"]
        cells = [
            row["graph"],
            str(row["devices"]),
            " x ".join(map(str, row["fanouts"])),
            f"{row['batch']:,}",
            f"{row['requests']:,.0f}",
            f"{row['different'] / row['requests']:.0%}",
            ", ".join(f"{row['of_hot'][share]:.0%}" for share in hot),
            *(_mib(sent[name]) for name in ("by requests", "by rows", "largest")),
            ", ".join(_mib(sent[f"hot {share}"]) for share in hot),
            _mib(sent["each"]),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        "| graph | devices | whole table | all_to_all | of it padding | hot "
        f"{', '.join(hot)} |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        if row["kind"] == "sampled":
            continue
        sent = row["bytes"]
        padding = 1 - sent["without padding"] / sent["all_to_all"]
        cells = [
            row["graph"],
            str(row["devices"]),
            _mib(sent["whole table"]),
            _mib(sent["all_to_all"]),
            f"{padding:.1%}",
            ", ".join(_mib(sent[f"hot {share}"]) for share in hot),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _mib(size: float) -> str:
    return f"{size / 2**20:.3g}"


def main() -> None:
    """Counts all, writes after each graph."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", metavar="FILE", type=Path)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    graphs = {
        "ML-100K": ml100k,
        "Gowalla": gowalla,
        "law, 1 M": lambda: by_law(10**6),
        "law, 10 M": lambda: by_law(10**7),
    }
    for name, read in graphs.items():
        graph = dealt(name, read())
        for devices in DEVICES:
            rows.append(whole(graph, devices=devices))
            for fanouts in FANOUTS:
                for batch in BATCHES:
                    rows.append(
                        sampled(graph, devices=devices, fanouts=fanouts, batch=batch)
                    )
        print(name, flush=True)
        if options.json:
            document = {
                "name": "hot_rows",
                "width": WIDTH,
                "slack": SLACK,
                "row_slack": Reach.row_slack,
                "negatives": NEGATIVES,
                "rows": rows,
                "command": f"python -m benchmarks.hot_rows --json {options.json}",
                "date": datetime.date.today().isoformat(),
            }
            options.json.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    print("\n" + tables(rows) + "\n\nMiB that one device sends.")


if __name__ == "__main__":
    main()
