"""`Recommender`: a finished run answers for users, items and texts.

recommender = Recommender.load("runs/ml-100k/20260101-120000")
recommender.recommend(user="196")
recommender.recommend(items=["Toy Story", "50"])
recommender.recommend(text="a heist film with robots")
recommender.recommend(sentence="I like Toy Story and Fargo")
recommender.explain(user="196", item="Fargo")
Recommender.load("runs/ml-100k-rating/20260101-120000").predict(user="196", item="50")
"""

import functools
import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from llmgnn_jax.config import ModelName
from llmgnn_jax.data import catalog
from llmgnn_jax.data.dataset import Csr, Dataset
from llmgnn_jax.data.filters import pairs_among
from llmgnn_jax.data.people import with_oneself
from llmgnn_jax.data.splits import TrainSplit
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.places import ranked_with_places
from llmgnn_jax.evaluation.ranker import Ranker
from llmgnn_jax.evaluation.ranking import Rankings
from llmgnn_jax.evidence.attribute import Explainer
from llmgnn_jax.evidence.explanation import Evidence
from llmgnn_jax.models.features import Features
from llmgnn_jax.models.new_items import with_new_items
from llmgnn_jax.models.newcomers import fold_in_users
from llmgnn_jax.serving.loaded import load_run, model_version
from llmgnn_jax.serving.mentions import Mention, NameIndex
from llmgnn_jax.serving.titles import TitleIndex
from llmgnn_jax.text.interface import Encoder, refusing_bad_weights
from llmgnn_jax.training.explained import explainer_of
from llmgnn_jax.training.prepare import Prepared
from llmgnn_jax.training.rating_data import clipped
from llmgnn_jax.training.trained import TrainedModel

logger = logging.getLogger(__name__)

_CHUNK = 4_096
"""Users that are ranked at once where lists of many are asked for."""


@dataclass(frozen=True, kw_only=True)
class RecommendedItem:
    """One item of a list.

    Attributes:
        id: The item's external id.
        title: For people, "" where unknown.
        score: The dot product that it was ranked by; comparable within a list only. In
            a run of the task rating, the predicted rating before it is clipped.
        rank: From 1.
    """

    id: str
    title: str
    score: float
    rank: int


@dataclass(frozen=True, kw_only=True)
class PredictedRating:
    """What a user is expected to give an item.

    Attributes:
        id: The item's external id.
        title: For people, "" where unknown.
        rating: Within the lowest and the highest rating of the train part.
    """

    id: str
    title: str
    rating: float


@dataclass(frozen=True, kw_only=True)
class NewItem:
    """An item that came after training.

    Attributes:
        id: Its external id, of no item that is there.
        text: What the catalogue says of it, "" for nothing.
        title: For people, and to be found by.
        users: External ids of trained users who had it already.
    """

    id: str
    text: str = ""
    title: str = ""
    users: Sequence[str] = ()


