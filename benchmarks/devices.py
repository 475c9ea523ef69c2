"""A training step of LightGCN on 1, 2, 4 and 8 devices that share this CPU's cores.

    python -m benchmarks.devices --rounds 3 --json benchmarks/results/devices.json

Gowalla in the published setting, table and edges in pieces, the batch in rows; each way
of exchanging node vectors. The devices are XLA's, of one CPU: all of them together have
the cores that one has alone. So the curve says what it costs to cut a step into pieces,
and nothing of how much faster several chips would be. Losses and gradients are the same
on any number of devices: that is the parity here. There are no peers.

Beside the JSON file goes a plot of the same name, .svg.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import graphs
from benchmarks.harness import Case, System, main
from benchmarks.harness.system import Inputs
from benchmarks.plot import Line, chart
from benchmarks.propagation import about

DEVICES = (2, 4, 8)
EXCHANGES = ("all_gather", "ring", "all_to_all")


def environment(devices: int) -> dict[str, str]:
    """What a worker with so many devices of a CPU starts with."""
    return {
        "JAX_PLATFORMS": "cpu",
        # One exchange after another: otherwise devices that share few cores may each
        # wait in another one for ever.
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices} "
        "--xla_cpu_enable_concurrency_optimized_scheduler=false",
        # XLA's threads, bound to the cores of the other workers: with fewer than a
        # collective has devices, it would wait for ever.
        "NPROC": "256",
    }


def systems(source: str = "gowalla", backend: str = "native") -> tuple[System, ...]:
    """One device as every benchmark runs it, and each exchange on several."""
    options = {"source": source, "backend": backend, "groups": max(DEVICES)}
    setup = "benchmarks.ours.devices:setup"
    one = System(
        system="llmgnn_jax",
        variant="1 device",
        setup=setup,
        options={**options, "exchange": EXCHANGES[0]},
        environment={"JAX_PLATFORMS": "cpu"},
    )
    several = [
        System(
            system="llmgnn_jax",
            variant=f"{devices} devices, {exchange}",
            setup=setup,
            options={**options, "exchange": exchange},
            environment=environment(devices),
        )
        for exchange in EXCHANGES
        for devices in DEVICES
    ]
    return (one, *several)


def inputs() -> Inputs:
    """The graph, for what is said of it; a run reads its files itself."""
    return graphs.gowalla().edges().arrays()


def cases(quick: bool) -> list[Case]:
    """Gowalla, float32; `--quick` measures less long."""
    return [
        Case(
            size="gowalla, batch 2048",
            precision="float32",
            unit="ms",
            inputs=inputs,
            systems=systems(),
            tolerance=2e-5,
            about=about,
        )
    ]


def finish(document: dict[str, Any], path: Path | None) -> None:
    """Plots milliseconds by devices."""
    if path is not None and len(document["rows"]) > 1:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".svg").write_text(picture(document), "utf-8")


def picture(document: Mapping[str, Any]) -> str:
    """Milliseconds of a step by number of devices, a line for each exchange."""
    points = {exchange: _points(document, exchange) for exchange in EXCHANGES}
    lines = [
        Line(name=exchange, points=where)
        for exchange, where in points.items()
        if len(where) > 1
    ]
    return chart(
        lines,
        title=f"A step on devices that share the cores of {document['device']}",
        x_label="devices",
        y_label="ms a step",
        x_ticks=sorted({x for line in lines for x, _ in line.points}),
    )


def table(document: Mapping[str, Any]) -> str:
    """How many times as long a step takes as on one device, in Markdown."""
    counts = sorted({row["notes"]["devices"] for row in document["rows"]})
    lines = [
        "| exchange |" + "".join(f" {count} |" for count in counts),
        "|---|" + "---:|" * len(counts),
    ]
    for exchange in EXCHANGES:
        taken = dict(_points(document, exchange))
        if 1 not in taken:
            continue
        cells = [f"{taken[n] / taken[1]:.2f}" if n in taken else "" for n in counts]
        lines.append(f"| {exchange} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n\nTimes as long as on one device, by devices."


def _points(document: Mapping[str, Any], exchange: str) -> list[tuple[float, float]]:
    """Devices and ms; one device exchanges nothing and is where each line begins."""
    return sorted(
        (row["notes"]["devices"], row["median"])
        for row in document["rows"]
        if row["notes"]["devices"] == 1 or row["notes"]["exchange"] == exchange
    )


if __name__ == "__main__":
    main("devices", cases, description=__doc__ or "", finish=finish, more=table)
