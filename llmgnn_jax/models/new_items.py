"""Items that come after training: known by their texts and whoever had them already.

Shapes: B new items, I item slots, T width of the stored text vectors, K width of the
filter's vectors.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from llmgnn_jax.graph.structure import SupportEdges, extend
from llmgnn_jax.models.features import Features


def with_new_items(
    features: Features,
    *,
    had_by: Sequence[np.ndarray],
    text_BT: np.ndarray | None,
    filter_BK: np.ndarray | None,
) -> Features:
    """What a model reads, with new items in the next slots: no shape changes.

    A new item's id vector is 0. What its users are like reaches it by one propagation;
    without any it is as an item that has no graph side. What was trained neither hears
    of it nor changes.

    Args:
        features: As in training, or with items that came before.
        had_by: B arrays of user slots; empty where nobody had it yet.
        text_BT: (B, T) text vectors, 0 for an item without a text; None where the model
            reads none.
        filter_BK: (B, K), what the filter says of each; 0 for nothing. None where there
            is no filter.

    Raises:
        UserError: If there is no spare room for them or their edges; it names the field
            to raise.
    """
    first, count = int(features.graph.num_items), len(had_by)
    slots = first + np.arange(count)
    users = [np.asarray(users, np.int64) for users in had_by]
    graph = extend(
        features.graph,
        SupportEdges(
            users=np.concatenate([np.zeros(0, np.int64), *users]),
            items=np.repeat(slots, [len(users) for users in had_by]),
        ),
        at_least_items=first + count,
    )
    text, of_filter = features.text, features.filter
    if text is not None and text_BT is not None:
        text = dataclasses.replace(
            text,
            item_IT=_put(text.item_IT, slots, text_BT),
            item_known_I=_put(text.item_known_I, slots, np.any(text_BT != 0, axis=1)),
        )
    if of_filter is not None and filter_BK is not None:
        of_filter = dataclasses.replace(
            of_filter, item_IK=_put(of_filter.item_IK, slots, filter_BK)
        )
    return Features(graph=graph, text=text, filter=of_filter)


def _put(table: jax.Array, slots: np.ndarray, rows: np.ndarray) -> jax.Array:
    """On the host: on the device each number of rows would be compiled anew."""
    changed = np.array(table)
    changed[slots] = rows
    return jnp.asarray(changed)
