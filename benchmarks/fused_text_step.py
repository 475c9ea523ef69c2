"""A training step of the fused model whose text encoder is trained with it.

    python -m benchmarks.fused_text_step --json benchmarks/results/fused_text_step.json

The model of `fused_step` on MovieLens-100K, with MiniLM (all-MiniLM-L6-v2 and its
weights) inside the step: 256 rows against one another's items, with logQ correction, as
`text_modes` trains it. A step encodes the texts of its batch's different items, about
200 films' titles, years and genres of 14 tokens each; users' texts are sums of stored
vectors, as in `fused_step`. `full` trains all of the encoder, `lora` adapters of rank 8
on queries and values. No dropout within the encoder on either side. The vectors that
are encoded anew every 40 steps are no part of a step, on either side.

Ours is the program that `train.py` runs, ten steps a call: it draws batches, finds
their different items and lays their tokens into a row. The peers are given batches,
items, tokens and padding as arrays, which favours them. In bfloat16 no two systems
have gradients near enough to be held to one another: `text_train` measures that, the
encoder alone.

Parity is that of the vectors that are ranked by, of the texts' vectors in the first
step, of its gradients of all parameters, and of the losses of ten steps.
"""

import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from benchmarks import graphs, texts
from benchmarks.bert_weights import Shape, random_adapters, with_prefix
from benchmarks.fused_weights import random_weights
from benchmarks.harness import Case, System, Unavailable, main
from benchmarks.harness.allocator import KEEPS_MEMORY
from benchmarks.harness.system import Inputs
from llmgnn_jax import assets
from llmgnn_jax.errors import UserError

Mode: TypeAlias = Literal["full", "lora"]
ENCODER = "minilm-l6"
RANK = 8
WIDTH = 64
# What both sides are told.
SETTING = {
    "num_layers": 3,
    "learning_rate": 1.5e-2,
    "l2": 3e-3,
    "anchor": 1.0,
    "alpha": 16.0,
}
# As `text_modes` trains them.
TEXT_RATES: dict[Mode, float] = {"full": 1e-5, "lora": 1e-4}
ROWS = 256
KEEPING = ", tuned malloc"
_UNPADDED = {"parts": "no padding"}
_EAGER = {"attention": "eager"}
# Variant -> options of `torch_baseline.fused_text_step.setup`.
PEERS: dict[str, dict[str, Any]] = {
    "padded": {},
    "4 parts by length": {"parts": 4},
    "8 parts by length": {"parts": 8},
    "8 parts by length, eager attention": {"parts": 8, **_EAGER},
    "no padding": _UNPADDED,
    "no padding, eager attention": {**_UNPADDED, **_EAGER},
    "8 parts by length, torch.compile": {"parts": 8, "compiled": True},
    "no padding, torch.compile": {**_UNPADDED, "compiled": True},
    "no padding, eager attention, torch.compile": {
        **_UNPADDED,
        **_EAGER,
        "compiled": True,
    },
}
# Adapters by PEFT itself.
PEFT = {"PEFT, 8 parts by length": {"adapters": "peft", "parts": 8}}
# Once more with an allocator that keeps what is freed, and ours too.
KEPT = (
    "8 parts by length",
    "no padding",
    "no padding, eager attention",
    "no padding, torch.compile",
)
# Of each array's largest entry.
TOLERANCE = 1e-4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Films:
    """What is trained on.

    Attributes:
        pairs: Who likes what.
        texts: What is said of each item.
    """

    pairs: graphs.Interactions
    texts: Sequence[str]


def movielens() -> Films:
    """MovieLens-100K."""
    return Films(pairs=graphs.ml_100k(), texts=graphs.film_texts())


def setting_of(mode: Mode, *, encoder: str = ENCODER, rows: int = ROWS) -> dict:
    """Options of our program."""
    return {
        **SETTING,
        "width": WIDTH,
        "negatives": "in_batch",
        "batch_size": rows,
        "encoder": encoder,
        "mode": mode,
        "rank": RANK,
        "text_learning_rate": TEXT_RATES[mode],
    }


