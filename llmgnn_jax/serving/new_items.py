"""Items that came after training: what is told of one, and a shelf that has them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from llmgnn_jax.data.dataset import Csr
from llmgnn_jax.errors import UserError
from llmgnn_jax.models.new_items import with_new_items
from llmgnn_jax.serving.shelf import Shelf
from llmgnn_jax.text.interface import Encoder, refusing_bad_weights
from llmgnn_jax.training.prepare import Prepared
from llmgnn_jax.training.trained import TrainedModel


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


def shelf_with(
    items: Sequence[NewItem],
    *,
    shelf: Shelf,
    prepared: Prepared,
    model: TrainedModel,
    slot_of: Callable[[str], int],
) -> Shelf:
    """A shelf with these too; see `Recommender.add_items`.

    Args:
        items: All of them are added, or none.
        shelf: What is there already.
        prepared: The run's data.
        model: Whose shelf it is.
        slot_of: The number of a user; raises where there is none.
    """
    _check_ids(items, shelf.ids)
    had_by = [
        np.unique([slot_of(user) for user in item.users]).astype(np.int64)
        for item in items
    ]
    spec = model.scorer.spec
    # Without layers nothing reaches an item from its users.
    hears = spec.uses_graph and spec.num_layers > 0
    _check_known(items, had_by, model, hears=hears)
    texts = [item.text for item in items]
    text_BT = _encoded(texts, model.encoder)
    features = with_new_items(
        shelf.features,
        had_by=had_by if hears else [users[:0] for users in had_by],
        text_BT=text_BT,
        filter_BK=_filtered(texts, text_BT, prepared=prepared, model=model),
    )
    rows, columns = shelf.met.pairs()
    first = len(shelf.ids)
    met = Csr.from_pairs(
        np.concatenate([rows, *had_by]),
        np.concatenate(
            [columns, *(np.full(len(u), first + n) for n, u in enumerate(had_by))]
        ),
        shelf.met.num_rows,
    )
    return Shelf(
        prepared,
        model,
        features=features,
        ids=[*shelf.ids, *(item.id for item in items)],
        titles=[*shelf.titles, *(item.title for item in items)],
        texts=[*shelf.texts, *texts],
        met=met,
    )


def _check_ids(items: Sequence[NewItem], there: Sequence[str]) -> None:
    taken = set(there)
    for item in items:
        if not item.id.strip() or item.id in taken:
            raise UserError.field(
                "items: id",
                expected="an id of its own for each new item",
                got=repr(item.id) + (", which is taken" if item.id.strip() else ""),
            )
        taken.add(item.id)


def _check_known(
    items: Sequence[NewItem],
    had_by: Sequence[np.ndarray],
    model: TrainedModel,
    *,
    hears: bool,
) -> None:
    """Something is known of each that the model reads."""
    reads = model.scorer.spec.uses_text
    for item, users in zip(items, had_by, strict=True):
        if not (hears and len(users)) and not (reads and item.text.strip()):
            raise UserError.field(
                f"item {item.id!r}",
                expected=" or ".join(["a text"] * reads + ["users who had it"] * hears)
                or "a model that knows items by more than their ids",
                got="none",
                fix=f"the model {model.name!r} knows items by nothing else",
            )


def _encoded(texts: Sequence[str], encoder: Encoder | None) -> np.ndarray | None:
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
    texts: Sequence[str],
    text_BT: np.ndarray | None,
    *,
    prepared: Prepared,
    model: TrainedModel,
) -> np.ndarray | None:
    """(B, K), what the filter says by their texts; 0 where it says nothing."""
    spec = model.scorer.spec
    if not spec.filter_rank:
        return None
    said = np.zeros((len(texts), spec.filter_rank), np.float32)
    if text_BT is not None and prepared.text_to_filter is not None:
        vectors = text_BT
        # By the encoder as it was before any training: so it was learned from.
        if model.encoder is not prepared.encoder:
            before = _encoded(texts, prepared.encoder)
            assert before is not None
            vectors = before
        known = np.any(vectors != 0, axis=1)
        said[known] = prepared.text_to_filter(vectors[known])
    return said
