"""What `accelerator` measures of graphs: propagation, steps of training, ranking."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import fused_step, graphs, lightgcn_step, propagation, ranking, work
from benchmarks.harness import Case, System
from benchmarks.harness.system import OURS, Precision
from benchmarks.machine import Device

CUSPARSE = {"JAX_BCOO_CUSPARSE_LOWERING": "1"}
# Variant of ours -> backend and environment.
BACKENDS: dict[str, dict[str, tuple[str, Mapping[str, str]]]] = {
    "gpu": {
        "segment": ("segment", {}),
        "bucketed": ("bucketed", {}),
        "csr, cuSPARSE": ("csr", CUSPARSE),
    },
    "cpu": {"native": ("native", {}), "csr": ("csr", {})},
}
_GRAPH_TOLERANCE = 1e-4
# What follows the name of a product -> options of the step, the likely best first.
_STEP_PEERS: dict[str, dict[str, dict[str, Any]]] = {
    "gpu": {
        ", one CUDA graph": {"cuda_graph": True},
        "": {},
        ", torch.compile": {"compiled": True},
    },
    "cpu": {"": {}},
}


def propagation_cases(device: Device) -> list[Case]:
    """A power law in both precisions."""
    gpu = device.kind == "gpu"
    peers: Sequence[str] = ("csr", "bags")
    if gpu:
        peers = (
            *("csr", "bags", "edge_list_compiled", "coo", "segment_reduce"),
            *("edge_index_matmul", "lgconv_edge_index"),
        )
    # Of 8 M edges the table has 89 MB, which no cache of a GPU holds.
    edges = 8_000_000 if gpu else 200_000
    precisions: tuple[Precision, ...] = ("float32", "bfloat16")
    found = []
    for precision in precisions:
        systems = propagation.systems(
            precision,
            backends=(),
            peers=peers if precision == "float32" else ("csr", "bags"),
            jraph=gpu and precision == "float32",
        )
        found.append(
            Case(
                size=f"power law, {edges / 1e6:.2g} M edges",
                precision=precision,
                unit="ms",
                inputs=propagation.power_law(edges // 23, edges),
                systems=(
                    *_ours(
                        device,
                        setup="benchmarks.ours.propagation:setup",
                        options={"precision": precision},
                    ),
                    *without_tuned_malloc(systems),
                ),
                tolerance=_GRAPH_TOLERANCE if precision == "float32" else 2e-2,
                about=propagation.about,
                work=functools.partial(work.of_propagation, precision=precision),
            )
        )
    return found


def _pairs(gpu: bool) -> graphs.Interactions:
    """Of Gowalla's size on a GPU, of MovieLens-100K's on a CPU."""
    users, items, pairs = (29_858, 40_981, 810_128) if gpu else (943, 1_682, 100_000)
    return graphs.random_pairs(users, items, pairs, seed=0)


_PAIRS = "pairs as of {}, generated, batch {:,}"


def lightgcn_step_case(device: Device) -> Case:
    """Pairs of Gowalla's size."""
    gpu = device.kind == "gpu"
    batch = 2048 if gpu else 512
    peers: dict[tuple[str, str], dict[str, Any]] = {
        ("pytorch", f"{name}, own backward{suffix}"): {
            "propagation": f"{product}_own_backward",
            **options,
        }
        for suffix, options in _STEP_PEERS["gpu" if gpu else "cpu"].items()
        for name, product in (("CSR", "csr"), ("embedding_bag", "bags"))
    }
    peers["pytorch", "CSR"] = {"propagation": "csr"}
    if gpu:
        peers["pyg", "LightGCN edge_index"] = {"propagation": "pyg_edge_index"}
    setup = "benchmarks.torch_baseline.lightgcn_step:setup"
    setting = {**lightgcn_step.OURS, "batch_size": batch}
    return Case(
        size=_PAIRS.format("Gowalla" if gpu else "MovieLens-100K", batch),
        precision="float32",
        unit="ms",
        inputs=lightgcn_step.inputs_of(functools.partial(_pairs, gpu), setting),
        systems=(
            *_ours(
                device, setup="benchmarks.ours.lightgcn_step:setup", options=setting
            ),
            *(
                System(
                    system=system,
                    variant=variant,
                    setup=setup,
                    options={**lightgcn_step.SETTING, **options},
                )
                for (system, variant), options in peers.items()
            ),
        ),
        tolerance=_GRAPH_TOLERANCE,
        about=lightgcn_step.about,
        work=functools.partial(
            work.of_lightgcn_step, num_layers=lightgcn_step.SETTING["num_layers"]
        ),
    )


