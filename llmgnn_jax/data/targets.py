"""What is recommended: items, or whatever a relation links users with.

Friends are recommended by the links between users, groups by those between users and
groups. Who interacted with what is a relation then, which messages may go along.
"""

import dataclasses

import numpy as np

from llmgnn_jax.data.dataset import Dataset, People
from llmgnn_jax.data.relations import Relation
from llmgnn_jax.data.suggestions import did_you_mean
from llmgnn_jax.errors import UserError

INTERACTIONS = "interactions"
CONTENT = "content"
"""The kind of entities that the items become."""


def with_target(dataset: Dataset, target: str) -> Dataset:
    """The dataset whose interactions are the links of a relation from users.

    Links to users give `people`: "followers" where they are directed, else "friends".
    Links to entities give a catalogue of these, whose ids are their titles and texts.
    The interactions before are the relation "interactions", between users and entities
    of the kind "content"; their ratings, texts and times are left out, and so is what
    the catalogue says of them but their titles.

    Args:
        dataset: With relations.
        target: "interactions", which changes nothing, or the name of a relation.

    Raises:
        UserError: If there is none of that name, its heads are not users, or its tails
            are items.
    """
    if target == INTERACTIONS:
        return dataset
    suitable = [
        name
        for name, relation in dataset.relations.items()
        if relation.heads_of == "user" and relation.tails_of != "item"
    ]
    if target not in suitable:
        raise UserError.field(
            "data.target",
            expected="one of " + ", ".join([INTERACTIONS, *suitable]),
            got=repr(target),
            fix=did_you_mean(target, suitable)
            or f"{dataset.name} has no such links from users",
        )
    relation = dataset.relations[target]
    heads, tails, weights = relation.heads, relation.tails, relation.weights
    people: People = "none"
    others = {k: ids for k, ids in dataset.entities.items() if k != relation.tails_of}
    if relation.tails_of == "user":
        people = "followers" if relation.directed else "friends"
        item_ids, titles = dataset.user_ids, ("",) * dataset.num_users
        texts = dataset.user_texts or ("",) * dataset.num_users
        if people == "friends":
            heads, tails = np.append(heads, tails), np.append(tails, heads)
            weights = np.tile(weights, 2)
    else:
        item_ids = titles = texts = dataset.entities[relation.tails_of]
    taken = {*others, "user"} & {CONTENT}
    if taken:
        raise UserError.field(
            f"entities[{CONTENT!r}]",
            expected="a kind of another name, which the items take",
            got=repr(CONTENT),
        )
    return Dataset(
        name=f"{dataset.name}, {target}",
        user_ids=dataset.user_ids,
        item_ids=item_ids,
        users=heads,
        items=tails,
        values=weights,
        timestamps=np.zeros(len(heads), np.int64),
        item_titles=titles,
        item_texts=texts,
        user_texts=dataset.user_texts,
        user_categorical=dataset.user_categorical,
        user_numeric=dataset.user_numeric,
        filters=dataset.filters,
        entities={**others, CONTENT: dataset.item_ids},
        entity_titles={
            **{k: of for k, of in dataset.entity_titles.items() if k in others},
            CONTENT: dataset.item_titles,
        },
        relations={
            INTERACTIONS: Relation.merged(
                heads_of="user",
                tails_of=CONTENT,
                heads=dataset.users,
                tails=dataset.items,
            ),
            **{
                name: _renamed(other, relation.tails_of)
                for name, other in dataset.relations.items()
                if name != target
            },
        },
        people=people,
    )


def _renamed(relation: Relation, target: str) -> Relation:
    """A relation among the new kinds: items are content, the target's kind is items."""
    kinds = {"item": CONTENT}
    if target != "user":
        kinds[target] = "item"
    return dataclasses.replace(
        relation,
        heads_of=kinds.get(relation.heads_of, relation.heads_of),
        tails_of=kinds.get(relation.tails_of, relation.tails_of),
    )
