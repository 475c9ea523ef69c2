"""What the data say of items and users: what answers take their facts from.

Of interactions it holds the train part alone, as everything that a run has learned
from.
"""

import difflib
import functools
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.splits import TrainSplit
from llmgnn_jax.serving.recommender import Recommender
from llmgnn_jax.serving.titles import without_year
from llmgnn_jax.speaking.names import (
    Names,
    ValueName,
    value_forms,
    values_of,
    year_of,
)
from llmgnn_jax.speaking.question import Years
from llmgnn_jax.speaking.quoting import quoted


class Catalogue:
    """The items and users that a recommender knows.

    Args:
        recommender: The run.
    """

    def __init__(self, recommender: Recommender) -> None:
        self.dataset: Dataset = recommender.dataset
        self._train: TrainSplit = recommender.train
        self.item_ids = tuple(recommender.item_ids)
        self.item_titles = tuple(recommender.item_titles)
        self.item_numbers = {one: number for number, one in enumerate(self.item_ids)}
        self._users = {one: slot for slot, one in enumerate(self.dataset.user_ids)}
        self.names = Names.of(self.dataset, titles=self.item_titles)
        self.history = self._train.csr()
        self._counts_I = np.bincount(self.history.indices, minlength=len(self.item_ids))

    @property
    def user_ids(self) -> Iterable[str]:
        """Ids of all users."""
        return self._users.keys()

    @functools.cached_property
    def highest_rating(self) -> float | None:
        """5 where ratings are stars; None where all interactions are alike."""
        values = self._train.values
        alike = len(values) == 0 or bool(np.all(values == values[0]))
        return None if alike else float(values.max())

    @functools.cached_property
    def fields(self) -> frozenset[str]:
        """What items have values of, and the kinds that they are linked with."""
        linked = {
            other
            for relation in self.dataset.relations.values()
            for other in relation.kinds
            if "item" in relation.kinds
        }
        return frozenset(self.dataset.item_categorical) | (linked - {"item", "user"})

    def values_of_item(self, item: int) -> list[ValueName]:
        """The genres, tags and others of an item, in their order."""
        found: dict[ValueName, None] = {}
        if item < self.dataset.num_items:
            for field, column in self.dataset.item_categorical.items():
                found |= dict.fromkeys(
                    ValueName(field, one) for one in column[item] if one
                )
            for relation in self.dataset.relations.values():
                for here, there, mine, theirs in (
                    (*relation.kinds, relation.heads, relation.tails),
                    (*relation.kinds[::-1], relation.tails, relation.heads),
                ):
                    if here == "item" and there in self.dataset.entities:
                        found |= dict.fromkeys(
                            ValueName(there, self.dataset.entities[there][node])
                            for node in theirs[mine == item].tolist()
                        )
        return list(found)

    @functools.cached_property
    def _items_by_value(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for item in range(self.dataset.num_items):
            for value in {one.value.lower() for one in self.values_of_item(item)}:
                found.setdefault(value, []).append(item)
        return found

    def items_with(
        self,
        alternatives: Sequence[Sequence[ValueName]],
        *,
        years: Years | None = None,
    ) -> list[int]:
        """Some of the items, ascending.

        Args:
            alternatives: An item has all values of any of these; without any, all do.
            years: Of which it is, by its title; one without a year is of none.
        """
        found = set(range(len(self.item_ids)))
        if alternatives:
            found &= set[int]().union(*map(self._having_all, alternatives))
        if years is not None:
            first, last = years.first or 0, years.last or 9_999
            found = {
                item
                for item in found
                if (year := self._years[item]) is not None and first <= year <= last
            }
        return sorted(found)

    def _having_all(self, values: Sequence[ValueName]) -> set[int]:
        sets = [set(self._items_by_value.get(one.value.lower(), ())) for one in values]
        return set.intersection(*sets)

    @functools.cached_property
    def _years(self) -> tuple[int | None, ...]:
        return tuple(map(year_of, self.item_titles))

    @property
    def has_years(self) -> bool:
        """Whether titles end in years."""
        return any(year is not None for year in self._years)

    def title(self, item: int) -> str:
        """What an item is called where people read it."""
        return quoted(self.item_titles[item]) or quoted(self.item_ids[item])

    def people_with(self, item: int) -> int:
        """How many users had an item."""
        return int(self._counts_I[item])

    def people_with_all(self, items: Sequence[int]) -> int:
        """How many users had each of some items."""
        users, had = self.history.pairs()
        counts_U = np.bincount(users[np.isin(had, items)], minlength=1)
        return int(np.sum(counts_U == len(items)))

    def people_with_both(self, item: int, others: Sequence[int]) -> dict[int, int]:
        """How many users had an item and another, of each of the others."""
        users, items = self.history.pairs()
        theirs = np.isin(users, users[items == item])
        counts_I = np.bincount(items[theirs], minlength=len(self.item_ids))
        return {other: int(counts_I[other]) for other in others}

    def items_of(self, user: str) -> list[int]:
        """What a user had, ascending."""
        return self.history.row(self._users[user]).tolist()

    def ratings_of(self, user: str) -> dict[int, float]:
        """Item -> what a user gave it, the last time."""
        rows = np.flatnonzero(self._train.users == self._users[user])
        rows = rows[np.argsort(self._train.timestamps[rows], kind="stable")]
        pairs = zip(
            self._train.items[rows].tolist(),
            self._train.values[rows].tolist(),
            strict=True,
        )
        return dict(pairs)

    def taste(self, items: Sequence[int]) -> list[tuple[str, int]]:
        """Values of all fields that items have, and of how many, most first."""
        counts = Counter(
            one.value
            for item in items
            for one in self.values_of_item(item)
            if one.value.lower() not in ("unknown", "none")
        )
        return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))

    def best_known(self, items: Sequence[int], *, k: int) -> list[int]:
        """Those of some items that most users had."""
        return sorted(items, key=lambda item: (-int(self._counts_I[item]), item))[:k]

    def near_names(self, words: str, *, most: int = 3) -> list[str]:
        """Names that are written much like some words; users' ids are none of them."""
        folded = words.lower()
        forms: dict[str, str] = {}
        for item, title in enumerate(self.item_titles):
            for form in (title, without_year(title)):
                forms.setdefault(form.lower(), self.title(item))
        for value in values_of(self.dataset):
            if value.field in self.fields:
                for form in value_forms(value.value):
                    forms.setdefault(form.lower(), quoted(value.value))
        # Short words are near to many that they have nothing to do with.
        cutoff = 0.8 if len(folded) < 8 else 0.7
        near = difflib.get_close_matches(folded, forms, n=2 * most, cutoff=cutoff)
        return list(dict.fromkeys(forms[one] for one in near if one))[:most]