def fused_step_case(device: Device) -> Case:
    """The same pairs, against one another's items."""
    gpu = device.kind == "gpu"
    batch = 2048 if gpu else 256
    setting = {
        **fused_step.SETTING,
        "negatives": "in_batch",
        "batch_size": batch,
        "width": fused_step.WIDTH,
    }
    peers = {
        f"{name}, own backward{suffix}": {
            "propagation": f"{product}_own_backward",
            **options,
            **({"compiled": "all"} if options.get("compiled") else {}),
        }
        for suffix, options in _STEP_PEERS[device.kind].items()
        for name, product in (("CSR", "csr"), ("embedding_bag", "bags"))
    }
    setup = "benchmarks.torch_baseline.fused_step:setup"
    return Case(
        size=_PAIRS.format("Gowalla" if gpu else "MovieLens-100K", batch),
        precision="float32",
        unit="ms",
        inputs=fused_step.inputs_of(functools.partial(_pairs, gpu), setting),
        systems=(
            *_ours(device, setup="benchmarks.ours.fused_step:setup", options=setting),
            *(
                System(
                    system="pytorch",
                    variant=variant,
                    setup=setup,
                    options={**fused_step.SETTING, **options},
                )
                for variant, options in peers.items()
            ),
        ),
        tolerance=_GRAPH_TOLERANCE,
        about=fused_step.about,
        work=functools.partial(
            work.of_fused_step, num_layers=fused_step.SETTING["num_layers"]
        ),
    )


def ranking_cases(gpu: bool) -> list[Case]:
    """Catalogues of Gowalla's size, and of a million items."""
    sizes = (40_981, 1_000_000) if gpu else (10_000,)
    users = 8_192 if gpu else 256
    chunks = (512, 2048, 8192) if gpu else (128,)
    limits = {"rank_factors": {}, "rank_factors, 4 GiB": {"memory_limit_mb": 4096}}
    rows: list[tuple[str, str, str, dict[str, Any]]] = [
        (OURS, name, "ours.ranking:setup", options)
        for name, options in limits.items()
        if gpu or not options
    ]
    for chunk in chunks:
        rows.append(
            (
                "pytorch",
                f"slices, {chunk} a chunk",
                "torch_baseline.ranking:setup",
                {"chunk": chunk},
            )
        )
        rows.append(
            (
                "pytorch",
                f"slices, {chunk} a chunk, one buffer, blocks",
                "torch_baseline.ranking:setup",
                {"chunk": chunk, "buffer": True, "top": "blocks"},
            )
        )
    return [
        Case(
            size=f"{num_items:,} items",
            precision="float32",
            unit="users/s",
            inputs=ranking.catalogue(num_items, num_users=users),
            systems=tuple(
                System(
                    system=system,
                    variant=variant,
                    setup=f"benchmarks.{setup}",
                    options={"k": ranking.K, **options},
                )
                for system, variant, setup, options in rows
            ),
            tolerance=1e-5,
            about=ranking.about,
            work=functools.partial(work.of_ranking, k=ranking.K),
        )
        for num_items in sizes
    ]


def _ours(
    device: Device, *, setup: str, options: Mapping[str, Any]
) -> tuple[System, ...]:
    """A row for each backend of the device."""
    return tuple(
        System(
            system=OURS,
            variant=variant,
            setup=setup,
            options={**options, "backend": backend},
            environment=environment,
        )
        for variant, (backend, environment) in BACKENDS[device.kind].items()
    )


def without_tuned_malloc(systems: Sequence[System]) -> tuple[System, ...]:
    """Without those that differ by the host's allocator alone."""
    return tuple(one for one in systems if "tuned malloc" not in one.variant)
