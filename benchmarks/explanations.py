"""Do the edges that an explanation cites carry the score? They are taken away to see.

    llmgnn train ml-100k --out runs/explained
    python -m benchmarks.explanations --run runs/explained --pairs 500 \\
        --json docs/results/explanations.json

For users drawn at random, each with the item that stands first in its list: how far the
score falls without the cited edges, and without as many edges that are drawn at random:
of the whole graph, of what lies within two steps of the user (edges of the user, and of
the user's items), or of the user and the item themselves, which is the hardest to beat:
there are few of them, and those that are cited may be drawn as well. Of each several
draws, whose mean counts. Tests are paired permutation tests over users, corrected by
Holm. Without `--run` the recipe is trained first, without baselines.
"""

import argparse
import datetime
import json
import logging
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality_tables import table
from llmgnn_jax.config import replace
from llmgnn_jax.evaluation.environment import device, environment
from llmgnn_jax.evaluation.results import write_atomically
from llmgnn_jax.evaluation.significance import holm, mean_intervals, permutation_test
from llmgnn_jax.evidence.attribute import Explainer
from llmgnn_jax.evidence.edges import UndirectedEdges
from llmgnn_jax.recipes import recipe
from llmgnn_jax.serving.recommender import Recommender
from llmgnn_jax.training.run import fit

CITED = "cited"
CONTROLS = ("whole graph", "two steps of the user", "of the user and the item")


def pools(edges: UndirectedEdges, user: int, item: int) -> dict[str, np.ndarray]:
    """Control -> the edges that are drawn from, for a user's and an item's slot."""
    user_node, item_node = edges.user_node(user), edges.item_node(item)
    own, others = edges.of(user_node)
    of_item, _ = edges.of(item_node)
    next_step = [edges.of(int(other))[0] for other in others]
    return dict(
        zip(
            CONTROLS,
            (
                np.arange(len(edges)),
                np.unique(np.concatenate([own, *next_step])),
                np.unique(np.concatenate([own, of_item])),
            ),
            strict=True,
        )
    )


def removed(
    explainer: Explainer,
    user: int,
    item: int,
    *,
    most_edges: int,
    draws: int,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """How far one score falls, see above; None where nothing is cited."""
    start = time.perf_counter()
    evidence = explainer.explain(user, item, most_edges=most_edges, ids="none")
    seconds = time.perf_counter() - start
    cited = [edge.index for edge in evidence.edges]
    drop = {CITED: evidence.score - explainer.score_without(user, item, cited)}
    for name, pool in pools(explainer.edges, user, item).items():
        scores = [
            explainer.score_without(
                user, item, rng.choice(pool, min(len(cited), len(pool)), replace=False)
            )
            for _ in range(draws)
        ]
        drop[name] = evidence.score - float(np.mean(scores))
    return {
        "score": evidence.score,
        "cited": len(cited),
        "attributed": sum(edge.attribution for edge in evidence.edges),
        "drop": drop,
        "error": abs(evidence.residual) / abs(evidence.score),
        "seconds": seconds,
    }


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What all pairs say together.

    Args:
        rows: Of `removed`.
    """
    drops = {
        name: np.array([row["drop"][name] for row in rows])
        for name in (CITED, *CONTROLS)
    }
    differences = np.stack([drops[CITED] - drops[name] for name in CONTROLS], axis=1)
    low, high = mean_intervals(differences)
    p_values = holm(permutation_test(differences))
    seconds = [row["seconds"] for row in rows]
    return {
        "pairs": len(rows),
        "score": float(np.mean([row["score"] for row in rows])),
        "cited_edges": float(np.mean([row["cited"] for row in rows])),
        "attributed": float(np.mean([row["attributed"] for row in rows])),
        "drop": {name: float(drop.mean()) for name, drop in drops.items()},
        "against": {
            name: {
                "difference": float(differences[:, place].mean()),
                "ci95": [float(low[place]), float(high[place])],
                "larger": float((differences[:, place] > 0).mean()),
                "p": float(p_values[place]),
            }
            for place, name in enumerate(CONTROLS)
        },
        "largest_error": max(row["error"] for row in rows),
        "seconds": {
            "median": float(np.median(seconds)),
            "p90": float(np.quantile(seconds, 0.9)),
        },
    }


def markdown(document: Mapping[str, Any]) -> str:
    """A table of the drops, and what the explanations took."""
    rows, told = [], []
    for name, one in document["models"].items():
        rows.append([name, "the cited edges", f"{one['drop'][CITED]:.3f}", "", "", ""])
        for control, against in one["against"].items():
            low, high = against["ci95"]
            rows.append(
                [
                    name,
                    f"random, {control}",
                    f"{one['drop'][control]:.3f}",
                    f"{against['difference']:.3f} ({low:.3f} to {high:.3f})",
                    f"{100 * against['larger']:.1f} %",
                    f"{against['p']:.4f}",
                ]
            )
        told.append(
            f"`{name}`: {one['pairs']} pairs, mean score {one['score']:.3f}, of which "
            f"{one['cited_edges']:.1f} cited edges have {one['attributed']:.3f}; the "
            f"largest error of a sum {100 * one['largest_error']:.2f} % of the score; "
            f"{one['seconds']['median']:.2f} s an explanation (median; p90 "
            f"{one['seconds']['p90']:.2f} s)."
        )
    heads = ["model", "taken away", "the score falls by", "cited: more by (95 %)"]
    heads += ["cited: more in", "p"]
    return "\n".join([table(heads, rows), "", *(f"{one}\n" for one in told)])


def measured(
    run: Path, model: str, *, pairs: int, most_edges: int, draws: int, seed: int
) -> dict[str, Any]:
    """The summary of one model of a run."""
    recommender = Recommender.load(run, model=model)  # type: ignore[arg-type]
    users, rng = recommender.user_ids, np.random.default_rng(seed)
    chosen = rng.permutation(len(users))[:pairs].tolist()
    slots = {item: slot for slot, item in enumerate(recommender.item_ids)}
    rows: list[dict[str, Any]] = []
    lists = recommender.lists(users=[users[user] for user in chosen], k=1)
    for user, (_, first) in zip(chosen, lists, strict=True):
        if not first:
            continue
        options: dict[str, Any] = {
            "most_edges": most_edges,
            "draws": draws,
            "rng": rng,
        }
        item = slots[first[0].id]
        if not rows:  # What is compiled is not timed.
            recommender.explainer.explain(user, item)
        rows.append(removed(recommender.explainer, user, item, **options))
    return summary(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, metavar="RUN")
    parser.add_argument("--models", nargs="+", default=["graph", "fused"])
    parser.add_argument("--pairs", type=int, default=500)
    parser.add_argument("--most-edges", type=int, default=12)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE", required=True)
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        run = chosen.run
        if run is None:
            run = Path(folder) / "run"
            config = replace(recipe("ml-100k"), **{"evaluation.baselines": False})
            fit(config, out=run, command="llmgnn train ml-100k")
        models = {
            model: measured(
                run,
                model,
                pairs=chosen.pairs,
                most_edges=chosen.most_edges,
                draws=chosen.draws,
                seed=chosen.seed,
            )
            for model in chosen.models
        }
    document = {
        "name": "explanations",
        "models": models,
        "most_edges": chosen.most_edges,
        "draws": chosen.draws,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "device": device(),
        "environment": environment(),
        "command": "python -m benchmarks.explanations "
        + " ".join(sys.argv[1:] if arguments is None else arguments),
    }
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    write_atomically(chosen.json, text)
    print(markdown(document))


if __name__ == "__main__":
    main()
