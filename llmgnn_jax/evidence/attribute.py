"""`Explainer`: which edges carry the score of an item for a user, and by how much.

    explainer = Explainer(dataset=..., train=..., scorer=..., params=..., features=...)
    evidence = explainer.explain(user_slot, item_slot)

The attributions are integrated gradients over the multipliers of all edges
(`evidence.multiplied`, `evidence.integral`): together with the score without edges they
sum to the score. For LightGCN with dot products, which is a polynomial along that line,
they are exact to rounding.

Shapes: E directed edge slots, I item slots, M undirected edges.
"""

import logging
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax.numpy as jnp
import numpy as np

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.splits import TrainSplit
from llmgnn_jax.evidence.edges import UndirectedEdges
from llmgnn_jax.evidence.explanation import (
    INTERACTION,
    Evidence,
    EvidenceEdge,
    EvidencePath,
    TextOverlap,
)
from llmgnn_jax.evidence.integral import Integral, integrate
from llmgnn_jax.evidence.multiplied import Asked, MultipliedScore, Multipliers
from llmgnn_jax.evidence.naming import Ids, Named
from llmgnn_jax.evidence.overlap import Words
from llmgnn_jax.evidence.paths import Cited, paths_of
from llmgnn_jax.graph.item_item import rated
from llmgnn_jax.models.features import Features
from llmgnn_jax.models.scoring import Scorer

logger = logging.getLogger(__name__)

_TOLERANCE = 0.002
"""Of the attributions' sum, as a share of the score: what is aimed at."""

_PROMISED = 0.01
"""And what a warning tells of where it is missed."""


