"""A train part with all its relations apart, for layers that tell them apart.

`layers.RGCNLayer` has a matrix a relation; edges say theirs in `edges["relation"]`.
"""

from collections.abc import Sequence

import numpy as np

from llmgnn_jax.data.splits import TrainSplit
from llmgnn_jax.graph.layers.relations import (
    Relation,
    RelationalGraph,
    Reverse,
    join_relations,
)

INTERACTED = "interacted"


def build_relational(
    train: TrainSplit,
    relations: Sequence[str] | None = None,
    *,
    buckets: bool = False,
) -> RelationalGraph:
    """Users, items and entities with the train interactions and links between them.

    An item hears of its users by "interacted", and they of it by "interacted
    (reverse)". A directed link is heard by its tail alone; an undirected one both ways,
    as one relation where both ends are of a kind (friends), as two where they are not
    (a genre hears of its films otherwise than they of it).

    Args:
        train: The train part of a split; nothing else is accepted.
        relations: Names of its relations; all of them if not given.
        buckets: As for `plan.plan_edges`.

    Returns:
        Its kinds are "user", "item" and those of the entities; where items are people,
        there are users alone. Weights are 1 / c_vr, or a link's share of them.

    Raises:
        TypeError: If `train` is not a `TrainSplit`.
        KeyError: If it has no relation of a name.
    """
    if not isinstance(train, TrainSplit):
        raise TypeError(
            "build_relational takes Split.training(), so that no held-out interaction "
            f"can reach the graph; got {type(train).__name__}"
        )
    kinds = {"user": train.num_users}
    if not train.people:
        kinds["item"] = train.num_items
    users, items = train.csr().pairs()
    found = [
        Relation(
            name=INTERACTED,
            senders=users,
            receivers=items,
            sender_kind="user",
            receiver_kind="user" if train.people else "item",
            # Friends are there in both directions already.
            reverse="none" if train.people else "own",
        )
    ]
    for name in train.relations if relations is None else relations:
        links = train.relations[name]
        reverse: Reverse = "same" if links.heads_of == links.tails_of else "own"
        found.append(
            Relation(
                name=name,
                senders=links.heads.astype(np.int64),
                receivers=links.tails.astype(np.int64),
                sender_kind=links.heads_of,
                receiver_kind=links.tails_of,
                weights=links.weights,
                reverse="none" if links.directed else reverse,
            )
        )
    return join_relations(
        found, num_nodes=kinds | dict(train.num_entities), buckets=buckets
    )
