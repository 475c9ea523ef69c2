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
from pathlib import Path

import numpy as np

from llmgnn_jax.config import ModelName
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.memory import Held
from llmgnn_jax.data.splits import TrainSplit
from llmgnn_jax.errors import UserError
from llmgnn_jax.evidence.attribute import Explainer
from llmgnn_jax.evidence.explanation import Evidence
from llmgnn_jax.serving.answers import PredictedRating, RecommendedItem
from llmgnn_jax.serving.askers import newcomer_vector, reader_vector
from llmgnn_jax.serving.loaded import load_run, model_version
from llmgnn_jax.serving.mentions import Mention
from llmgnn_jax.serving.new_items import NewItem, shelf_with
from llmgnn_jax.serving.shelf import Shelf
from llmgnn_jax.serving.user_index import UserIndex
from llmgnn_jax.text.interface import Encoder
from llmgnn_jax.training.prepare import Prepared
from llmgnn_jax.training.rating_data import clipped
from llmgnn_jax.training.trained import TrainedModel

__all__ = ["NewItem", "PredictedRating", "RecommendedItem", "Recommender"]

logger = logging.getLogger(__name__)

MOST_EDGES = 1000
"""That an explanation may cite: nobody reads more."""


class Recommender:
    """A run, loaded. Use `load`.

    Args:
        prepared: The run's data.
        model: One of its models.
    """

    def __init__(self, prepared: Prepared, model: TrainedModel) -> None:
        self._prepared, self._model = prepared, model
        self._users = UserIndex(prepared.dataset.user_ids)
        self._shelf = Shelf.of_run(prepared, model)

    @classmethod
    def load(
        cls,
        run: str | Path,
        *,
        model: ModelName | None = None,
        dataset: Held | None = None,
    ) -> "Recommender":
        """Loads a run folder.

        Args:
            run: The folder, or its URL.
            model: Which of its models; by default the last one, which the run's paths
                were measured for.
            dataset: What the run was trained on, if `fit` was given it in memory.

        Raises:
            UserError: If the folder is no run, its checkpoint cannot be read, or the
                data are no longer those that it was trained on.
        """
        return cls(*load_run(run, model=model, dataset=dataset))

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
        return tuple(self._shelf.ids)

    @property
    def item_titles(self) -> Sequence[str]:
        """Theirs, "" where unknown."""
        return self._shelf.titles

    def alike(self, item: str, *, k: int = 10) -> list[RecommendedItem]:
        """The items whose vectors lie nearest to that of an item.

        Args:
            item: Id or title.
            k: Length of the list, from 1. Scores are cosines.

        Raises:
            UserError: For an unknown or ambiguous item.
        """
        _check_length(k)
        return self._shelf.alike(self._shelf.find(item), k)

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
        shelf = self._shelf
        if user is not None:
            return shelf.of_user(self._user_slot(user), k, among=among)
        if among is not None:
            raise UserError.field("among", expected="a user", got="none")
        if items:
            return self._rank_liked([shelf.find(item) for item in items], k)
        if sentence is not None:
            mentions = self.named(sentence)
            if mentions:
                return self._rank_liked([mention.item for mention in mentions], k)
            text = self._nothing_named(sentence)
        assert text is not None
        return shelf.ranked(reader_vector(self._model, text), np.zeros(0, np.int64), k)

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
        prepared, shelf = self._prepared, self._shelf
        if shelf.items_ID is None:
            raise UserError.field(
                "predict",
                expected="a run of the task rating",
                got=f"one of the task {prepared.config.task}",
                fix="train one, for example with the recipe ml-100k-rating",
            )
        slot, place = self._users.find(user), shelf.find(item)
        rating = np.sum(shelf.users_UD[slot] * shelf.items_ID[place], dtype=np.float64)
        return PredictedRating(
            id=shelf.ids[place],
            title=shelf.titles[place],
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
            most_edges: How many edges are cited at most, up to `MOST_EDGES`. Where
                items are ranked, those that add most to the score; of a predicted
                rating, those that move it most, up or down.
            show_ids: Whether other users are named by their ids.

        Raises:
            UserError: For an unknown user, or an unknown or ambiguous item.
        """
        if not 1 <= most_edges <= MOST_EDGES:
            raise UserError.field(
                "most_edges",
                expected=f"a number from 1 to {MOST_EDGES}",
                got=most_edges,
            )
        slot, place = self._user_slot(user), self._shelf.find(item)
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
        return self._shelf.explainer

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
        return zip(users, self._shelf.lists(slots, k), strict=True)

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
        if items:
            self._shelf = shelf_with(
                items,
                shelf=self._shelf,
                prepared=self._prepared,
                model=self._model,
                slot_of=self._user_slot,
            )

    def named(self, sentence: str) -> list[Mention]:
        """The items that a sentence names by id or title: what is understood of it.

        See `serving.mentions` for what counts as a name.

        Raises:
            UserError: If a name is that of several items.
        """
        return self._shelf.names.find(sentence)

    def _user_slot(self, user: str) -> int:
        return self._users.find(
            user, fix="for someone new, name what they like with --item"
        )

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
        shelf = self._shelf
        for item in items:
            logger.info("liked: %s", shelf.titles[item] or shelf.ids[item])
        liked = np.array(items)
        newcomer = newcomer_vector(self._model, shelf.features, liked)
        return shelf.ranked(newcomer, np.unique(liked), k)


def _check_length(k: int) -> None:
    if k < 1:
        raise UserError.field("k", expected="a number from 1 on", got=k)