class Explainer:
    """Explains the scores of one model; compiles two programs, once.

    Args:
        dataset: Names, titles and texts.
        train: Its train part, which the graph was built from.
        scorer: The model.
        params: Its parameters.
        features: What it reads, whole on this device.
        relations: Names of the relations in the graph -> weight.
        rating_power: What the linear filter reads of a rating, see `graph.item_item`;
            0 where all interactions are alike to it.
        item_ids: Of all items, where some came later than the dataset.
        item_titles: Likewise.
        item_texts: Likewise.
    """

    def __init__(
        self,
        *,
        dataset: Dataset,
        train: TrainSplit,
        scorer: Scorer,
        params: Any,
        features: Features,
        relations: Mapping[str, float] = MappingProxyType({}),
        rating_power: float = 0.0,
        item_ids: Sequence[str] | None = None,
        item_titles: Sequence[str] | None = None,
        item_texts: Sequence[str] | None = None,
    ) -> None:
        self._dataset, self._scorer = dataset, scorer
        self._params, self._features = params, features
        self.edges = UndirectedEdges(features.graph)
        self._named = Named(
            dataset,
            train,
            self.edges,
            relations=relations,
            item_ids=dataset.item_ids if item_ids is None else item_ids,
            item_titles=dataset.item_titles if item_titles is None else item_titles,
        )
        self._texts = dataset.item_texts if item_texts is None else item_texts
        self._words = Words(self._texts)
        self._rated = rated(train, power=rating_power)
        self._rated.sort_indices()
        self._mixed_links = any(
            {"user", "item"} == set(train.relations[name].kinds) for name in relations
        )
        self._score = MultipliedScore(scorer)
        self._loops_E = jnp.asarray(self.edges.of_directed < 0)

    def explain(
        self,
        user_slot: int,
        item_slot: int,
        *,
        most_edges: int = 12,
        by_size: bool = False,
        ids: Ids = "asked",
    ) -> Evidence:
        """Why an item has its score for a user.

        Args:
            user_slot: The user.
            item_slot: The item.
            most_edges: How many edges are cited at most.
            by_size: Whether edges that take most off the score are cited too; else only
                those that add to it.
            ids: Which users are named by their ids.
        """
        asked = self._asked(user_slot, item_slot)
        integral = self._integral(asked)
        attributions_M, of_text = self._attributions(user_slot, integral)
        score = integral.end
        if abs(integral.residual) > max(_PROMISED * abs(score), 1e-5):
            logger.warning(
                "the attributions miss the score of %.4g by %.2g: it jumps where edges "
                "vanish",
                score,
                integral.residual,
            )
        cited = _largest(attributions_M, most_edges, by_size=by_size)
        user, item = self.edges.user_node(user_slot), self.edges.item_node(item_slot)
        edges = tuple(
            self._edge(number, edge, attributions_M, user, item, ids)
            for number, edge in enumerate(cited, start=1)
        )
        text = self._text(asked, of_text, cited, score_without=integral.start)
        paths = paths_of(
            [
                Cited(
                    one.number,
                    tuple(self.edges.ends[one.index].tolist()),
                    one.attribution,
                    INTERACTION in one.relation.split(" + "),
                )
                for one in edges
            ],
            user=user,
            item=item,
            score=score,
            edges=self.edges,
            had_by=self._had_by,
        )
        if text is not None and text.score:
            share = text.score / (abs(score) or 1.0)
            paths.append(EvidencePath(edges=(), kind="text", share=share))
        at_item = set(self.edges.of(item)[0].tolist()).difference(cited)
        return Evidence(
            user=self._named.user(user_slot, told=ids != "none"),
            item=self._named.item(item_slot),
            score=score,
            score_without_edges=integral.start,
            edges=edges,
            other_edges=float(attributions_M.sum())
            - sum(edge.attribution for edge in edges),
            text=text,
            paths=tuple(paths),
            others_at_item=float(attributions_M[sorted(at_item)].sum()),
        )

    def attributions(self, user_slot: int, item_slot: int) -> np.ndarray:
        """(M,) float64, what each undirected edge adds to the score."""
        integral = self._integral(self._asked(user_slot, item_slot))
        return self._attributions(user_slot, integral)[0]

    def score(self, user_slot: int, item_slot: int) -> float:
        """The score with all edges there."""
        return self.score_without(user_slot, item_slot, ())

    def score_without(
        self, user_slot: int, item_slot: int, edges: Sequence[int] | np.ndarray
    ) -> float:
        """The score with some edges gone.

        What sums are divided by stays as it was, see `evidence.multiplied`.

        Args:
            user_slot: The user.
            item_slot: The item.
            edges: Their numbers among the undirected ones (`EvidenceEdge.index`).
        """
        there_M = np.ones(len(self.edges) + 1, np.float32)
        there_M[np.asarray(edges, np.int64)] = 0.0
        there_M[-1] = 1.0  # What is no edge between two nodes.
        items, places = self._history_edges(user_slot)
        there_I = np.ones(self._scorer.spec.item_capacity, np.float32)
        there_I[items] = there_M[places]
        by = Multipliers(
            edges_E=jnp.asarray(there_M[self.edges.of_directed]),
            filter_I=jnp.asarray(there_I),
            text_I=jnp.asarray(there_I),
        )
        asked = self._asked(user_slot, item_slot)
        return float(self._score.score(by, self._params, self._features, asked))

    @property
    def _nodes(self) -> int:
        """Of the quadrature: as many as make a linear model's attributions exact."""
        spec = self._scorer.spec
        layers = spec.num_layers if spec.uses_graph else 0
        linear = (
            (spec.layer == "lightgcn" and not spec.temperature) or not spec.uses_graph
        ) and (spec.sides != "fused" or spec.fusion == "sum")
        return max(layers, 1) if linear else max(layers, 4)

    def _integral(self, asked: Asked) -> Integral:
        return integrate(
            lambda place: self._slope(place, asked),
            nodes=self._nodes,
            tolerance=_TOLERANCE,
        )

    def _slope(self, place: float, asked: Asked) -> tuple[float, list[np.ndarray]]:
        slope = self._score.slope(
            jnp.asarray(place, jnp.float32),
            self._loops_E,
            self._params,
            self._features,
            asked,
        )
        by = slope.by
        return float(slope.score), [
            self.edges.summed(np.asarray(by.edges_E)),
            np.asarray(by.filter_I, np.float64),
            np.asarray(by.text_I, np.float64),
        ]

    def _attributions(
        self, user_slot: int, integral: Integral
    ) -> tuple[np.ndarray, float]:
        """(M,) what each edge adds, in all the ways it is heard of; and by texts."""
        of_graph_M, of_filter_I, of_text_I = integral.attributions
        attributions_M = of_graph_M.copy()
        items, places = self._history_edges(user_slot)
        attributions_M[places] += of_filter_I[items] + of_text_I[items]
        return attributions_M, float(of_text_I.sum())

    def _asked(self, user_slot: int, item_slot: int) -> Asked:
        capacity = self._scorer.spec.item_capacity
        read_I, history_I = np.zeros((2, capacity), np.float32)
        row = self._rated[[user_slot]]
        read_I[row.indices], history_I[row.indices] = row.data, 1.0
        return Asked(
            user=jnp.asarray(user_slot, jnp.int32),
            item=jnp.asarray(item_slot, jnp.int32),
            read_I=jnp.asarray(read_I),
            history_I=jnp.asarray(history_I),
            profile=jnp.asarray(1.0),
        )

    def _history_edges(self, user_slot: int) -> tuple[np.ndarray, np.ndarray]:
        """The items of a user's train part, and the numbers of their edges."""
        items = self._rated[[user_slot]].indices.astype(np.int64)
        user = self.edges.user_node(user_slot)
        places = [
            self.edges.between(user, self.edges.item_node(item))
            for item in items.tolist()
        ]
        return items, np.asarray(places, np.int64)

    def _had_by(self, item: int) -> np.ndarray:
        """The nodes of the users who had an item, by its node."""
        users = self.edges.users_of(item)
        slot = self.edges.slot(item).slot
        if not self._mixed_links or slot >= self._dataset.num_items:
            return users
        had = [self._named.has(self.edges.slot(int(one)).slot, slot) for one in users]
        return users[had]

    def _edge(
        self,
        number: int,
        index: int,
        attributions_M: np.ndarray,
        user: int,
        item: int,
        ids: Ids,
    ) -> EvidenceEdge:
        head, tail, relation, weight = self._named.edge(
            *self.edges.ends[index].tolist()
        )
        ends = [
            self._named.node(node, asked_user=user, asked_item=item, ids=ids)
            for node in (head, tail)
        ]
        return EvidenceEdge(
            number=number,
            head=ends[0],
            tail=ends[1],
            relation=relation,
            attribution=float(attributions_M[index]),
            weight=weight,
            index=index,
        )

    def _text(
        self,
        asked: Asked,
        of_history: float,
        cited: Sequence[int],
        *,
        score_without: float,
    ) -> TextOverlap | None:
        features = self._features.text
        if not self._scorer.spec.uses_text or features is None:
            return None
        user_slot, item_slot = int(asked.user), int(asked.item)
        item_text = self._texts[item_slot]
        from_history = bool(features.from_history_U[user_slot])
        if not from_history:
            profiles = self._dataset.user_texts
            assert profiles is not None
            without, _ = self._slope(0.0, asked._replace(profile=jnp.asarray(0.0)))
            words = self._words.in_common(item_text, [profiles[user_slot]])
            return TextOverlap(
                score=score_without - without, words=tuple(words), from_history=False
            )
        items, places = self._history_edges(user_slot)
        near = items[np.isin(places, cited)] if len(cited) else items
        words = self._words.in_common(
            item_text, [self._texts[liked] for liked in near.tolist()]
        )
        return TextOverlap(score=of_history, words=tuple(words), from_history=True)


def _largest(attributions_M: np.ndarray, most: int, *, by_size: bool) -> list[int]:
    """The numbers of the edges that are cited, the largest first."""
    sizes_M = np.abs(attributions_M) if by_size else attributions_M
    most = min(most, len(sizes_M))
    if most < 1:
        return []
    near = np.argpartition(-sizes_M, most - 1)[:most]
    ordered = near[np.lexsort((near, -sizes_M[near]))]
    return [edge for edge in ordered.tolist() if sizes_M[edge] > 0]
