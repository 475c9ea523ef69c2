"""`Split` and `TrainSplit`: a dataset in three parts, and the one that is trained on.

The text of an interaction goes where the interaction goes.

Where a (user, item) pair is repeated and lies in more than one part, it counts as seen
in the later one: it is masked there and is no positive. Nothing new is learned from
recommending it again.
"""

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from llmgnn_jax.data.by_user import Ratios
from llmgnn_jax.data.cold_start import ColdStart
from llmgnn_jax.data.csr import Csr
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.hashing import ContentHasher
from llmgnn_jax.data.people import with_oneself
from llmgnn_jax.data.relations import Relation
from llmgnn_jax.data.validation import read_only
from llmgnn_jax.errors import UserError

HeldOutPart = Literal["valid", "test"]


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainSplit:
    """All that training may see; the only type from which a graph is built.

    It has arrays and texts of its own and refers to no held-out interaction.

    Attributes:
        num_users: U, those without train interactions included.
        num_items: I, those without train interactions included.
        users: (E,) int32, train rows only.
        items: (E,) int32.
        values: (E,) float32.
        timestamps: (E,) int64.
        item_texts: I texts: the catalogue text, then the texts of the train
            interactions with the item, oldest first.
        user_texts: U profile texts, or None.
        num_entities: Kind -> how many there are, of what is neither user nor item.
        relations: Name -> links between users, items and entities; none are held out.
        people: Whether item i is user i.
    """

    num_users: int
    num_items: int
    users: np.ndarray
    items: np.ndarray
    values: np.ndarray
    timestamps: np.ndarray
    item_texts: tuple[str, ...]
    user_texts: tuple[str, ...] | None
    num_entities: Mapping[str, int] = field(default_factory=dict)
    relations: Mapping[str, Relation] = field(default_factory=dict)
    people: bool = False

    def csr(self) -> Csr:
        """Users x items of the train rows."""
        return Csr.from_pairs(self.users, self.items, self.num_users)


