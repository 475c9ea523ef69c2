"""Several relations between several kinds of nodes as one graph, on the host.

Shapes: N nodes of all kinds, E edges of all relations, R relations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import jraph
import numpy as np

from llmgnn_jax.errors import UserError
from llmgnn_jax.graph.plan import EdgePlan, sorted_graph

# Whether edges are heard against their direction too: not at all, as the same relation
# (friends), or as a relation of its own (a genre hears of its films).
Reverse = Literal["none", "same", "own"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Relation:
    """Edges of one meaning.

    Attributes:
        name: Of the relation.
        senders: (E_r,) numbers among the nodes of the sending kind.
        receivers: (E_r,) likewise.
        sender_kind: Which nodes send, a name.
        receiver_kind: Which nodes hear.
        weights: (E_r,), or None for 1.
        reverse: How the edges are heard against their direction.
    """

    name: str
    senders: np.ndarray
    receivers: np.ndarray
    sender_kind: str
    receiver_kind: str
    weights: np.ndarray | None = None
    reverse: Reverse = "none"


@dataclass(frozen=True, kw_only=True, eq=False)
class RelationalGraph:
    """All of them.

    Attributes:
        graph: `nodes` None; `edges` "relation" (E,) int32 and "weight" (E,) float32.
        plan: Its edges.
        relations: R names; edges["relation"] counts them from 0.
        first_node: Number of the first node of each kind: node j of a kind is node
            first_node[kind] + j.
    """

    graph: jraph.GraphsTuple
    plan: EdgePlan
    relations: tuple[str, ...]
    first_node: Mapping[str, int]


def join_relations(
    relations: Sequence[Relation],
    *,
    num_nodes: Mapping[str, int],
    normalise: bool = True,
    buckets: bool = False,
) -> RelationalGraph:
    """Joins user-item, social, item-item, knowledge-graph, ... edges into one graph.

    Args:
        relations: The edges; a name stands once.
        num_nodes: How many nodes each kind has; kinds are numbered in this order.
        normalise: Whether "weight" is divided by the sum of the node's weights of the
            relation: 1 / c_vr where there are no others (Schlichtkrull et al. 2018,
            eq. 2).
        buckets: As for `plan.plan_edges`.

    Raises:
        UserError: If there is no such kind, a node is not among its kind, or a name or
            a weight is wrong.
    """
    counts = list(num_nodes.values())
    firsts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64).tolist()
    first_node = dict(zip(num_nodes, firsts, strict=False))
    names: list[str] = []
    parts: list[tuple[np.ndarray, ...]] = []
    for relation in relations:
        senders, receivers, weights = _edges_of(relation, num_nodes, first_node)
        names.append(relation.name)
        parts.append((senders, receivers, weights, np.full(len(senders), len(names))))
        if relation.reverse != "none":
            if relation.reverse == "own":
                names.append(f"{relation.name} (reverse)")
            kind = np.full(len(senders), len(names))
            parts.append((receivers, senders, weights, kind))
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError.field(
            "relation.name", expected="different names", got=f"{twice[0]!r} twice"
        )
    empty = tuple(np.zeros(0, np.int64) for _ in range(4))
    senders, receivers, weights, kinds = (
        np.concatenate(part) for part in zip(empty, *parts, strict=True)
    )
    if normalise:
        rows = receivers * max(len(names), 1) + kinds - 1
        _, groups = np.unique(rows, return_inverse=True)
        weights = weights / np.bincount(groups, weights=weights)[groups]
    graph, plan = sorted_graph(
        senders,
        receivers,
        firsts[-1],
        edges={
            "weight": weights.astype(np.float32),
            "relation": (kinds - 1).astype(np.int32),
        },
        buckets=buckets,
    )
    return RelationalGraph(
        graph=graph, plan=plan, relations=tuple(names), first_node=first_node
    )


def _edges_of(
    relation: Relation, num_nodes: Mapping[str, int], first_node: Mapping[str, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Senders and receivers among all nodes, and weights."""
    ends = []
    for name, numbers, kind in (
        ("senders", relation.senders, relation.sender_kind),
        ("receivers", relation.receivers, relation.receiver_kind),
    ):
        field = f"{relation.name}.{name}"
        if kind not in num_nodes:
            raise UserError.field(
                field, expected=f"one of the kinds {', '.join(num_nodes)}", got=kind
            )
        numbers = np.asarray(numbers, np.int64)
        if numbers.size and not (
            numbers.min() >= 0 and numbers.max() < num_nodes[kind]
        ):
            raise UserError.field(
                field,
                expected=f"numbers in [0, {num_nodes[kind]})",
                got=f"{numbers.min()} to {numbers.max()}",
            )
        ends.append(first_node[kind] + numbers)
    if relation.weights is None:
        weights = np.ones(len(ends[0]))
    else:
        weights = np.asarray(relation.weights, np.float64)
    if not len(ends[0]) == len(ends[1]) == len(weights):
        raise UserError.field(
            relation.name,
            expected="as many senders as receivers and weights",
            got=f"{len(ends[0])}, {len(ends[1])} and {len(weights)}",
        )
    if np.any(~(weights > 0)):
        raise UserError.field(
            f"{relation.name}.weights", expected="numbers above 0", got=weights.min()
        )
    return ends[0], ends[1], weights