class Recommender:
    """A run, loaded. Use `load`.

    Args:
        prepared: The run's data.
        model: One of its models.
    """

    def __init__(self, prepared: Prepared, model: TrainedModel) -> None:
        self._prepared, self._model = prepared, model
        dataset = prepared.dataset
        self._slots = {one: number for number, one in enumerate(dataset.user_ids)}
        self._met = _all_met(prepared)
        self._item_texts: Sequence[str] = dataset.item_texts
        self._know(model.features, dataset.item_ids, dataset.item_titles)

    def _know(
        self, features: Features, ids: Sequence[str], titles: Sequence[str]
    ) -> None:
        """From now on these are the items, and this is what the model reads."""
        model = self._model
        users, items = model.scorer.vectors(model.params, features)
        self._users, self._ranker = np.asarray(users), Ranker(items)
        # What is only ranked is in the ranker, in a form of its own.
        rates = self._prepared.config.task == "rating"
        self._items = np.asarray(items) if rates else None
        self._features, self._item_ids, self._item_titles = features, ids, titles
        self._explainer: Explainer | None = None
        self._titles = TitleIndex(ids, titles)
        self._names: NameIndex | None = None
        # Those that training never met, and all that came after it.
        _, connected = features.graph.split_nodes(features.graph.connected)
        self._new = ~np.asarray(connected)
        self._new[self._prepared.dataset.num_items :] = True
        # By all slots, in use or not: another number of items compiles nothing.
        self._in_use = np.arange(len(items)) < len(ids)

    @classmethod
    def load(cls, run: str | Path, *, model: ModelName | None = None) -> "Recommender":
        """Loads a run folder.

        Args:
            run: The folder, or its URL.
            model: Which of its models; by default the last one, which the run's paths
                were measured for.

        Raises:
            UserError: If the folder is no run, its checkpoint cannot be read, or the
                data are no longer those that it was trained on.
        """
        return cls(*load_run(run, model=model))

    @property
    def model_name(self) -> ModelName:
        """Which of the run's models answers."""
        return self._model.name

    @functools.cached_property
    def version(self) -> str:
        """16 hex digits: the model, its parameters and the split it was trained on.

        Two runs that came out the same, bit for bit, share it.
        """
        return model_version(self._prepared, self._model)

    @property
    def user_ids(self) -> tuple[str, ...]:
        """The users that lists can be asked for."""
        return self._prepared.dataset.user_ids

    @property
    def dataset(self) -> Dataset:
        """Names, titles and attributes; its interactions are those of all parts."""
        return self._prepared.dataset

    @property
    def train(self) -> TrainSplit:
        """The interactions that it was trained on."""
        return self._prepared.train

    @property
    def item_ids(self) -> tuple[str, ...]:
        """The items that lists are of, those that were added included."""
        return tuple(self._item_ids)

    @property
    def item_titles(self) -> Sequence[str]:
        """Theirs, "" where unknown."""
        return self._item_titles

    def alike(self, item: str, *, k: int = 10) -> list[RecommendedItem]:
        """The items whose vectors lie nearest to that of an item.

        Args:
            item: Id or title.
            k: Length of the list, from 1. Scores are cosines.

        Raises:
            UserError: For an unknown or ambiguous item.
        """
        _check_length(k)
        place = self._titles.find(item)
        _, items = self._model.scorer.vectors(self._model.params, self._features)
        vectors_ID = np.asarray(items)[: len(self._item_ids)]
        lengths_I = np.linalg.norm(vectors_ID, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            scores_I = vectors_ID @ vectors_ID[place] / (lengths_I * lengths_I[place])
        # What nothing is known of is like nothing.
        scores_I = np.nan_to_num(scores_I, nan=-1.0)
        scores_I[place] = -np.inf
        nearest = np.argsort(-scores_I, kind="stable")[: min(k, len(scores_I) - 1)]
        return [
            RecommendedItem(
                id=self._item_ids[one],
                title=self._title(one),
                score=float(scores_I[one]),
                rank=rank,
            )
            for rank, one in enumerate(nearest.tolist(), start=1)
        ]

    @property
    def text_encoder(self) -> Encoder | None:
        """What reads its texts, as it was trained; None for a model without text.

        One that was trained with the model has `save(folder)`.
        """
        return self._model.encoder

    def recommend(
        self,
        *,
        user: str | None = None,
        items: Sequence[str] | None = None,
        text: str | None = None,
        sentence: str | None = None,
        k: int = 10,
        among: Collection[str] | None = None,
    ) -> list[RecommendedItem]:
        """The k best items that were not met yet; fewer where the catalogue ends.

        Exactly one of `user`, `items`, `text` and `sentence` is given.

        Args:
            user: External id of a trained user.
            items: Ids or titles that a newcomer likes: its edges are folded in by one
                propagation, and its text is theirs.
            text: What is looked for, in words: a newcomer without edges.
            sentence: What someone says of what they like. The items that it names (see
                `named`) are as in `items`; where it names none, it is a text.
            k: Length of the list, from 1.
            among: Ids of the items that may be in a user's list; None: all.

        Raises:
            UserError: For an unknown user, an unknown or ambiguous item, an empty text,
                or a model that lacks the side that is asked for.
        """
        asked = (user, items or None, text, sentence)
        given = [one for one in asked if one is not None]
        if len(given) != 1:
            raise UserError.field(
                "recommend",
                expected="one of user, item, text and sentence",
                got=f"{len(given)} of them",
                fix="for example --user 196",
            )
        if isinstance(items, str):
            raise UserError.field(
                "items", expected="a list of ids or titles", got=f"one str, {items!r}"
            )
        _check_length(k)
        if user is not None:
            slot = self._user_slot(user)
            met = self._met.row(slot)
            return self._rank(self._users[slot], met, k, among=among)
        if among is not None:
            raise UserError.field("among", expected="a user", got="none")
        if items:
            return self._rank_liked([self._titles.find(item) for item in items], k)
        if sentence is not None:
            mentions = self.named(sentence)
            if mentions:
                return self._rank_liked([mention.item for mention in mentions], k)
            text = self._nothing_named(sentence)
        assert text is not None
        return self._rank(self._reader(text), np.zeros(0, np.int64), k)

    def predict(self, *, user: str, item: str) -> PredictedRating:
        """What a user is expected to give an item, in a run of the task rating.

        Args:
            user: External id of a user of the data. One without a train interaction is
                predicted by the item's bias, and by what texts say.
            item: Id or title, of one that was added later too.

        Raises:
            UserError: For a run of another task, an unknown user, or an unknown or
                ambiguous item.
        """
        prepared = self._prepared
        if self._items is None:
            raise UserError.field(
                "predict",
                expected="a run of the task rating",
                got=f"one of the task {prepared.config.task}",
                fix="train one, for example with the recipe ml-100k-rating",
            )
        if user not in self._slots:
            raise UserError.field(
                f"user {user!r}",
                expected="a user of the training data",
                got="one that is not there",
            )
        slot, place = self._slots[user], self._titles.find(item)
        rating = np.sum(self._users[slot] * self._items[place], dtype=np.float64)
        return PredictedRating(
            id=self._item_ids[place],
            title=self._title(place),
            rating=float(clipped(rating, prepared)),
        )

    def explain(
        self, *, user: str, item: str, most_edges: int = 12, show_ids: bool = False
    ) -> Evidence:
        """Why an item has its score for a user: the edges that carry it.

        Any item has one, met or not. The first explanation compiles a program.

        Args:
            user: External id of a trained user.
            item: Id or title, of one that was added later too.
            most_edges: How many edges are cited at most, from 1. Where items are
                ranked, those that add most to the score; of a predicted rating, those
                that move it most, up or down.
            show_ids: Whether other users are named by their ids.

        Raises:
            UserError: For an unknown user, or an unknown or ambiguous item.
        """
        if most_edges < 1:
            raise UserError.field(
                "most_edges", expected="a number from 1 on", got=most_edges
            )
        slot, place = self._user_slot(user), self._titles.find(item)
        return self.explainer.explain(
            slot,
            place,
            most_edges=most_edges,
            by_size=self._prepared.config.task == "rating",
            ids="all" if show_ids else "asked",
        )

    @property
    def explainer(self) -> Explainer:
        """Explains scores by slots: `user_ids` and the items have theirs in order."""
        if self._explainer is None:
            self._explainer = explainer_of(
                self._prepared,
                self._model,
                features=self._features,
                item_ids=self._item_ids,
                item_titles=self._item_titles,
                item_texts=self._item_texts,
            )
        return self._explainer

    def lists(
        self, *, users: Sequence[str] | None = None, k: int = 10
    ) -> Iterator[tuple[str, list[RecommendedItem]]]:
        """(user, the list that `recommend` gives) for many users, 4,096 at a time.

        Args:
            users: External ids, in the order of the lists; None for all of them.
            k: Length of each list, from 1.

        Raises:
            UserError: For an unknown user, before the first list.
        """
        _check_length(k)
        users = self.user_ids if users is None else users
        slots = np.array([self._user_slot(user) for user in users], np.int64)
        return self._lists(users, slots, k)

    def _lists(
        self, users: Sequence[str], slots: np.ndarray, k: int
    ) -> Iterator[tuple[str, list[RecommendedItem]]]:
        for first in range(0, len(slots), _CHUNK):
            chunk = slots[first : first + _CHUNK]
            found = self._rankings(self._users[chunk], self._met.take(chunk), k)
            for row in range(len(chunk)):
                yield users[first + row], self._listed(found, row)

    def add_items(self, items: Sequence[NewItem]) -> None:
        """From now on these are recommended too, without training or compiling.

        Each takes a spare slot of the graph (`graph.spare_items`). Its text is encoded,
        and says what the filter, if there is one, would say of it; whoever had it
        already becomes an edge and is not recommended it. Nothing that was trained
        changes, so all other scores stay as they are. They live as long as this object:
        the run is not written to.

        Args:
            items: All of them are added, or none.

        Raises:
            UserError: For an id that is empty or there already, an unknown user, an
                item of which nothing is known that the model reads, or too little spare
                room in the graph.
        """
        if not items:
            return
        taken = set(self._item_ids)
        for item in items:
            if not item.id.strip() or item.id in taken:
                raise UserError.field(
                    "items: id",
                    expected="an id of its own for each new item",
                    got=repr(item.id) + (", which is taken" if item.id.strip() else ""),
                )
            taken.add(item.id)
        ids = [*self._item_ids, *(item.id for item in items)]
        had_by = [
            np.unique([self._user_slot(user) for user in item.users]).astype(np.int64)
            for item in items
        ]
        spec = self._model.scorer.spec
        # Without layers nothing reaches an item from its users.
        hears = spec.uses_graph and spec.num_layers > 0
        for item, users in zip(items, had_by, strict=True):
            if not (hears and len(users)) and not (
                spec.uses_text and item.text.strip()
            ):
                raise UserError.field(
                    f"item {item.id!r}",
                    expected=" or ".join(
                        ["a text"] * spec.uses_text + ["users who had it"] * hears
                    )
                    or "a model that knows items by more than their ids",
                    got="none",
                    fix=f"the model {self._model.name!r} knows items by nothing else",
                )
        texts = [item.text for item in items]
        text_BT = self._encoded(texts, self._model.encoder)
        features = with_new_items(
            self._features,
            had_by=had_by if hears else [users[:0] for users in had_by],
            text_BT=text_BT,
            filter_BK=self._filtered(texts, text_BT),
        )
        rows, columns = self._met.pairs()
        first = len(self._item_ids)
        met = Csr.from_pairs(
            np.concatenate([rows, *had_by]),
            np.concatenate(
                [columns, *(np.full(len(u), first + n) for n, u in enumerate(had_by))]
            ),
            self._met.num_rows,
        )
        titles = [*self._item_titles, *(item.title for item in items)]
        self._item_texts = [*self._item_texts, *texts]
        self._know(features, ids, titles)
        self._met = met

    def named(self, sentence: str) -> list[Mention]:
        """The items that a sentence names by id or title: what is understood of it.

        See `serving.mentions` for what counts as a name.

        Raises:
            UserError: If a name is that of several items.
        """
        if self._names is None:
            self._names = NameIndex(self._item_ids, self._item_titles)
        return self._names.find(sentence)

    def _encoded(
        self, texts: Sequence[str], encoder: Encoder | None
    ) -> np.ndarray | None:
        """(B, T), 0 where there is no text; None for a model that reads none."""
        if encoder is None:
            return None
        vectors = np.zeros((len(texts), encoder.dim), np.float32)
        rows = [row for row, text in enumerate(texts) if text.strip()]
        if rows:
            with refusing_bad_weights():
                vectors[rows] = encoder.encode([texts[row] for row in rows])
        return vectors

    def _filtered(
        self, texts: Sequence[str], text_BT: np.ndarray | None
    ) -> np.ndarray | None:
        """(B, K), what the filter says by their texts; 0 where it says nothing."""
        prepared, spec = self._prepared, self._model.scorer.spec
        if not spec.filter_rank:
            return None
        said = np.zeros((len(texts), spec.filter_rank), np.float32)
        if text_BT is not None and prepared.text_to_filter is not None:
            vectors = text_BT
            # By the encoder as it was before any training: so it was learned from.
            if self._model.encoder is not prepared.encoder:
                before = self._encoded(texts, prepared.encoder)
                assert before is not None
                vectors = before
            known = np.any(vectors != 0, axis=1)
            said[known] = prepared.text_to_filter(vectors[known])
        return said

    def _user_slot(self, user: str) -> int:
        if user not in self._slots:
            # No suggestion: an id that is nearly right is somebody else's.
            raise UserError.field(
                f"user {user!r}",
                expected="a user of the training data",
                got="one that is not there",
                fix="for someone new, name what they like with --item",
            )
        return self._slots[user]

    def _newcomer(self, liked: np.ndarray) -> np.ndarray:
        model = self._model
        return fold_in_users(
            model.scorer, model.params, self._features, histories=[liked]
        )[0]

    def _reader(self, text: str) -> np.ndarray:
        encoder, model = self._model.encoder, self._model
        if encoder is None or not model.scorer.spec.uses_text:
            raise UserError.field(
                "text",
                expected="a model with a text side",
                got=f"the model {model.name!r}",
                fix="choose --model fused or text",
            )
        if not text.strip():
            raise UserError.field("text", expected="some words", got="none")
        with refusing_bad_weights():
            vector = encoder.encode([text])
        return np.asarray(model.scorer.text_vectors(model.params, vector))[0]

    def _nothing_named(self, sentence: str) -> str:
        """The sentence as a text, for models that read texts."""
        if sentence.strip() and not self._model.scorer.spec.uses_text:
            raise UserError.field(
                f"sentence {sentence!r}",
                expected="an item's id or title in it",
                got="none",
                fix=f"the model {self._model.name!r} reads no texts",
            )
        logger.info("no item is named: read as a text")
        return sentence

    def _rank_liked(self, items: Sequence[int], k: int) -> list[RecommendedItem]:
        """For a newcomer who likes these."""
        for item in items:
            logger.info("liked: %s", self._title(item) or self._item_ids[item])
        liked = np.array(items)
        return self._rank(self._newcomer(liked), np.unique(liked), k)

    def _rank(
        self,
        vector: np.ndarray,
        met: np.ndarray,
        k: int,
        *,
        among: Collection[str] | None = None,
    ) -> list[RecommendedItem]:
        """Of items that are not in `met`, ascending and distinct."""
        seen = Csr(indptr=np.array([0, len(met)]), indices=met)
        allowed = None
        if among is not None:
            wanted = frozenset(among)
            allowed = np.zeros(len(self._in_use), bool)
            allowed[: len(self._item_ids)] = [one in wanted for one in self._item_ids]
        rankings = self._rankings(vector[None, :], seen, k, allowed=allowed)
        return self._listed(rankings, 0)

    def _rankings(
        self,
        vectors_BD: np.ndarray,
        seen: Csr,
        k: int,
        *,
        allowed: np.ndarray | None = None,
    ) -> Rankings:
        """Of items that are in use, allowed and not seen."""
        in_use = self._in_use if allowed is None else self._in_use & allowed

        def ranked(candidates: np.ndarray | None) -> Rankings:
            return self._ranker.rank(
                vectors_BD, seen=seen, k=min(k, len(in_use)), candidates=candidates
            )

        return ranked_with_places(
            ranked,
            candidates=in_use,
            new=self._new & in_use,
            places=self._prepared.config.evaluation.new_places,
        )

    def _listed(self, rankings: Rankings, row: int) -> list[RecommendedItem]:
        """One user's list; shorter where the catalogue is exhausted."""
        ids = self._item_ids
        return [
            RecommendedItem(
                id=ids[item], title=self._title(item), score=score, rank=rank
            )
            for rank, (item, score) in enumerate(
                zip(
                    rankings.items[row].tolist(),
                    rankings.scores[row].tolist(),
                    strict=True,
                ),
                start=1,
            )
            if item >= 0
        ]

    def _title(self, item: int) -> str:
        return self._item_titles[item]


def _check_length(k: int) -> None:
    if k < 1:
        raise UserError.field("k", expected="a number from 1 on", got=k)


def _all_met(prepared: Prepared) -> Csr:
    """(U x I) all that a user is known to have met: the held-out parts, and what was
    left out for its value, which is no reason to recommend it; people themselves."""
    config, kept = prepared.config.data, prepared.dataset
    users, items = kept.users, kept.items
    if config.min_value is not None:
        before = catalog.load(
            config.source, columns=config.columns, target=config.target
        )
        users, items = pairs_among(before, kept)
    met = Csr.from_pairs(users, items, kept.num_users)
    return with_oneself(met, people=kept.people != "none")
