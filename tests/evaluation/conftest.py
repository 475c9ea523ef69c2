"""One small run to write and to report on."""

import pytest

from llmgnn_jax.evaluation.results import (
    Example,
    ModelResult,
    PathResult,
    Protocol,
    Recommendation,
    Results,
)


def protocol(**changes: object) -> Protocol:
    fields = {
        "task": "ranking",
        "dataset": "films",
        "split_name": "random 0.8:0.1:0.1, seed 0",
        "filters": [],
        "k": [10, 20],
        "masking": "train+valid",
        "fingerprint": "f" * 64,
        "split_hash": "5" * 64,
    }
    return Protocol(**(fields | changes))  # type: ignore[arg-type]


def metrics(ndcg: float) -> dict[str, float]:
    return {"ndcg@10": ndcg, "recall@10": ndcg / 2, "ndcg@20": 1.1 * ndcg}


@pytest.fixture
def results() -> Results:
    return Results(
        protocol=protocol(),
        models={
            "fused": ModelResult(valid=metrics(0.30), test=metrics(0.35), seconds=81.0),
            "ease": ModelResult(
                valid=metrics(0.31),
                test=metrics(0.34),
                seconds=4.2,
                baseline=True,
                budget={
                    "trials": 2,
                    "grid": {"l2": [100.0, 300.0]},
                    "chosen": {"l2": 300.0},
                    "chosen_by": "valid ndcg@10",
                    "value": 0.31,
                    "at_edge": ["l2"],
                },
            ),
        },
        environment={"python": "3.11.7", "jax": "0.10.2"},
        command="python train.py films --train.seed 0",
        device="cpu, 2 cores",
        paths={
            "text": PathResult(
                description="by a sentence", metrics={"ndcg@10": 0.1}, num_users=1_234
            )
        },
        examples=[
            Example(
                label="User A",
                history=["Toy Story (1995)"],
                recommendations={
                    "fused": [
                        Recommendation(rank=1, title="Heat", score=2.5, hit=True),
                        Recommendation(rank=2, title="Alien", score=1.5, hit=False),
                    ]
                },
            )
        ],
    )
