"""Edges and the score without them sum to the score; both against NumPy."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from llmgnn_jax.evidence.explanation import Evidence
from tests.evidence.reference import reference_score
from tests.evidence.worlds import (
    ALL_RELATIONS,
    PROFILE_OF,
    USERS,
    World,
    people_dataset,
)

MakeWorld = Callable[..., World]

LINEAR: list[dict[str, Any]] = [
    {"sides": "graph"},
    {"sides": "graph", "num_layers": 0, "filter": "item_item"},
    {"sides": "graph", "filter": "spectral", "relations": ALL_RELATIONS},
    {"sides": "graph", "relations": ALL_RELATIONS, "rating": True},
    {"sides": "fused", "fusion": "sum", "filter": "item_item"},
    {"sides": "text"},
    {"sides": "graph", "groups": 2, "relations": {"genre": 0.7}},
]
CURVED: list[dict[str, Any]] = [
    {"sides": "fused", "filter": "item_item"},
    {"sides": "fused", "relations": ALL_RELATIONS},
    {"sides": "graph", "temperature": 0.2, "relations": {"friends": 0.7}},
    {"sides": "graph", "layer": "gcn", "num_layers": 2},
    {"sides": "fused", "layer": "gcn", "num_layers": 2, "filter": "spectral"},
    {"sides": "fused", "rating": True},
]
PAIRS = [(0, 1), (PROFILE_OF, 5), (7, 16), (USERS - 1, 0)]


def _name(options: dict[str, Any]) -> str:
    told = {**options, "relations": "-".join(options.get("relations", {})) or None}
    return " ".join(f"{name}={one}" for name, one in told.items() if one is not None)


@pytest.mark.parametrize("options", [*LINEAR, *CURVED], ids=_name)
def test_edges_and_the_score_without_them_sum_to_the_score(
    world: MakeWorld, options: dict[str, Any]
) -> None:
    made = world(**options)
    explainer, rng = made.explainer, np.random.default_rng(0)
    size = len(explainer.edges)
    users, items = made.scorer.vectors(made.params, made.features)
    for user, item in PAIRS:
        evidence = explainer.explain(user, item, most_edges=7, by_size=True)
        # It is the score that is ranked by.
        ranked = float(np.asarray(users)[user] @ np.asarray(items)[item])
        assert evidence.score == pytest.approx(ranked, rel=1e-4, abs=1e-5)
        for there_M, score in (
            (np.ones(size), evidence.score),
            (np.zeros(size), evidence.score_without_edges),
        ):
            expected = reference_score(made, user, item, there_M)
            assert score == pytest.approx(expected, rel=1e-4, abs=1e-5)
        parts = sum(edge.attribution for edge in evidence.edges)
        total = parts + evidence.other_edges + evidence.score_without_edges
        assert abs(total - evidence.score) <= 0.01 * abs(evidence.score)
        assert evidence.residual == pytest.approx(evidence.score - total, abs=1e-9)
        sizes = [abs(edge.attribution) for edge in evidence.edges]
        assert sizes == sorted(sizes, reverse=True)
        # Any edges that are taken away are those of a model without them.
        gone = rng.choice(size, size // 3, replace=False)
        there_M = np.ones(size)
        there_M[gone] = 0.0
        assert explainer.score_without(user, item, gone) == pytest.approx(
            reference_score(made, user, item, there_M), rel=1e-4, abs=1e-5
        )
        without = explainer.score_without(user, item, np.arange(size))
        assert without == pytest.approx(
            evidence.score_without_edges, rel=1e-5, abs=1e-6
        )


@pytest.mark.parametrize("options", LINEAR, ids=_name)
def test_attributions_of_a_linear_model_are_those_of_brute_force(
    world: MakeWorld, options: dict[str, Any]
) -> None:
    """The integral of what the score loses by a little less of an edge."""
    made = world(**options)
    size = len(made.explainer.edges)
    user, item = 0, 1
    attributions_M = made.explainer.attributions(user, item)
    assert attributions_M.shape == (size,)
    own, _ = made.explainer.edges.of(made.explainer.edges.user_node(user))
    some = np.random.default_rng(1).choice(size, 5, replace=False)
    places, weights = np.polynomial.legendre.leggauss(6)
    for edge in {*own[:4].tolist(), *some.tolist()}:
        total = 0.0
        for place, weight in zip((1 + places) / 2, weights / 2, strict=True):
            higher, lower = np.full((2, size), place)
            higher[edge] += 0.1
            lower[edge] -= 0.1
            # A score is a polynomial of an edge's multiplier, nearly a line.
            fine = [
                reference_score(made, user, item, place + step * (higher - place))
                - reference_score(made, user, item, place + step * (lower - place))
                for step in (0.01, 0.02)
            ]
            # Richardson: without the error of the third derivative.
            slope = (8 * fine[0] - fine[1]) / (12 * 0.001)
            total += weight * slope
        assert attributions_M[edge] == pytest.approx(total, rel=2e-3, abs=2e-5)


def test_where_the_score_is_linear_removal_loses_the_attribution(
    world: MakeWorld,
) -> None:
    made = world(sides="graph", num_layers=0, filter="item_item")
    explainer, user, item = made.explainer, 0, 1
    attributions_M = explainer.attributions(user, item)
    own, _ = explainer.edges.of(explainer.edges.user_node(user))
    score = explainer.score(user, item)
    for edge in range(len(explainer.edges)):
        loses = score - explainer.score_without(user, item, [edge])
        assert loses == pytest.approx(attributions_M[edge], abs=1e-5)
        if edge not in own:
            assert attributions_M[edge] == 0
    assert np.abs(attributions_M[own]).min() > 1e-4


def test_what_is_cited_adds_most_and_the_rest_is_summed(world: MakeWorld) -> None:
    explainer = world(sides="fused", filter="item_item").explainer
    attributions_M = explainer.attributions(0, 1)
    ordered = np.sort(attributions_M)[::-1]
    for most in (1, 4, 10_000):
        evidence = explainer.explain(0, 1, most_edges=most)
        count = min(most, int((attributions_M > 0).sum()))
        found = [edge.attribution for edge in evidence.edges]
        np.testing.assert_allclose(found, ordered[:count], rtol=1e-5, atol=1e-7)
        rest = attributions_M.sum() - ordered[:count].sum()
        assert evidence.other_edges == pytest.approx(rest, abs=1e-5)
        assert [edge.number for edge in evidence.edges] == list(range(1, count + 1))
        # Those that are left at the item.
        at_item, _ = explainer.edges.of(explainer.edges.item_node(1))
        left = np.setdiff1d(at_item, [edge.index for edge in evidence.edges])
        assert evidence.others_at_item == pytest.approx(
            attributions_M[left].sum(), abs=1e-5
        )


def test_texts_are_what_the_score_loses_without_them(world: MakeWorld) -> None:
    made = world(sides="text")
    of_profile = made.explainer.explain(PROFILE_OF, 5)
    # A profile is no edge: nothing of the graph carries a score of texts alone.
    assert of_profile.edges == ()
    assert of_profile.text is not None
    assert not of_profile.text.from_history
    assert of_profile.text.score == pytest.approx(of_profile.score, rel=1e-5)
    assert of_profile.score == of_profile.score_without_edges
    assert set(of_profile.text.words) == {"robots"}
    assert [path.kind for path in of_profile.paths] == ["text"]
    of_history = made.explainer.explain(0, 1)
    assert of_history.text is not None
    assert of_history.text.from_history
    assert of_history.text.score == pytest.approx(of_history.score, rel=1e-5)
    assert of_history.score_without_edges == 0
    assert made.explainer.explain(0, 16).text is not None
    assert world(sides="graph").explainer.explain(0, 1).text is None


def test_people_are_explained_to_people(world: MakeWorld) -> None:
    made = world(dataset=people_dataset(), relations={"club": 0.5}, filter="spectral")
    size, seen = len(made.explainer.edges), set()
    for user, item in ((0, 3), (5, 9), (2, 7)):
        evidence = made.explainer.explain(user, item, most_edges=200, by_size=True)
        for there_M, score in (
            (np.ones(size), evidence.score),
            (np.zeros(size), evidence.score_without_edges),
        ):
            expected = reference_score(made, user, item, there_M)
            assert score == pytest.approx(expected, rel=1e-4, abs=1e-5)
        assert abs(evidence.residual) <= 0.01 * abs(evidence.score)
        assert evidence.item.id == f"person-{item}"
        # Nobody else is named.
        assert _ids(evidence) <= {f"person-{user}", f"person-{item}", "", "c-0", "c-1"}
        seen |= {path.kind for path in evidence.paths}
    assert seen >= {"friend", "neighbour", "attribute"}


def _ids(evidence: Evidence) -> set[str]:
    return {end.id for edge in evidence.edges for end in (edge.head, edge.tail)}


def test_attributions_repeat(world: MakeWorld) -> None:
    explainer = world(sides="fused", filter="item_item").explainer
    assert explainer.explain(0, 1) == explainer.explain(0, 1)