@dataclass(frozen=True, eq=False)
class Split:
    """A dataset in three parts.

    Attributes:
        dataset: What was split.
        rule: "random", "leave_last_out", "temporal", "published", "cold_items",
            "cold_users" or "cold_both".
        seed: Of the draw ("random", "published", "cold_..."), or of the order of
            interactions at the same second ("leave_last_out").
        train: (n,) int64 rows into the dataset's interactions, ascending.
        valid: Likewise.
        test: Likewise. Every row lies in exactly one part.
        ratios: Of train, valid and test, where the rule has them.
        valid_share: How much of the published train part is held out for valid, where
            the rule is "published", and how much of the items or users, where it is
            one of "cold_..."; at 0 nothing is, on purpose.
        cold: What is hidden from train altogether, where the rule is one of "cold_...".

    Raises:
        UserError: If a row lies in no part or in two, nothing is left to train on, or
            the parts are not those that `cold` makes.
    """

    dataset: Dataset
    rule: str
    seed: int
    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    ratios: Ratios | None = None
    valid_share: float | None = None
    cold: ColdStart | None = None

    def __post_init__(self) -> None:
        for name in ("train", "valid", "test"):
            rows = np.sort(np.asarray(getattr(self, name), np.int64))
            object.__setattr__(self, name, read_only(rows))
        rows = np.sort(np.concatenate([self.train, self.valid, self.test]))
        if not np.array_equal(rows, np.arange(self.dataset.num_interactions)):
            raise UserError.field(
                "split",
                expected="each of the dataset's interactions in exactly one part",
                got=f"{len(np.unique(rows))} different rows in {len(rows)} places for "
                f"{self.dataset.num_interactions} interactions",
            )
        if self.dataset.people == "friends":
            self._check_friendships()
        if not len(self.train):
            raise UserError.field(
                "split", expected="at least one train interaction", got="none"
            )
        if self.cold is not None:
            self.cold.check(self.dataset, valid=self.valid, test=self.test)

    def _check_friendships(self) -> None:
        data, part = self.dataset, np.zeros(self.dataset.num_interactions, np.int8)
        part[self.valid], part[self.test] = 1, 2
        for users, items in ((data.users, data.items), (data.items, data.users)):
            codes = users.astype(np.int64) * data.num_users + items
            ordered = part[np.argsort(codes, kind="stable")]
            if users is data.users:
                there = ordered
        if not np.array_equal(there, ordered):
            raise UserError.field(
                "split",
                expected="both directions of a friendship in one part",
                got="some of them in two",
                fix="use the rule 'random'",
            )

    @property
    def name(self) -> str:
        """For people and `results.json`, e.g. "random 0.8:0.1:0.1, seed 0"."""
        ratios = "" if self.ratios is None else " " + ":".join(map(str, self.ratios))
        if self.cold is not None:
            ratios = f" {self.cold.label}"
        share = "" if self.valid_share is None else f" valid {self.valid_share:g}"
        return f"{self.rule}{ratios}{share}, seed {self.seed}"

    def training(self) -> TrainSplit:
        """The train part with its texts, and nothing else."""
        data, rows = self.dataset, self.train
        item_texts = list(data.item_texts)
        if data.interaction_texts is not None:
            in_train = np.zeros(data.num_interactions, bool)
            in_train[rows] = True
            ordered = data.canonical_order[in_train[data.canonical_order]]
            # Stable, so that texts of the same second keep the canonical order.
            ordered = ordered[np.argsort(data.timestamps[ordered], kind="stable")]
            written: dict[int, list[str]] = {}
            for row in ordered.tolist():
                if text := data.interaction_texts[row]:
                    written.setdefault(int(data.items[row]), []).append(text)
            for item, texts in written.items():
                item_texts[item] = " ".join([item_texts[item], *texts]).strip()
        # Indexing by rows copies: no view leads back to the whole arrays.
        return TrainSplit(
            num_users=data.num_users,
            num_items=data.num_items,
            users=read_only(data.users[rows]),
            items=read_only(data.items[rows]),
            values=read_only(data.values[rows]),
            timestamps=read_only(data.timestamps[rows]),
            item_texts=tuple(item_texts),
            user_texts=data.user_texts,
            num_entities={kind: len(ids) for kind, ids in data.entities.items()},
            relations=data.relations,
            people=data.people != "none",
        )

    def train_csr(self) -> Csr:
        """Users x items of the train rows."""
        return self._csr(self.train)

    def seen(self, at: HeldOutPart) -> Csr:
        """Users x items masked when `at` is ranked: train, or train and valid.

        And each of the people themselves, where items are people.
        """
        rows = self.train
        if at == "test":
            rows = np.concatenate([self.train, self.valid])
        return with_oneself(self._csr(rows), people=self.dataset.people != "none")

    def held_out(self, part: HeldOutPart) -> Csr:
        """Users x items to be found in `part`: its pairs that were not seen before."""
        rows = self.valid if part == "valid" else self.test
        return self._csr(rows).difference(self.seen(part))

    def cold_items(self, part: HeldOutPart) -> np.ndarray:
        """(I,) bool: the items that `part` hides from train; none by other rules."""
        if self.cold is None:
            return np.zeros(self.dataset.num_items, bool)
        return self.cold.valid_items if part == "valid" else self.cold.test_items

    def hidden_items(self) -> np.ndarray:
        """(I,) bool: the items that are kept from train, by valid or by test."""
        return self.cold_items("valid") | self.cold_items("test")

    def cold_users(self, part: HeldOutPart) -> np.ndarray:
        """(U,) bool: the users that `part` hides from train; none by other rules."""
        if self.cold is None:
            return np.zeros(self.dataset.num_users, bool)
        return self.cold.valid_users if part == "valid" else self.cold.test_users

    def without_test(self) -> "TuningSplit":
        """Train and valid of a dataset that the test interactions are taken out of."""
        data = self.dataset
        kept = np.sort(np.concatenate([self.train, self.valid]))
        return TuningSplit(
            data.taken(
                rows=kept,
                users=np.arange(data.num_users),
                items=np.arange(data.num_items),
            ),
            self.rule,
            self.seed,
            np.searchsorted(kept, self.train),
            np.searchsorted(kept, self.valid),
            np.zeros(0, np.int64),
            self.ratios,
            self.valid_share,
            self.cold,
        )

    def _csr(self, rows: np.ndarray) -> Csr:
        data = self.dataset
        return Csr.from_pairs(data.users[rows], data.items[rows], data.num_users)

    @functools.cached_property
    def split_hash(self) -> str:
        """Sha256 (hex) of the rows of each part: external ids, times and values.

        Of a split with cold items or users also of the rule, its shares, its fold and
        which ones are hidden.
        """
        hasher = ContentHasher("split-1")
        position = np.empty(self.dataset.num_interactions, np.int64)
        position[self.dataset.canonical_order] = np.arange(len(position))
        for rows in (self.train, self.valid, self.test):
            self.dataset.feed_rows(hasher, rows[np.argsort(position[rows])])
        if self.cold is not None:
            drawn = [self.rule, self.valid_share, *self.cold.protocol().items()]
            hasher.strings([*drawn, ("fold", self.cold.fold)])
            hasher.strings(self.cold.ids(self.dataset))
        return hasher.hexdigest()

    def fingerprint(self, *, masking: str, metric: str) -> str:
        """Sha256 (hex) of the protocol: data, filters, rule, masking, metric.

        The rule with its ratios or shares and how many folds there are. Numbers may be
        compared only where it is equal. Neither the seed nor the fold is part of it:
        draws of one protocol may be averaged; `split_hash` tells them apart.
        """
        protocol: dict[str, object] = {
            "content_hash": self.dataset.content_hash(relations=False),
            "filters": self.dataset.filters,
            "rule": self.rule,
            "ratios": self.ratios,
            "masking": masking,
            "metric": metric,
        }
        if self.valid_share is not None:
            protocol["valid_share"] = self.valid_share
        if self.cold is not None:
            protocol |= self.cold.protocol()
        encoded = json.dumps(protocol, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(encoded.encode("ascii")).hexdigest()


class NoTestPart(LookupError):
    """What tunes has asked for the test part."""


@dataclass(frozen=True, eq=False)
class TuningSplit(Split):
    """All that tuning may see: train and valid; to ask for test raises `NoTestPart`.

    `dataset` holds neither the test interactions nor their texts. All users and items
    are there, and what the catalogue says of them.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.test):
            raise ValueError("a split to tune on has test interactions")

    def seen(self, at: HeldOutPart) -> Csr:
        """As of `Split`, of valid alone."""
        return super().seen(_not_test(at))

    def held_out(self, part: HeldOutPart) -> Csr:
        """As of `Split`, of valid alone."""
        return super().held_out(_not_test(part))


def _not_test(part: HeldOutPart) -> HeldOutPart:
    if part == "test":
        raise NoTestPart("tuning reads valid; the test part is read once, at the end")
    return part
