"""Tables of a `results.json` document, for pages and terminals."""

from collections.abc import Mapping, Sequence
from typing import Any

Document = Mapping[str, Any]


def models_table(document: Document, metric: str) -> str:
    """One row a model, best on test first: the metric, how sure, how long."""
    models = document["models"]
    cutoff = max(document["protocol"]["k"])
    first = next(iter(document["comparisons"]), {"a": ""})["a"]
    p_values = {
        one["b"]: one["p"] for one in document["comparisons"] if "family" not in one
    }
    seeds = list(next(iter(models.values()))["per_seed"])
    shown = seeds if 1 < len(seeds) <= 3 else []
    heads = [
        "model",
        *(f"seed {seed}" for seed in shown),
        metric,
        "95 %",
        f"recall@{cutoff}",
        f"p beside {first}",
        "seconds",
    ]
    rows = []
    for name in by_quality(document, metric):
        row = models[name]
        interval = row["ci95"].get(metric)
        p_value = p_values.get(name)
        rows.append(
            [
                f"{name} (baseline)" if row["baseline"] else name,
                *(f"{row['per_seed'][seed][metric]:.4f}" for seed in shown),
                f"{row['test'][metric]:.4f}",
                "{:.4f} to {:.4f}".format(*interval) if interval else "",
                f"{row['test'][f'recall@{cutoff}']:.4f}",
                "" if p_value is None else f"{p_value:.4f}",
                f"{row['seconds']:.0f}",
            ]
        )
    return table(heads, rows)


def ratings_table(document: Document) -> str:
    """One row a model of ratings, the lowest error on test first."""
    first = next(iter(document["comparisons"]), {"a": ""})["a"]
    p_values = {one["b"]: one["p"] for one in document["comparisons"]}
    models = document["models"]
    seeds = list(next(iter(models.values()))["per_seed"])
    shown = seeds if 1 < len(seeds) <= 3 else []
    heads = ["model", *(f"seed {seed}" for seed in shown), "rmse", "95 %", "mae"]
    heads += [f"p beside {first}", "seconds"]
    rows = []
    for name in sorted(models, key=lambda name: models[name]["test"]["rmse"]):
        row = models[name]
        p_value = p_values.get(name)
        rows.append(
            [
                f"{name} (baseline)" if row["baseline"] else name,
                *(f"{row['per_seed'][seed]['rmse']:.4f}" for seed in shown),
                f"{row['test']['rmse']:.4f}",
                "{:.4f} to {:.4f}".format(*row["ci95"]["rmse"]),
                f"{row['test']['mae']:.4f}",
                "" if p_value is None else f"{p_value:.4f}",
                f"{row['seconds']:.0f}",
            ]
        )
    return table(heads, rows)


def kinds_table(document: Document, metric: str) -> str:
    """Each kind of pair among its own items alone and in the lists of all."""
    cutoff = max(document["protocol"]["k"])
    recall, share = f"recall@{cutoff}", f"new_share@{cutoff}"
    heads = ["model", "to be found", f"{metric} alone", "together", f"{recall} alone"]
    heads += ["together", f"without train pairs, of {cutoff} places"]
    rows = []
    for name in by_quality(document, metric):
        row = document["models"][name]
        for kind, found in row["kinds"].items():
            numbers = [
                found[where][which]
                for which in (metric, recall)
                for where in ("alone", "together")
            ]
            numbers.append(row["beyond_accuracy"][share])
            rows.append([name, kind, *(f"{number:.4f}" for number in numbers)])
    return table(heads, rows)


def families(document: Document) -> str:
    """Why a pair that stands in both tables has two p-values."""
    comparisons = document["comparisons"]
    pairs = sum("family" in one for one in comparisons)
    return (
        f"Above, p is corrected for the {len(comparisons) - pairs} models beside "
        f"`{comparisons[0]['a']}`; below, for these {pairs} pairs alone, which were "
        "asked by themselves. So a pair of both tables has two."
    )


def pairs_table(document: Document) -> str:
    """The comparisons that were asked for by themselves, a pair in each row."""
    rows = []
    for one in document["comparisons"]:
        if "family" in one:
            low, high = one["ci95"]
            rows.append(
                [
                    f"{one['a']} less {one['b']}",
                    f"{one['delta']:+.4f}",
                    f"{low:+.4f} to {high:+.4f}",
                    f"{one['p']:.4f}",
                ]
            )
    return table(["pair", "difference", "95 %", f"p of {len(rows)} pairs"], rows)


def by_quality(document: Document, metric: str) -> list[str]:
    """Names of models, best on test first."""
    models = document["models"]
    return sorted(models, key=lambda name: -models[name]["test"][metric])


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown; columns whose first cell is a number stand to the right."""
    numeric = [
        bool(rows) and rows[0][column][:1].isdigit() for column in range(len(heads))
    ]
    lines = [
        "| " + " | ".join(heads) + " |",
        "|" + "|".join("---:" if right else "---" for right in numeric) + "|",
    ]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)
