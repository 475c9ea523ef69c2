"""`Shelf`: the items that there are now, as a model sees them, ready to be ranked.

Shapes: U users, I items (slots of both, in use or not), B of them that are asked for,
D width of the vectors, k length of the lists.
"""

import functools
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from llmgnn_jax.data import catalog
from llmgnn_jax.data.dataset import Csr
from llmgnn_jax.data.filters import pairs_among
from llmgnn_jax.data.people import with_oneself
from llmgnn_jax.evaluation.places import ranked_with_places
from llmgnn_jax.evaluation.ranker import Ranker
from llmgnn_jax.evaluation.ranking import Rankings
from llmgnn_jax.evaluation.user_lists import UserLists
from llmgnn_jax.evidence.attribute import Explainer
from llmgnn_jax.models.features import Features
from llmgnn_jax.serving.answers import RecommendedItem
from llmgnn_jax.serving.mentions import NameIndex
from llmgnn_jax.serving.titles import TitleIndex
from llmgnn_jax.training.explained import explainer_of
from llmgnn_jax.training.prepare import Prepared
from llmgnn_jax.training.trained import TrainedModel

_CHUNK = 4_096
"""Users that are ranked at once where lists of many are asked for."""


class Shelf:
    """Items with their ids, titles and vectors, and who has met them.

    Nothing in it changes: new items make another one (`new_items.shelf_with`).

    Args:
        prepared: The run's data.
        model: Whose vectors rank.
        features: What the model reads, with all items that there are.
        ids: External ids of the items.
        titles: In the same order, "" where unknown.
        texts: Likewise.
        met: (U x I) what a user is never recommended.
    """

    def __init__(
        self,
        prepared: Prepared,
        model: TrainedModel,
        *,
        features: Features,
        ids: Sequence[str],
        titles: Sequence[str],
        texts: Sequence[str],
        met: Csr,
    ) -> None:
        self._prepared, self._model = prepared, model
        self.features, self.met = features, met
        self.ids, self.titles, self.texts = ids, titles, texts
        users, items = model.scorer.vectors(model.params, features)
        self.users_UD, self._ranker = np.asarray(users), Ranker(items)
        # What is only ranked is in the ranker, in a form of its own.
        rates = prepared.config.task == "rating"
        self.items_ID = np.asarray(items) if rates else None
        # Those that training never met, and all that came after it.
        _, connected = features.graph.split_nodes(features.graph.connected)
        self.new_I = ~np.asarray(connected)
        self.new_I[prepared.dataset.num_items :] = True
        # By all slots, in use or not: another number of items compiles nothing.
        self._in_use_I = np.arange(len(items)) < len(ids)
        self._places = prepared.config.evaluation.new_places
        self._of_users = UserLists(
            self._ranker,
            self.users_UD[: met.num_rows],
            seen=met,
            candidates=self._in_use_I,
        )
        self._by_title = TitleIndex(ids, titles)

    @classmethod
    def of_run(cls, prepared: Prepared, model: TrainedModel) -> "Shelf":
        """The items that the run was trained with."""
        dataset = prepared.dataset
        return cls(
            prepared,
            model,
            features=model.features,
            ids=dataset.item_ids,
            titles=dataset.item_titles,
            texts=dataset.item_texts,
            met=_all_met(prepared),
        )

    def find(self, item: str) -> int:
        """The number of an item, by its id or title; errors as of `TitleIndex.find`."""
        return self._by_title.find(item)

    @functools.cached_property
    def names(self) -> NameIndex:
        """The items by what sentences may call them."""
        return NameIndex(self.ids, self.titles)

    @functools.cached_property
    def explainer(self) -> Explainer:
        """Explains scores of users and items by their numbers."""
        return explainer_of(
            self._prepared,
            self._model,
            features=self.features,
            item_ids=self.ids,
            item_titles=self.titles,
            item_texts=self.texts,
        )

    @functools.cached_property
    def _directions_ID(self) -> np.ndarray:
        """The items' vectors at length 1; 0 of those that nothing is known of."""
        _, items = self._model.scorer.vectors(self._model.params, self.features)
        vectors_ID = np.asarray(items)[: len(self.ids)]
        lengths_I1 = np.linalg.norm(vectors_ID, axis=1, keepdims=True)
        return vectors_ID / np.where(lengths_I1 > 0, lengths_I1, 1.0)

    def alike(self, item: int, k: int) -> list[RecommendedItem]:
        """The items whose vectors lie nearest to that of an item, by their cosine."""
        directions_ID = self._directions_ID
        cosines_I = directions_ID @ directions_ID[item]
        # What nothing is known of is like nothing.
        known_I = np.linalg.norm(directions_ID, axis=1) > 0
        scores_I = np.where(known_I & known_I[item], cosines_I, -1.0)
        scores_I[item] = -np.inf
        nearest = np.argsort(-scores_I, kind="stable")[: min(k, len(scores_I) - 1)]
        return [
            RecommendedItem(
                id=self.ids[one],
                title=self.titles[one],
                score=float(scores_I[one]),
                rank=rank,
            )
            for rank, one in enumerate(nearest.tolist(), start=1)
        ]

    def of_user(
        self, slot: int, k: int, *, among: Collection[str] | None = None
    ) -> list[RecommendedItem]:
        """The best items of a user of the run, of those that are `among` some or all.

        Shorter than k where there are no more.
        """
        if among is not None or (self._places and self.new_I.any()):
            return self.ranked(self.users_UD[slot], self.met.row(slot), k, among=among)
        length = min(k, len(self._in_use_I))
        return self._listed(*self._of_users.best(slot, k=length))

    def ranked(
        self,
        vector_D: np.ndarray,
        met: np.ndarray,
        k: int,
        *,
        among: Collection[str] | None = None,
    ) -> list[RecommendedItem]:
        """The best items for a vector, of those not in `met`, ascending and distinct.

        Shorter than k where the catalogue, or what is `among` it, is exhausted.
        """
        seen = Csr(indptr=np.array([0, len(met)]), indices=met)
        in_use_I = self._in_use_I
        if among is not None:
            wanted = frozenset(among)
            in_use_I = np.zeros(len(in_use_I), bool)
            in_use_I[: len(self.ids)] = [one in wanted for one in self.ids]
        found = self._rankings(vector_D[None, :], seen, k, in_use_I)
        return self._listed(found.items[0], found.scores[0])

    def lists(self, slots: np.ndarray, k: int) -> Iterator[list[RecommendedItem]]:
        """That of each of some users, by their numbers, `_CHUNK` at a time."""
        for first in range(0, len(slots), _CHUNK):
            chunk = slots[first : first + _CHUNK]
            seen = self.met.take(chunk)
            found = self._rankings(self.users_UD[chunk], seen, k, self._in_use_I)
            for row in range(len(chunk)):
                yield self._listed(found.items[row], found.scores[row])

    def _rankings(
        self, vectors_BD: np.ndarray, seen: Csr, k: int, in_use: np.ndarray
    ) -> Rankings:
        """Of items that are in use and not seen."""

        def ranked(candidates: np.ndarray | None) -> Rankings:
            return self._ranker.rank(
                vectors_BD, seen=seen, k=min(k, len(in_use)), candidates=candidates
            )

        return ranked_with_places(
            ranked,
            candidates=in_use,
            new=self.new_I & in_use,
            places=self._places,
        )

    def _listed(
        self, items_k: np.ndarray, scores_k: np.ndarray
    ) -> list[RecommendedItem]:
        """One user's list; shorter where the catalogue is exhausted."""
        return [
            RecommendedItem(
                id=self.ids[item], title=self.titles[item], score=score, rank=rank
            )
            for rank, (item, score) in enumerate(
                zip(items_k.tolist(), scores_k.tolist(), strict=True), start=1
            )
            if item >= 0
        ]


def _all_met(prepared: Prepared) -> Csr:
    """(U x I) all that a user is known to have met: the held-out parts, and what was
    left out for its value, which is no reason to recommend it; people themselves."""
    config, kept = prepared.config.data, prepared.dataset
    users, items = kept.users, kept.items
    if config.min_value is not None:
        before = catalog.load(
            config.source,
            columns=config.columns,
            target=config.target,
            dataset=prepared.held,
        )
        users, items = pairs_among(before, kept)
    met = Csr.from_pairs(users, items, kept.num_users)
    return with_oneself(met, people=kept.people != "none")
