"""What a training step takes of each TPU, for graphs that no machine here holds.

    make setup-tpu
    python -m benchmarks.plan_scale --json docs/results/plan-scale.json

Plans (`llmgnn plan`) of 100 M nodes, 1 B interactions and of 1 B, 10 B, width 64,
on 64, 256 and 1,024 TPU v5p: LightGCN over the full graph by both exchanges that do
not gather the table, and the fused model with neighbours sampled 15 x 10 and MiniLM
trained. A table in Markdown and a plot beside the file.
"""

import argparse
import datetime
import json
from pathlib import Path
from typing import Any

from benchmarks.plot import Line, chart
from llmgnn_jax import recipes
from llmgnn_jax.config import replace, to_json
from llmgnn_jax.planning.plan import Request
from llmgnn_jax.planning.process import plan_apart

SIZES = ((10**8, 10**9), (10**9, 10**10))
TOPOLOGIES = ("v5p:4x4x4", "v5p:4x8x8", "v5p:8x8x16")
RECIPE = "ml-100k"
COMMON: dict[str, Any] = {
    "graph.num_layers": 2,
    "train.negatives": "uniform",
    "train.num_negatives": 1024,
    "train.batch_size": 8192,
    "train.examples": "users",
}
MODES: dict[str, dict[str, Any]] = {
    "ring": {"models": ("graph",), "parallel.exchange": "ring"},
    "all_to_all": {"models": ("graph",), "parallel.exchange": "all_to_all"},
    "sampled 15 x 10, text trained": {
        "models": ("fused",),
        "graph.fanouts": (15, 10),
        "text.mode": "full",
    },
}


def planned(nodes: int, edges: int, topology: str, mode: str) -> dict[str, Any]:
    """The document of one plan, with the name of its mode."""
    config = replace(recipes.recipe(RECIPE), **COMMON, **MODES[mode])
    request = Request(
        config=to_json(config), topology=topology, nodes=nodes, edges=edges
    )
    return {**plan_apart(request), "case": mode}


def table(plans: list[dict[str, Any]]) -> str:
    """Markdown, a row a plan."""
    lines = [
        "| nodes, interactions | step | chips | arrays | temporaries | in all | of a "
        "chip | sent a step | halo | padding: edges, halo | roofline |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in plans:
        size = f"{one['nodes'] / 1e6:g} M, {one['edges'] / 1e9:g} B"
        cut, used = one["cut"], one["bytes"]
        row = [size, one["case"], str(one["chips"])]
        if used is None:
            row += ["", "", "", "does not fit", "", "", "", ""]
        else:
            sent = sum(kind["bytes"] for kind in one["collectives"].values())
            halo = f"{cut['halo'] / cut['nodes']:.1%}"
            padding = (
                f"{cut['edges'] / cut['edges_mean'] - 1:.1%}, "
                f"{cut['halo'] / cut['halo_mean'] - 1:.1%}"
            )
            limit = one["chip"]["hbm_bytes"]
            share = f"{used['total'] / limit:.0%}"
            row += [
                _gib(used["arguments"]),
                _gib(used["temporaries"]),
                _gib(used["total"]),
                share if one["fits"] else f"**{share}**",
                _gib(sent),
                halo,
                padding,
                f"{one['roofline']['step_s'] * 1e3:.0f} ms",
            ]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def _gib(size: float) -> str:
    return f"{size / 2**30:.2f} GiB"


def _plot(plans: list[dict[str, Any]]) -> str:
    series: dict[str, list[tuple[float, float]]] = {}
    for one in plans:
        if one["bytes"] is not None:
            name = f"{one['nodes'] / 1e9:g} B nodes, {one['case'].split(',')[0]}"
            point = (one["chips"], one["bytes"]["total"] / 2**30)
            series.setdefault(name, []).append(point)
    lines = [Line(name=name, points=points) for name, points in series.items()]
    chips = sorted({one["chips"] for one in plans})
    limit = plans[0]["chip"]["hbm_bytes"] / 2**30
    memory = [(chip, limit) for chip in chips]
    lines.append(Line(name="a chip's memory", points=memory, dashed=True))
    return chart(
        lines,
        title="A training step on TPU v5p, width 64",
        x_label="chips",
        y_label="GiB a chip",
        x_ticks=chips,
    )


def main() -> None:
    """Plans all, writes after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", metavar="FILE", type=Path)
    options = parser.parse_args()
    plans: list[dict[str, Any]] = []
    for nodes, edges in SIZES:
        for mode in MODES:
            for topology in TOPOLOGIES:
                plans.append(planned(nodes, edges, topology, mode))
                print(
                    f"{nodes:,} nodes, {mode}, {topology}: {plans[-1]['because']}",
                    flush=True,
                )
                if options.json:
                    document = {
                        "name": "plan_scale",
                        "recipe": RECIPE,
                        "changed": {key: str(value) for key, value in COMMON.items()},
                        "plans": plans,
                        "command": "python -m benchmarks.plan_scale --json "
                        f"{options.json}",
                        "date": datetime.date.today().isoformat(),
                    }
                    text = json.dumps(document, indent=1) + "\n"
                    options.json.write_text(text, "utf-8")
    if options.json:
        options.json.with_suffix(".svg").write_text(_plot(plans), "utf-8")
    print("\n" + table(plans))


if __name__ == "__main__":
    main()
