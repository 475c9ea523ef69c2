"""`describe`: all that is said of a dataset, as one frozen value."""

from dataclasses import dataclass

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.describe.cold import Parts, parts, splits
from llmgnn_jax.data.describe.interactions import (
    Interactions,
    Links,
    interaction_facts,
    link_facts,
)
from llmgnn_jax.data.describe.leaks import Check, checks
from llmgnn_jax.data.describe.sides import FEW, Side, side

_SKEWED = 100


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a dataset is like; no user is named in it.

    Attributes:
        name: Of the dataset.
        content_hash: Of its content.
        users: See `Side`.
        items: Likewise.
        interactions: See there.
        entities: Kind -> how many.
        relations: See `Links`.
        splits: What is cold, by rule.
        checks: What was looked for that would flatter a model.
        warnings: What one should know before a training.
    """

    name: str
    content_hash: str
    users: Side
    items: Side
    interactions: Interactions
    entities: dict[str, int]
    relations: tuple[Links, ...]
    splits: tuple[Parts, ...]
    checks: tuple[Check, ...]
    warnings: tuple[str, ...]


def describe(dataset: Dataset, *, seed: int = 0) -> Description:
    """Looks at a dataset from all sides.

    Args:
        dataset: What to look at.
        seed: Of the split "random", and of what is drawn of large relations.
    """
    pairs = Csr.from_pairs(dataset.users, dataset.items, dataset.num_users)
    split_by = splits(dataset, seed=seed)
    users, items = (
        side(dataset, "user", pairs),
        side(dataset, "item", pairs),
    )
    met = interaction_facts(dataset, pairs)
    links = tuple(link_facts(dataset, name) for name in dataset.relations)
    found = checks(dataset, split_by, pairs=pairs, seed=seed)
    cold = tuple(parts(rule, split) for rule, split in split_by.items())
    return Description(
        name=dataset.name,
        content_hash=dataset.content_hash(),
        users=users,
        items=items,
        interactions=met,
        entities={kind: len(ids) for kind, ids in dataset.entities.items()},
        relations=links,
        splits=cold,
        checks=found,
        warnings=tuple(_warnings(users, items, met, cold, found)),
    )


def _warnings(
    users: Side,
    items: Side,
    met: Interactions,
    cold: tuple[Parts, ...],
    looked_for: tuple[Check, ...],
) -> list[str]:
    told = []
    for name, one in (("users", users), ("items", items)):
        if one.below > one.count / 2:
            told.append(
                f"{one.below:,} of {one.count:,} {name} have fewer than {FEW} "
                f"interactions: data.min_per_{name[:-1]} leaves them out"
            )
    reviewed = met.texts is not None and met.texts.filled > 0
    if not items.texts or not items.texts.filled:
        told.append(
            "no item has a text of its own: a model of texts reads those of the "
            "interactions in train"
            if reviewed
            else "no item has a text: a model of texts has nothing to read"
        )
    elif items.texts.filled < items.count:
        told.append(f"{items.count - items.texts.filled:,} items have no text")
    values = met.values
    if values is None or values.min == values.max:
        value = 1.0 if values is None else values.min
        told.append(
            f"all values are {value:g}: nothing says how much somebody liked an item"
        )
    elif values.min > 0 and values.max > _SKEWED * values.median:
        told.append(
            f"the largest value is {values.max / values.median:,.0f} times the "
            "median: sums and means are those of a few"
        )
    if met.times is None:
        told.append("no timestamps: 'leave_last_out' and 'temporal' cannot be used")
    else:
        if met.times.missing:
            told.append(f"{met.times.missing:,} interactions have no time")
        if met.times.together > met.count / 2:
            told.append(
                f"{met.times.together:,} of {met.count:,} interactions are in the same "
                "second as another of their user: which came last is not known"
            )
    for part in cold:
        test = part.test
        if test is not None and test.cold_interactions > test.interactions / 2:
            told.append(
                f"{part.rule}: {test.cold_interactions:,} of {test.interactions:,} "
                "test interactions are with a user or an item that train has not"
            )
    told += [
        f"look at: {check.asked}: {check.found:,} of {check.of:,}"
        for check in looked_for
        if check.suspicious
    ]
    return told
