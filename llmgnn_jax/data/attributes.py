"""Attributes as nodes: films of one genre hear of one another."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.relations import SIDES, Relation
from llmgnn_jax.data.suggestions import did_you_mean
from llmgnn_jax.errors import UserError

ALL = "all"


def with_attributes(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """The dataset with relations of these names, and no others.

    A name is that of a relation, which stays, or of a categorical field, whose values
    become entities that the users or items with that value are linked to. "all" stands
    for all relations that there are, unless something is called so; fields are named.

    Raises:
        UserError: If it is neither, or several things; or for an attribute with the
            name of a kind that another of them links.
    """
    if not names:
        return dataset
    relations: dict[str, Relation] = {}
    entities: dict[str, tuple[str, ...]] = {}
    for name in _spelled_out(dataset, names):
        sides = [
            side for side in SIDES if name in getattr(dataset, f"{side}_categorical")
        ]
        if (name in dataset.relations) + len(sides) != 1:
            known = sorted(
                {*dataset.relations}
                | {*dataset.user_categorical}
                | {*dataset.item_categorical}
            )
            raise UserError.field(
                "graph.relations",
                expected="one of " + ", ".join(known)
                if known
                else f"none: there are no relations in {dataset.name}",
                got=repr(name) if not sides else f"{name!r}, which is several of them",
                fix=did_you_mean(name, known) if not sides else "",
            )
        if not sides:
            relations[name] = dataset.relations[name]
            for kind in relations[name].kinds:
                if kind in dataset.entities:
                    entities[kind] = dataset.entities[kind]
            continue
        entities[name], relations[name] = _linked(dataset, sides[0], name)
    # Two things of one name would be one kind of nodes.
    linked = [one for name, one in relations.items() if name in dataset.relations]
    for name in relations.keys() - dataset.relations.keys():
        if any(name in one.kinds for one in linked):
            raise UserError.field(
                "graph.relations",
                expected=f"the attribute {name!r} or links of the kind {name!r}",
                got="both",
            )
    return dataclasses.replace(dataset, relations=relations, entities=entities)


def _spelled_out(dataset: Dataset, names: Sequence[str]) -> Sequence[str]:
    """The names, each once, with those of the relations in the place of "all"."""
    fields = {*dataset.user_categorical, *dataset.item_categorical}
    if ALL not in names or ALL in {*dataset.relations, *fields}:
        return names
    if not dataset.relations:
        raise UserError.field(
            "graph.relations",
            expected=f"none, or a field of {dataset.name}, which has no relations",
            got=repr(ALL),
        )
    found: dict[str, None] = {}
    for name in names:
        found |= dict.fromkeys(dataset.relations if name == ALL else [name])
    return tuple(found)


def _linked(dataset: Dataset, side: str, name: str) -> tuple[tuple[str, ...], Relation]:
    """The values of a categorical field, and who is linked to them."""
    column = getattr(dataset, f"{side}_categorical")[name]
    values = sorted({value for row in column for value in row if value})
    place = {value: number for number, value in enumerate(values)}
    pairs = [
        (number, place[value])
        for number, row in enumerate(column)
        for value in dict.fromkeys(row)
        if value
    ]
    if not pairs:
        raise UserError.field(
            "graph.relations",
            expected="an attribute that some have",
            got=f"{name!r}, which nobody has",
        )
    ends = np.array(pairs, np.int64)
    relation = Relation.merged(
        heads_of=side, tails_of=name, heads=ends[:, 0], tails=ends[:, 1]
    )
    return tuple(values), relation
