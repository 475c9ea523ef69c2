"""The vectors of a batch's users and items, dropout included.

Shapes: B rows, R items that a batch names, D width of a ranked vector, T width of a
stored text vector.
"""

from typing import Protocol

import jax
import jax.numpy as jnp

from llmgnn_jax.graph.placement import Draw, OneDevice, Placement
from llmgnn_jax.models.features import Features
from llmgnn_jax.models.recommender import RecommenderModel
from llmgnn_jax.training.batch import (
    ITEM_GRAPH,
    ITEM_TEXT,
    NEIGHBOURS,
    USER_GRAPH,
    USER_TEXT,
    Batch,
)
from llmgnn_jax.training.draws import keep_mask
from llmgnn_jax.training.text_step import FreshTexts


class Readable(Protocol):
    """What a step reads, of any task."""

    @property
    def features(self) -> Features:
        """Graph and text vectors."""
        ...


class Sides:
    """Both sides of a model in one step.

    Args:
        model: The model.
        data: What it reads.
        batch: The step's draws.
        dropout: How often a side is dropped, where there are two.
        whole: Whether every item's vector is asked for, not only those that the batch
            names: then the propagation reaches all nodes.
        fresh: Texts of items that were encoded in this step; None where none are.
        placement: Where nodes and rows lie; by default all on one device.
        fanouts: For each layer how many neighbours a node draws; none: it hears all.
        size: Rows of the whole batch, for what is drawn by row.

    Attributes:
        missed: () int32, requests to other devices that had no place.
    """

    def __init__(
        self,
        model: RecommenderModel,
        data: Readable,
        batch: Batch,
        *,
        dropout: float,
        whole: bool,
        fresh: FreshTexts | None = None,
        placement: Placement | None = None,
        fanouts: tuple[int, ...] = (),
        size: int = 0,
    ) -> None:
        self._model, self._data, self._batch = model, data, batch
        placement = placement or OneDevice(backend=model.spec.backend)
        self._fresh, self._placement = fresh, placement
        self._dropout = dropout if model.spec.sides == "fused" else 0.0
        self._whole = whole
        self._items = jnp.arange(model.spec.item_capacity) if whole else batch.items_R
        self.missed = jnp.zeros((), jnp.int32)
        if not model.spec.uses_graph:
            return
        graph = data.features.graph
        layout = graph.layout
        nodes = jnp.concatenate(
            [layout.user_nodes(batch.users_B), layout.item_nodes(batch.items_R)]
        )
        if whole:
            users_UD, self._item_graph = model.propagate(graph, placement)
            self._user_graph = placement.take(users_UD, batch.users_B)
            self._ego = placement.take(model.node_embedding[...], nodes)
            self._user_known, self._item_known = graph.split_nodes(graph.connected)
            self._user_known = self._user_known[batch.users_B]
            return
        if fanouts:
            draw = Draw(
                key=jax.random.fold_in(batch.key, NEIGHBOURS),
                fanouts=fanouts,
                rows_R=batch.node_rows(size),
            )
            final, self._ego, self.missed = model.propagate_sampled(
                graph, nodes, draw, placement
            )
        else:
            final, self._ego = model.propagate_to(graph, nodes, placement)
        users = len(batch.users_B)
        known = placement.take(graph.connected, nodes)
        self._user_graph, self._item_graph = jnp.split(final, [users])
        self._user_known, self._item_known = jnp.split(known, [users])

    def vectors(self) -> tuple[jax.Array, jax.Array]:
        """(B, D) and (R, D), what users and items are scored by.

        Users: one a row, its target left out of its text. Items: the batch's positives,
        then its drawn negatives; or all items. An item is dropped or kept alike
        wherever it stands in the step.
        """
        # Both in one array would be half as many products, and take no less time; of a
        # model without products, a fifth more.
        merge = self._model.merge_projected
        return merge(**self._of_users()), merge(**self._of_items())

    def _of_users(self) -> dict[str, jax.Array | None]:
        """What `merge_projected` takes."""
        rows_B, spec = self._batch.rows_B, self._model.spec
        graph_BD = graph_known_B = text_BD = text_known_B = None
        if spec.uses_graph:
            graph_BD = self._user_graph
            graph_known_B = self._user_known & self._keep(USER_GRAPH, rows_B)
        if spec.uses_text:
            text_BT, text_known_B = self.user_texts()
            text_BD = self._model.project(text_BT, of="user")
            text_known_B &= self._keep(USER_TEXT, rows_B)
        return {
            "graph_BD": graph_BD,
            "graph_known_B": graph_known_B,
            "text_BD": text_BD,
            "text_known_B": text_known_B,
        }

    def _of_items(self) -> dict[str, jax.Array | None]:
        """What `merge_projected` takes."""
        items_R, spec = self._items, self._model.spec
        graph_RD = graph_known_R = text_RD = text_known_R = None
        if spec.uses_graph:
            graph_RD = self._item_graph
            graph_known_R = self._item_known & self._keep(ITEM_GRAPH, items_R)
        if spec.uses_text:
            text_RT, text_known_R = self._item_texts()
            text_RD = self._model.project(text_RT, of="item")
            text_known_R &= self._keep(ITEM_TEXT, items_R)
        return {
            "graph_BD": graph_RD,
            "graph_known_B": graph_known_R,
            "text_BD": text_RD,
            "text_known_B": text_known_R,
        }

    def _item_texts(self) -> tuple[jax.Array, jax.Array]:
        text = self._data.features.text
        assert text is not None
        if not self._whole:
            return self._texts_of(self._items)
        # A user's text stays the stored one: from it the target was left out.
        text_IT = text.item_IT
        if self._fresh is not None:
            text_IT = self._fresh.put_into(text_IT)
        return text_IT, text.item_known_I

    def user_texts(self) -> tuple[jax.Array, jax.Array]:
        """(B, T) texts of the rows' users, their targets left out, before any dropout;
        (B,) bool, whether there are any."""
        assert self._data.features.text is not None
        return self._data.features.text.of_users(
            self._batch.users_B,
            left_out_B=self._batch.positives_B,
            take=self._placement.take,
        )

    def positive_texts(self) -> tuple[jax.Array, jax.Array]:
        """(B, T) texts of the rows' positives, before any dropout; (B,) bool, whether
        they have one."""
        return self._texts_of(self._batch.positives_B)

    def _texts_of(self, items_R: jax.Array) -> tuple[jax.Array, jax.Array]:
        text = self._data.features.text
        assert text is not None
        text_RT, known_R = (
            self._placement.take(table, items_R)
            for table in (text.item_IT, text.item_known_I)
        )
        if self._fresh is not None:
            text_RT = self._fresh.instead_of(text_RT, items_R)
        return text_RT, known_R

    def propagated(self) -> tuple[jax.Array, jax.Array]:
        """(B, D) h^GNN of the rows' users, and of their positives."""
        if self._whole:
            positive_BD = self._placement.take(
                self._item_graph, self._batch.positives_B
            )
        else:
            positive_BD = self._item_graph[: len(self._batch.positives_B)]
        return self._user_graph, positive_BD

    def positive_ids(self) -> jax.Array:
        """(B, D) id vectors of the rows' positives."""
        batch = len(self._batch.users_B)
        return self._ego[batch : 2 * batch]

    def id_penalty(self, chosen_BK: jax.Array | None = None) -> jax.Array:
        """(), half the squared norm of a row's id vectors (He et al. 2020, eq. 15).

        Of its user, its positive and the negatives that it shares with no other row.

        Args:
            chosen_BK: (B, K) bool, which of these are its negatives; None for all.
        """
        if not self._model.spec.uses_graph:
            return jnp.zeros(())
        batch = len(self._batch.users_B)
        sampled = self._batch.sampled_BK
        own = sampled is not None and len(sampled) == batch
        rows = self._ego if own else self._ego[: 2 * batch]
        if chosen_BK is not None:
            first, drawn = jnp.split(rows, [2 * batch])
            drawn = jnp.where(chosen_BK.reshape(-1, 1), drawn, 0.0)
            rows = jnp.concatenate([first, drawn])
        return 0.5 * jnp.sum(rows**2) / batch

    def _keep(self, stream: int, numbers: jax.Array) -> jax.Array:
        if not self._dropout:
            return jnp.ones(len(numbers), bool)
        key = jax.random.fold_in(self._batch.key, stream)
        return keep_mask(key, numbers, dropout=self._dropout)
