"""What `accelerator` measures, and on what: everything is generated, no data needed.

On a GPU there are no rows of our kernels for CPUs and none of host allocators; float32
is full float32 on both sides, TF32 is off but for its ceiling. On a CPU sizes are
small: the command can be tried there.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks import (
    ceilings,
    fused_step,
    graphs,
    lightgcn_step,
    propagation,
    ranking,
    text_encode,
    text_train,
    texts,
    work,
)
from benchmarks.bert_weights import MINILM
from benchmarks.harness import Case, System
from benchmarks.harness.system import OURS, Inputs, Precision
from benchmarks.machine import Device
from benchmarks.random_encoder import ragged_texts, write_encoder

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


@dataclass(frozen=True, kw_only=True)
class Part:
    """A benchmark that is run within the command.

    Attributes:
        name: Of the benchmark; its document has it.
        seconds: What it is given; what it leaves goes to those that follow.
        cases: In the order of what matters most.
        left_out: What is not measured here, and why.
        together: Which of its systems are set up side by side: ours alone where XLA
            chooses among kernels for products by timing them.
    """

    name: str
    seconds: float
    cases: Sequence[Case]
    left_out: str = ""
    together: Literal["none", "peers", "all"] = "none"


def parts_for(device: Device, folder: Path) -> list[Part]:
    """All parts, in the order in which they run; files that they need go to `folder`.

    The seconds are those that a GPU's sizes want, 450 in all; `accelerator` scales them
    to its budget.
    """
    gpu = device.kind == "gpu"
    sizes = ceilings.GPU if gpu else ceilings.QUICK
    no_data = (
        "Gowalla and MovieLens-100K, which are not read: pairs and graphs of their "
        "sizes are generated"
    )
    return [
        Part(
            name="ceilings",
            seconds=55,
            cases=ceilings.cases_of(sizes, tf32=gpu),
            left_out="" if gpu else "TF32, which a CPU has not",
        ),
        Part(
            name="propagation",
            seconds=90,
            cases=_propagation(device),
            together="all" if gpu else "none",
            left_out=f"{no_data}; torch-sparse, whose kernels are built from source",
        ),
        Part(
            name="text_train",
            seconds=100,
            cases=_text_train(gpu),
            together="peers" if gpu else "none",
            left_out="ragged reviews, which need data; TF32, which ours does not use",
        ),
        Part(
            name="lightgcn_step",
            seconds=60,
            cases=[_lightgcn_step(device)],
            together="all" if gpu else "none",
            left_out=no_data,
        ),
        Part(
            name="fused_step",
            seconds=60,
            cases=[_fused_step(device)],
            together="all" if gpu else "none",
            left_out=no_data,
        ),
        Part(
            name="text_encode",
            seconds=45,
            cases=_text_encode(gpu, folder),
            left_out="MiniLM's own weights and real texts: random ones of its shape",
        ),
        Part(name="ranking", seconds=40, cases=_ranking(gpu), left_out=no_data),
    ]


def _propagation(device: Device) -> list[Case]:
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
                    *_of_device(systems),
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


def _lightgcn_step(device: Device) -> Case:
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


# What follows the name of a product -> options of the step, the likely best first.
_STEP_PEERS: dict[str, dict[str, dict[str, Any]]] = {
    "gpu": {
        ", one CUDA graph": {"cuda_graph": True},
        "": {},
        ", torch.compile": {"compiled": True},
    },
    "cpu": {"": {}},
}


def _fused_step(device: Device) -> Case:
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


def _text_train(gpu: bool) -> list[Case]:
    size = text_train.Size(shape=MINILM, texts=256, tokens=128)
    if not gpu:
        shape = replace(MINILM, num_hidden_layers=2)
        size = text_train.Size(shape=shape, texts=16, tokens=32)
    chosen: list[tuple[text_train.Mode, Precision]] = [
        ("full", "bfloat16"),
        ("full", "float32"),
        ("lora", "bfloat16"),
    ]
    return [
        replace(
            text_train.case_of(size, mode, precision),
            systems=_text_train_systems(size, mode, precision, gpu=gpu),
        )
        for mode, precision in chosen
    ]


def _text_train_systems(
    size: text_train.Size, mode: text_train.Mode, precision: Precision, *, gpu: bool
) -> tuple[System, ...]:
    known = _of_device(text_train.systems(size, mode, precision))
    if not gpu:
        return tuple(one for one in known if one.system == OURS or _is_eager(one))
    ours = tuple(one for one in known if one.system == OURS)
    peers = {one.variant: one for one in known if one.system != OURS}
    # "Products in bfloat16" is TF32 on a GPU, and PyTorch's own attention is flash.
    names = {
        ("full", "bfloat16"): (
            "autocast, torch.compile",
            "bfloat16 weights, torch.compile",
            "autocast",
        ),
        ("full", "float32"): ("torch.compile", "eager"),
        ("lora", "bfloat16"): ("autocast, torch.compile", "PEFT, autocast"),
    }[mode, precision]
    kept = [peers[name] for name in names]
    replayed = replace(
        kept[0],
        variant=f"{kept[0].variant}, reduce-overhead",
        options={**kept[0].options, "reduce_overhead": True},
    )
    return (*ours, *kept, replayed)


def _is_eager(system: System) -> bool:
    return not system.options.get("compiled") and "PEFT" not in system.variant


def _text_encode(gpu: bool, folder: Path) -> list[Case]:
    shape, count, longest = MINILM, 8_192, 256
    budgets, batches = (16_384, 65_536), (128, 512)
    if not gpu:
        shape = replace(MINILM, num_hidden_layers=2)
        count, longest, budgets, batches = 64, 64, (512,), (32,)

    @functools.cache
    def encoder() -> str:
        return str(write_encoder(folder / "encoder", shape))

    @functools.cache
    def corpus() -> tuple[list[str], np.ndarray]:
        return ragged_texts(count, shape, longest=longest)

    def inputs(precision: Precision) -> Inputs:
        encoder()
        given = texts.pack_texts(corpus()[0])
        if precision == "float32":
            return given
        setting = {"encoder": str(folder / "encoder"), "max_length": longest}
        return {**given, **text_encode.reference(given, **setting)}

    def systems(precision: Precision) -> tuple[System, ...]:
        setting = {"encoder": str(folder / "encoder"), "max_length": longest}
        rows: list[tuple[str, str, str, dict[str, Any]]] = [
            (OURS, "TextEncoder", "ours.text_encode:setup", {"dtype": precision}),
        ]
        numerics = {"numerics": precision}
        for tokens in budgets:
            rows.append(
                (
                    "pytorch",
                    f"{tokens} tokens a batch",
                    "torch_baseline.text_encode:setup_by_tokens",
                    {"batch_tokens": tokens, **numerics},
                )
            )
        for size in batches:
            rows.append(
                (
                    "sentence-transformers",
                    f"batch {size}",
                    "torch_baseline.text_encode:setup",
                    {"batch_size": size, **numerics},
                )
            )
        return tuple(
            System(
                system=system,
                variant=variant,
                setup=f"benchmarks.{setup}",
                options={**setting, **options},
            )
            for system, variant, setup, options in rows
        )

    return [
        Case(
            size=f"{count:,} texts of random words, {longest} tokens at most",
            precision=precision,
            unit="texts/s",
            inputs=functools.partial(inputs, precision),
            systems=systems(precision),
            tolerance=text_encode.TOLERANCES[precision],
            about=text_encode.about,
            work=_encoding_work(corpus, shape, precision, batch_tokens=budgets[0]),
        )
        for precision in ("bfloat16", "float32")
    ]


def _encoding_work(
    corpus: Callable[[], tuple[list[str], np.ndarray]],
    shape: Any,
    precision: Precision,
    *,
    batch_tokens: int,
) -> Callable[[Inputs], work.Work]:
    return lambda inputs: work.of_encoding(
        corpus()[1], shape, precision=precision, batch_tokens=batch_tokens
    )


def _ranking(gpu: bool) -> list[Case]:
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


def _of_device(systems: Sequence[System]) -> tuple[System, ...]:
    """Without those that differ by the host's allocator alone."""
    return tuple(one for one in systems if "tuned malloc" not in one.variant)
