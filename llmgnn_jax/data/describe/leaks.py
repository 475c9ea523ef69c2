"""Looks for what would let a model know what is tested, or count one thing twice."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.distinct import among
from llmgnn_jax.data.parts import Split
from llmgnn_jax.data.relations import SIDES, Relation

MANY = 5
"""Two users with so many items, all the same, are hardly two by chance."""

_LONG = 20
_SAMPLED = 5_000
# A relation is taken for one made of the interactions above this share of links.
_DERIVED = 0.99
_OFTEN = 0.05
_RARELY = 0.01


@dataclass(frozen=True, kw_only=True)
class Check:
    """What was looked for.

    Attributes:
        asked: In words.
        found: How many.
        of: Of how many.
        suspicious: Whether somebody should look at it.
    """

    asked: str
    found: int
    of: int
    suspicious: bool


def checks(
    dataset: Dataset, splits: Mapping[str, Split | str], *, pairs: Csr, seed: int
) -> tuple[Check, ...]:
    """All that was looked for, whatever was found.

    Args:
        dataset: Where.
        splits: By rule, or why there is none.
        pairs: Users x items, each pair once.
        seed: Of the draw where not all links are looked at.
    """
    found: list[Check] = []
    for rule, split in splits.items():
        if isinstance(split, Split):
            found += _of_split(rule, split)
    found += _alike("items with a title that another item has", dataset.item_titles)
    found += _alike("items with a text that another item has", dataset.item_texts)
    found.append(_users_alike(pairs))
    random = splits["random"]
    assert isinstance(random, Split), "every dataset can be split at random"
    for name, relation in dataset.relations.items():
        if set(relation.kinds) == set(SIDES):
            found.append(_links_that_are_pairs(dataset, name, relation, pairs))
        elif relation.kinds in (("user", "user"), ("item", "item")):
            found += _links_that_meet(name, relation, random, pairs, seed)
    return tuple(found)


def _of_split(rule: str, split: Split) -> Iterator[Check]:
    data = split.dataset
    codes = data.users.astype(np.int64) * data.num_items + data.items
    seen = among(codes[split.test], np.sort(codes[split.train]))
    often = seen.mean() > _OFTEN if len(seen) else False
    yield Check(
        asked=f"{rule}: test interactions whose pair is in train too (masked there)",
        found=int(seen.sum()),
        of=len(seen),
        suspicious=bool(often or (rule == "published" and seen.any())),
    )
    if data.timestamps.any() and rule != "temporal":
        latest = np.full(data.num_users, -1, np.int64)
        np.maximum.at(latest, data.users[split.train], data.timestamps[split.train])
        early = data.timestamps[split.test] < latest[data.users[split.test]]
        yield Check(
            asked=f"{rule}: test interactions before the last one of their user in "
            "train",
            found=int(early.sum()),
            of=len(early),
            suspicious=False,
        )
    if data.interaction_texts is not None:
        texts = data.interaction_texts
        known = {texts[row].strip() for row in split.train.tolist()}
        tested = [texts[row].strip() for row in split.test.tolist()]
        long = [text for text in tested if len(text) >= _LONG]
        copied = sum(text in known for text in long)
        yield Check(
            asked=f"{rule}: texts of test, of {_LONG} characters or more, that stand "
            "word for word in train",
            found=copied,
            of=len(long),
            suspicious=copied > _OFTEN * len(long),
        )


def _alike(asked: str, texts: Sequence[str]) -> Iterator[Check]:
    filled = [text.strip() for text in texts if text.strip()]
    if filled:
        times = Counter(filled)
        again = sum(count for count in times.values() if count > 1)
        yield Check(
            asked=asked,
            found=again,
            of=len(filled),
            suspicious=again > _OFTEN * len(filled),
        )


def _users_alike(pairs: Csr) -> Check:
    rows = np.flatnonzero(pairs.counts() >= MANY)
    times = Counter(pairs.row(row).tobytes() for row in rows.tolist())
    again = sum(count for count in times.values() if count > 1)
    return Check(
        asked=f"users with the very same items as another, {MANY} or more",
        found=again,
        of=len(rows),
        suspicious=again > _RARELY * len(rows),
    )


def _links_that_are_pairs(
    dataset: Dataset, name: str, relation: Relation, pairs: Csr
) -> Check:
    """How many of the pairs a relation of users with items tells beforehand."""
    heads, tails = relation.heads, relation.tails
    users, items = (heads, tails) if relation.heads_of == "user" else (tails, heads)
    linked = np.sort(users.astype(np.int64) * dataset.num_items + items)
    met, of = pairs.pairs()
    told = int(among(met * dataset.num_items + of, linked).sum())
    return Check(
        asked=f"interactions (as pairs) that the relation {name!r} has as a link: no "
        "split holds it out",
        found=told,
        of=pairs.nnz,
        suspicious=told > _OFTEN * pairs.nnz,
    )


def _links_that_meet(
    name: str, relation: Relation, split: Split, pairs: Csr, seed: int
) -> Iterator[Check]:
    """Whether links of users, or of items, say what interactions say."""
    if not relation.num_links:
        return
    rng = np.random.default_rng(seed)
    rows = rng.permutation(relation.num_links)[:_SAMPLED]
    heads, tails = relation.heads[rows], relation.tails[rows]
    turned = relation.heads_of == "item"
    everywhere = _meeting(pairs, split.dataset.num_items, turned=turned)
    in_train = _meeting(split.train_csr(), split.dataset.num_items, turned=turned)
    meet, chance = everywhere(heads, tails), everywhere(heads, rng.permutation(tails))
    lost = int((meet & ~in_train(heads, tails)).sum())
    other = "a user" if turned else "an item"
    looked = "" if len(rows) == relation.num_links else f" (of {len(rows):,} drawn)"
    yield Check(
        asked=f"links of {name!r}{looked} whose ends share {other}; of ends at "
        f"random {int(chance.sum()):,} do",
        found=int(meet.sum()),
        of=len(rows),
        suspicious=False,
    )
    yield Check(
        asked=f"links of {name!r}{looked} whose ends share {other} in held-out "
        "interactions alone (random split): many, where nearly all ends share one, if "
        "the relation was made from the interactions",
        found=lost,
        of=len(rows),
        suspicious=bool(
            lost and meet.mean() >= _DERIVED and chance.mean() < meet.mean() / 2
        ),
    )


def _meeting(
    pairs: Csr, num_items: int, *, turned: bool
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """(heads, tails) -> which of them share a partner."""
    matrix = scipy.sparse.csr_array(
        (np.ones(pairs.nnz, np.float32), pairs.indices, pairs.indptr),
        shape=(pairs.num_rows, num_items),
    )
    if turned:
        matrix = matrix.T.tocsr()

    def meet(heads: np.ndarray, tails: np.ndarray) -> np.ndarray:
        shared = matrix[heads].multiply(matrix[tails]).sum(axis=1)
        return np.asarray(shared).reshape(-1) > 0

    return meet