def inputs_of(
    films_of: Callable[[], Films], setting: dict[str, Any]
) -> Callable[[], Inputs]:
    """Pairs, graph, texts, weights, and the batches that our program draws."""

    def made() -> Inputs:
        films = films_of()
        pairs, edges = films.pairs, films.pairs.edges()
        shape = shape_of(setting["encoder"])
        weights = random_weights(
            num_nodes=edges.num_nodes, text_dim=shape.hidden_size, dim=WIDTH, seed=1
        )
        inputs = {
            **edges.arrays(),
            "num_users": np.asarray(pairs.num_users),
            "num_items": np.asarray(pairs.num_items),
            "users": pairs.users,
            "items": pairs.items,
            **texts.pack_texts(films.texts),
            **with_prefix(weights, "weight."),
        }
        if setting["mode"] == "lora":
            adapters = random_adapters(shape, rank=RANK, seed=2)
            inputs |= with_prefix(adapters, "adapter.")
        with tempfile.TemporaryDirectory() as folder:
            for name, array in inputs.items():
                np.save(Path(folder) / f"{name}.npy", array)
            # In a process of its own: this one imports neither torch nor JAX.
            module = ["-m", "benchmarks.ours.fused_text_step"]
            subprocess.run(
                [sys.executable, *module, folder, json.dumps(setting)], check=True
            )
            return {path.stem: np.load(path) for path in Path(folder).glob("*.npy")}

    return made


def shape_of(encoder: str) -> Shape:
    """Of an asset, or of a folder as Hugging Face has it.

    Raises:
        Unavailable: If it cannot be fetched.
    """
    try:
        folder = assets.fetch(encoder) if encoder in assets.ASSETS else Path(encoder)
    except UserError as error:
        raise Unavailable(str(error)) from None
    config = json.loads((folder / "config.json").read_text("utf-8"))
    return Shape(
        **{field.name: config[field.name] for field in dataclasses.fields(Shape)}
    )


def about(inputs: Inputs) -> str:
    """The degrees, and how much a step encodes."""
    degrees = graphs.skew(int(inputs["num_nodes"]), np.asarray(inputs["receivers"]))
    counts = np.diff(inputs["token_ends"], prepend=0)
    fresh = np.asarray(inputs["batch_fresh"])
    there = fresh >= 0
    tokens = np.where(there, counts[fresh], 0)
    places = there.sum(axis=1) * tokens.max(axis=1)
    return (
        f"{degrees} {inputs['batch_bias'].shape[1]:,} rows; a step encodes "
        f"{there.sum(axis=1).mean():.0f} texts of {tokens.sum() / there.sum():.1f} "
        f"tokens; padded to the longest, {1 - tokens.sum() / places.sum():.0%} of its "
        "places are padding."
    )


def systems(setting: dict[str, Any]) -> tuple[System, ...]:
    """Ours and the peers."""
    mode = setting["mode"]
    ours = [
        System(
            system="llmgnn_jax",
            variant=f"native{suffix}",
            setup="benchmarks.ours.fused_text_step:setup",
            options={**setting, "backend": "native"},
            environment=environment,
        )
        for suffix, environment in (("", {}), (KEEPING, KEEPS_MEMORY))
    ]
    peers = {**PEERS, **(PEFT if mode == "lora" else {})}
    peers |= {f"{variant}{KEEPING}": peers[variant] for variant in KEPT}
    common = {
        **SETTING,
        "propagation": "bags_own_backward",
        **{name: setting[name] for name in ("encoder", "mode", "text_learning_rate")},
    }
    return (
        *ours,
        *(
            System(
                system="pytorch",
                variant=variant,
                setup="benchmarks.torch_baseline.fused_text_step:setup",
                options={**common, **options},
                environment=KEEPS_MEMORY if variant.endswith(KEEPING) else {},
            )
            for variant, options in peers.items()
        ),
    )


def cases(quick: bool) -> Sequence[Case]:
    """Both modes, float32; `--quick` measures less long."""
    modes: tuple[Mode, ...] = ("full", "lora")
    return [
        Case(
            size=f"{mode}, ml-100k, {ROWS} rows",
            precision="float32",
            unit="ms",
            inputs=inputs_of(movielens, setting_of(mode)),
            systems=systems(setting_of(mode)),
            tolerance=TOLERANCE,
            about=about,
        )
        for mode in modes
    ]


if __name__ == "__main__":
    main("fused_text_step", cases, description=__doc__ or "")
