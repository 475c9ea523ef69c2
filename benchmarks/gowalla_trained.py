"""LightGCN of the recipe `gowalla-filtered`, trained, and its filter apart from it.

Shapes: U users, I items, D width of node vectors, K that of the filter.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from llmgnn_jax.config import replace
from llmgnn_jax.data.splits import Split
from llmgnn_jax.graph.aggregate import Backend
from llmgnn_jax.graph.item_item import FilterVectors
from llmgnn_jax.graph.spectral import ideal_low_pass
from llmgnn_jax.recipes import recipe
from llmgnn_jax.training.lists import model_vectors
from llmgnn_jax.training.prepare import prepare
from llmgnn_jax.training.ranking import fit_model
from llmgnn_jax.training.reporting import MetricsLog

RECIPE = "gowalla-filtered"
_VALIDATIONS = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """A trained graph.

    Attributes:
        users_UD: What it says of users.
        items_ID: What it says of items.
        seconds: Wall time from the files on.
        curve: Points of training: seconds of steps so far, metrics on valid.
        steps: That it was trained for.
    """

    users_UD: np.ndarray
    items_ID: np.ndarray
    seconds: float
    curve: list[dict[str, float]]
    steps: int

    def filtered(
        self, vectors: FilterVectors, weight: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """(U, D + K) and (I, D + K): inner products are both's, the filter's weighed.

        What `graph.filter spectral` with that `graph.filter_weight` ranks by.
        """
        users_UK = np.float32(weight) * vectors.user_UK
        return (
            np.concatenate([self.users_UD, users_UK], axis=1),
            np.concatenate([self.items_ID, vectors.item_IK], axis=1),
        )


def train(*, valid_share: float, folder: Path, backend: Backend) -> Trained:
    """Trains the recipe without its filter for all of its steps; test is not read.

    Args:
        valid_share: 0 trains on all of the published train part.
        folder: For checkpoints and metrics; what it holds of the same model is gone on
            from.
        backend: Kernel of the sums over neighbours.
    """
    start = time.perf_counter()
    config = recipe(RECIPE)
    config = replace(
        config,
        **{
            "graph.filter": "none",
            "graph.backend": backend,
            "data.valid_share": valid_share,
            "evaluation.metric": "ndcg@20",
            # All steps: as many are made where nothing is validated.
            "train.patience": 0,
            "train.validate_every": config.train.steps // _VALIDATIONS,
        },
    )
    prepared = prepare(config)
    folder.mkdir(parents=True, exist_ok=True)
    log_file = folder / "metrics.jsonl"
    resume = (folder / "checkpoints").exists()
    model = fit_model(
        "graph", prepared, folder=folder, log=MetricsLog(log_file), resume=resume
    )
    users_UD, items_ID = model_vectors(model, prepared)
    return Trained(
        users_UD=users_UD,
        items_ID=items_ID,
        seconds=time.perf_counter() - start,
        curve=curve_of(log_file, batch_size=config.train.batch_size),
        steps=model.step,
    )


def spectral_filter(split: Split, *, backend: Backend) -> FilterVectors:
    """The recipe's filter of a train part."""
    config = recipe(RECIPE)
    return ideal_low_pass(
        split.train_csr(),
        split.dataset.num_items,
        rank=config.graph.filter_rank,
        seed=config.seed,
        backend=backend,
    )


def curve_of(log_file: Path, *, batch_size: int) -> list[dict[str, float]]:
    """Validations of a run beside the seconds of its steps so far."""
    seconds, last, points = 0.0, 0, []
    for line in log_file.read_text("utf-8").splitlines():
        record = json.loads(line)
        if "examples_per_s" in record:
            count = (record["step"] - last) * batch_size
            seconds, last = seconds + count / record["examples_per_s"], record["step"]
        elif "valid" in record:
            chosen = {name: record["valid"][name] for name in ("recall@20", "ndcg@20")}
            points.append(
                {
                    "step": record["step"],
                    "seconds": round(seconds, 1),
                    **{name: round(value, 4) for name, value in chosen.items()},
                }
            )
    return points
