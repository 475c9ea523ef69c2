"""One training step of LightGCN at the size of Gowalla: propagation, BPR, Adam.

    python -m benchmarks.lightgcn_step --json benchmarks/results/lightgcn_step.json

The published setting: 3 layers, width 64, batch 2048, Adam at 1e-3, L2 1e-4 (He et al.
2020). Ours is the program that `train.py` runs, ten steps a call: it draws batches and
negatives on the device and looks up whether they are known positives. The peers are
given batches that were drawn beforehand, which favours them; RecBole's rows want an
interpreter that has it (`make setup-recbole`). Parity is that of the first step's
gradient and of the losses of ten steps, Adam between them.
"""

import functools
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import graphs, recbole_baseline
from benchmarks.harness import Case, System, main
from benchmarks.harness.allocator import KEEPS_MEMORY
from benchmarks.harness.system import Inputs
from benchmarks.work import of_lightgcn_step

WIDTH = 64
SETTING: dict[str, Any] = {"num_layers": 3, "learning_rate": 1e-3, "l2": 1e-4}
OURS = {**SETTING, "width": WIDTH, "batch_size": 2048}
TOLERANCE = 2e-5
OUR_ROWS = (
    ("native", "", {}),
    ("native", ", tuned malloc", KEEPS_MEMORY),
    ("csr", "", {}),
)
# System, variant -> options of `torch_baseline.lightgcn_step.setup`.
PEERS = {
    ("pytorch", "COO"): {"propagation": "coo"},
    ("pytorch", "CSR"): {"propagation": "csr"},
    ("pytorch", "CSR, own backward"): {"propagation": "csr_own_backward"},
    ("pytorch", "CSR sparse.mm sum, own backward"): {
        "propagation": "csr_reduce_own_backward"
    },
    ("pytorch", "embedding_bag, own backward"): {"propagation": "bags_own_backward"},
    ("pytorch", "embedding_bag, own backward, last layer of the batch"): {
        "propagation": "bags_batch_alone"
    },
    ("pytorch", "embedding_bag, own backward, foreach Adam"): {
        "propagation": "bags_own_backward",
        "adam": "foreach",
    },
    ("pytorch", "CSR, own backward, torch.compile"): {
        "propagation": "csr_own_backward",
        "compiled": True,
    },
    ("pytorch", "embedding_bag, own backward, torch.compile"): {
        "propagation": "bags_own_backward",
        "compiled": True,
    },
    ("pyg", "LightGCN SparseTensor"): {"propagation": "pyg_sparse_tensor"},
    ("pyg", "LightGCN edge_index"): {"propagation": "pyg_edge_index"},
}
# Variant -> options of `recbole_baseline.lightgcn_step.setup`.
RECBOLE = {
    "LightGCN": {},
    "LightGCN, CSR matrix, fused Adam": {"matrix": "csr", "adam": "fused"},
}
_SCALED = "GraphConvolution, scaled beforehand, sorted"
# Variant -> options of `jraph_baseline.lightgcn_step.setup`.
JRAPH = {
    "GraphNetwork": {"layer": "GraphNetwork"},
    "GraphConvolution": {"layer": "GraphConvolution"},
    _SCALED: {"layer": _SCALED},
    f"{_SCALED}, own backward": {"layer": _SCALED, "backward": "own"},
}
# Large temporaries: once more with an allocator that keeps what is freed.
KEEPING = (
    ("pytorch", "embedding_bag, own backward, last layer of the batch"),
    ("pytorch", "CSR, own backward"),
    ("pytorch", "embedding_bag, own backward"),
    ("pytorch", "embedding_bag, own backward, torch.compile"),
    ("pyg", "LightGCN SparseTensor"),
    ("pyg", "LightGCN edge_index"),
)


_BOTH_ALLOCATORS = (("", {}), (", tuned malloc", KEEPS_MEMORY))


def inputs_of(
    pairs_of: Callable[[], graphs.Interactions], options: Mapping[str, Any] = OURS
) -> Callable[[], Inputs]:
    """Pairs, graph, the table to start from, and the batches that our program draws.

    Args:
        pairs_of: Who interacted with what.
        options: As `OURS`.
    """
    return lambda: _inputs(pairs_of(), options)


def _inputs(pairs: graphs.Interactions, options: Mapping[str, Any]) -> Inputs:
    edges = pairs.edges()
    inputs = {
        **edges.arrays(),
        "num_users": np.asarray(pairs.num_users),
        "num_items": np.asarray(pairs.num_items),
        "users": pairs.users,
        "items": pairs.items,
        "table": 0.1 * graphs.feature_table(edges.num_nodes, options["width"], seed=1),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, array in inputs.items():
            np.save(Path(folder) / f"{name}.npy", array)
        # In a process of its own: this one imports neither torch nor JAX.
        module = ["-m", "benchmarks.ours.lightgcn_step"]
        subprocess.run(
            [sys.executable, *module, folder, json.dumps(options)], check=True
        )
        for name in ("batch_nodes", "batch_keep"):
            inputs[name] = np.load(Path(folder) / f"{name}.npy")
    return inputs


def about(inputs: Inputs) -> str:
    """The degrees, and how many rows a step has."""
    degrees = graphs.skew(int(inputs["num_nodes"]), np.asarray(inputs["receivers"]))
    return f"{degrees} Batch {inputs['batch_keep'].shape[1]:,}."


def systems(options_of_ours: Mapping[str, Any] = OURS) -> tuple[System, ...]:
    """Our backends and the peers."""
    ours = [
        System(
            system="llmgnn_jax",
            variant=backend + suffix,
            setup="benchmarks.ours.lightgcn_step:setup",
            options={**options_of_ours, "backend": backend},
            environment=environment,
        )
        for backend, suffix, environment in OUR_ROWS
    ]
    setup = "benchmarks.torch_baseline.lightgcn_step:setup"
    peers = [
        System(
            system=system, variant=variant, setup=setup, options={**SETTING, **options}
        )
        for (system, variant), options in PEERS.items()
    ]
    keeping = [
        System(
            system=system,
            variant=f"{variant}, tuned malloc",
            setup=setup,
            options={**SETTING, **PEERS[system, variant]},
            environment=KEEPS_MEMORY,
        )
        for system, variant in KEEPING
    ]
    recbole = [
        System(
            system="recbole",
            variant=variant + suffix,
            setup="benchmarks.recbole_baseline.lightgcn_step:setup",
            options={**SETTING, **options},
            environment=environment,
            python=recbole_baseline.interpreter(),
        )
        for suffix, environment in _BOTH_ALLOCATORS
        for variant, options in RECBOLE.items()
    ]
    jraph = [
        System(
            system="jraph",
            variant=variant + suffix,
            setup="benchmarks.jraph_baseline.lightgcn_step:setup",
            options={**SETTING, **options},
            environment=environment,
        )
        for suffix, environment in _BOTH_ALLOCATORS
        for variant, options in JRAPH.items()
        # Once more what may be the fastest of them.
        if not suffix or options["layer"] == _SCALED
    ]
    return (*ours, *peers, *keeping, *recbole, *jraph)


def cases(quick: bool) -> Sequence[Case]:
    """Gowalla, float32; `--quick` measures less long."""
    return [
        Case(
            size="gowalla, batch 2048",
            precision="float32",
            unit="ms",
            inputs=inputs_of(graphs.gowalla),
            systems=systems(),
            tolerance=TOLERANCE,
            about=about,
            work=functools.partial(of_lightgcn_step, num_layers=SETTING["num_layers"]),
        )
    ]


if __name__ == "__main__":
    main("lightgcn_step", cases, description=__doc__ or "")
