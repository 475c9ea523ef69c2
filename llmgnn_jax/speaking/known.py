"""What a run knows of a user and an item when a review is to be written.

Their vectors, and a few lines of plain words: what the item is called, what else the
user liked, and words that the user wrote of other items. All of it comes from the train
part; of a review that is trained on, neither it nor its words are told.

Shapes: B pairs, C width of what is told of a pair, D width of one side's vector.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import jax.numpy as jnp
import numpy as np

from llmgnn_jax.config import ModelName
from llmgnn_jax.data.parts import HeldOutPart
from llmgnn_jax.errors import UserError
from llmgnn_jax.serving.loaded import load_run, model_version
from llmgnn_jax.serving.titles import TitleIndex
from llmgnn_jax.serving.user_index import UserIndex
from llmgnn_jax.text.words import words_of
from llmgnn_jax.training.prepare import Prepared
from llmgnn_jax.training.trained import TrainedModel

VectorSource: TypeAlias = Literal["merged", "encoder"]
"""Whose vectors: those that the model ranks by, or those of its text encoder."""

VECTOR_SOURCES: tuple[VectorSource, ...] = get_args(VectorSource)

Part: TypeAlias = Literal["train"] | HeldOutPart

_LIKED = 2
_WORDS = 6
_SHORTEST_WORD = 4
_TITLE = 48
_REVIEW = 280
"""Characters of a title and of a review; what is longer is cut, between words."""


@dataclass(frozen=True, kw_only=True)
class ReviewPair:
    """A review, and what is told before it.

    Attributes:
        user: Slot of who wrote it.
        item: Slot of what it is of.
        prompt: What is known in words; a review may follow.
        review: What was written, cut to 280 characters.
    """

    user: int
    item: int
    prompt: str
    review: str


class Known:
    """What a run knows. Use `load`.

    Args:
        prepared: The run's data.
        model: One of its models.

    Raises:
        UserError: If the data have no texts of interactions.
    """

    def __init__(self, prepared: Prepared, model: TrainedModel) -> None:
        dataset = prepared.dataset
        if dataset.interaction_texts is None:
            raise UserError.field(
                f"data.source {prepared.config.data.source!r}",
                expected="data with reviews: texts of their interactions",
                got="data without",
                fix="name the column of the reviews with text=..., or use other data",
            )
        self.version = model_version(prepared, model)
        self.model_name = model.name
        self.split_name = prepared.split.name
        self.split_hash = prepared.split.split_hash
        self._prepared, self._model = prepared, model
        self._texts = [_cut(text, _REVIEW) for text in dataset.interaction_texts]
        self._users = UserIndex(dataset.user_ids)
        self._titles = TitleIndex(dataset.item_ids, dataset.item_titles)
        self._rows_of: defaultdict[int, list[int]] = defaultdict(list)
        for row in prepared.split.train.tolist():
            self._rows_of[int(dataset.users[row])].append(row)
        self._words = _KeyWords(self._texts, prepared.split.train)
        self._vectors: dict[VectorSource, tuple[np.ndarray, np.ndarray]] = {}

    @classmethod
    def load(cls, run: str | Path, *, model: ModelName | None = None) -> "Known":
        """Loads a run folder.

        Args:
            run: The folder, or its URL.
            model: Which of its models; by default the last one.

        Raises:
            UserError: As `load_run`, or if its data have no reviews.
        """
        return cls(*load_run(run, model=model))

    def pairs(self, part: Part) -> list[ReviewPair]:
        """The reviews of a part, in the order of its rows; empty ones are left out."""
        dataset = self._prepared.dataset
        return [
            ReviewPair(
                user=int(dataset.users[row]),
                item=int(dataset.items[row]),
                prompt=self.prompt(int(dataset.users[row]), int(dataset.items[row])),
                review=self._texts[row],
            )
            for row in getattr(self._prepared.split, part).tolist()
            if self._texts[row]
        ]

    def prompt(self, user: int, item: int) -> str:
        """What is known of both, in words, from what the user did with other items.

        Args:
            user: A user's slot.
            item: An item's; whatever the user did with it is left out.
        """
        dataset = self._prepared.dataset
        others = [row for row in self._rows_of[user] if dataset.items[row] != item]
        # The best first, and of these the latest.
        liked = sorted(
            others,
            key=lambda row: (dataset.values[row], dataset.timestamps[row]),
            reverse=True,
        )
        titles = dict.fromkeys(self._title(int(dataset.items[row])) for row in liked)
        words = self._words.of(others)
        lines = [f"Item: {self._title(item)}"]
        if titles:
            lines.append(f"The user also has: {'; '.join([*titles][:_LIKED])}")
        if words:
            lines.append(f"The user's words: {', '.join(words)}")
        return "\n".join([*lines, "The user's review:"])

    def vectors(
        self, users: Sequence[int], items: Sequence[int], *, told: VectorSource
    ) -> np.ndarray:
        """(B, C) float32: of each pair both vectors, of mean 0 and variance 1.

        Args:
            users: B slots.
            items: B slots.
            told: Whose vectors.

        Raises:
            UserError: If the model has no text encoder, and its vectors are asked for.
        """
        if told not in self._vectors:
            self._vectors[told] = self._standard(told)
        users_UD, items_ID = self._vectors[told]
        chosen = (users_UD[np.asarray(users, int)], items_ID[np.asarray(items, int)])
        return np.concatenate(chosen, axis=1)

    def vectors_of(
        self, pairs: Sequence[ReviewPair], *, told: VectorSource
    ) -> np.ndarray:
        """(B, C), `vectors` of the users and items of pairs."""
        return self.vectors(
            [pair.user for pair in pairs], [pair.item for pair in pairs], told=told
        )

    def width(self, told: VectorSource) -> int:
        """C."""
        return self.vectors([0], [0], told=told).shape[1]

    def user_slot(self, user: str) -> int:
        """The slot of a user by its external id.

        Raises:
            UserError: If there is none.
        """
        return self._users.find(user)

    def item_slot(self, item: str) -> int:
        """The slot of an item by its id or title.

        Raises:
            UserError: If it is unknown or ambiguous.
        """
        return self._titles.find(item)

    def names(self, pair: ReviewPair) -> tuple[str, str]:
        """The user's id and the item's title, or its id where it has none."""
        return self._prepared.dataset.user_ids[pair.user], self._title(pair.item)

    def _standard(self, told: VectorSource) -> tuple[np.ndarray, np.ndarray]:
        model, dataset = self._model, self._prepared.dataset
        if told == "merged":
            both = model.scorer.vectors(model.params, model.features)
        else:
            text = model.features.text
            if text is None or not model.scorer.spec.uses_text:
                raise UserError.field(
                    "told",
                    expected="merged, for a model that reads no text",
                    got=repr(told),
                    fix="choose the model text or fused",
                )
            users, _ = text.of_users(jnp.arange(len(text.user_UT)))
            both = (users, text.item_IT)
        users_UD, items_ID = map(np.asarray, both)
        return (
            _standardised(users_UD[: dataset.num_users]),
            _standardised(items_ID[: dataset.num_items]),
        )

    def _title(self, item: int) -> str:
        dataset = self._prepared.dataset
        return _cut(dataset.item_titles[item], _TITLE) or dataset.item_ids[item]


class _KeyWords:
    """Words that tell someone's reviews from those of others.

    Args:
        texts: Of all interactions.
        train: Rows that may be read.
    """

    def __init__(self, texts: Sequence[str], train: np.ndarray) -> None:
        rows = train.tolist()
        cut = words_of([texts[row] for row in rows])
        self._words = {
            row: [word for word in words if _is_word(word)]
            for row, words in zip(rows, cut, strict=True)
        }
        self._reviews = Counter(
            word for words in self._words.values() for word in set(words)
        )

    def of(self, rows: Sequence[int]) -> list[str]:
        """The most telling words of some train rows, by TF-IDF."""
        counts = Counter(word for row in rows for word in self._words[row])
        total = len(self._words)

        def telling(word: str) -> tuple[float, str]:
            rarity = math.log(total / self._reviews[word])
            return -counts[word] * rarity, word

        return sorted(counts, key=telling)[:_WORDS]


def _is_word(word: str) -> bool:
    return len(word) >= _SHORTEST_WORD and word.isalpha()


def _standardised(rows_RD: np.ndarray) -> np.ndarray:
    """Each column of mean 0 and variance 1; one that is constant becomes 0."""
    centred_RD = rows_RD - rows_RD.mean(axis=0)
    deviation_D = centred_RD.std(axis=0)
    return (centred_RD / np.where(deviation_D > 1e-6, deviation_D, 1.0)).astype(
        np.float32
    )


def _cut(text: str, most: int) -> str:
    """The first words of a text, on one line."""
    whole = " ".join(text.split())
    if len(whole) <= most:
        return whole
    cut = whole[: most + 1]
    return (cut.rpartition(" ")[0] if " " in cut else whole[:most]).strip()
