"""A transaction that ends some users' old lists and begins their new ones.

What is there is compared first, and only what differs is written. Whoever reads, or
comes after a crash, sees the old list of a user or the new one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmgnn_jax.data.sources.neo4j.columns import Id
from llmgnn_jax.data.sources.neo4j.queries import quoted
from llmgnn_jax.serving.answers import RecommendedItem

List = tuple[Id, list[tuple[Id, RecommendedItem]]]
"""A user, and items; the ids are those of the database."""

_Pair = tuple[Id, Id]


@dataclass(frozen=True, kw_only=True)
class Ends:
    """Where users and items are: label and id property of each."""

    user: tuple[str, str]
    item: tuple[str, str]

    def end(self, side: str, variable: str, row: str) -> str:
        """The pattern of the node whose id is `row`."""
        label, id_ = getattr(self, side)
        return f"({variable}:{quoted(label)} {{{quoted(id_)}: {row}}})"


@dataclass(frozen=True, kw_only=True)
class Replacement:
    """Replaces lists within a transaction.

    Attributes:
        ends: Where users and items are.
        type: Of the relationships.
        parameters: What all of them have: model, version, written_at.
    """

    ends: Ends
    type: str
    parameters: Mapping[str, Any]

    def replace(
        self, transaction: Any, lists: Sequence[List]
    ) -> tuple[int, int, int, int]:
        """Users, and relationships that were written, left and removed."""
        wanted = {(user, item): one for user, row in lists for item, one in row}
        there = self._there(transaction, [user for user, _ in lists])
        changed = [
            pair for pair, one in wanted.items() if not self._same(there, pair, one)
        ]
        stale = [pair for pair in there if pair not in wanted]
        user, item = (
            self.ends.end("user", "u", "row.u"),
            self.ends.end("item", "i", "row.i"),
        )
        relationship = f"[r:{quoted(self.type)} {{model: $model}}]"
        written = removed = 0
        if changed:
            written = transaction.run(
                f"UNWIND $rows AS row MATCH {user} MATCH {item} "
                f"MERGE (u)-{relationship}->(i) SET r.score = row.score, "
                "r.rank = row.rank, r.version = $version, r.written_at = $written_at "
                "RETURN count(r) AS written",
                rows=[
                    {
                        "u": pair[0],
                        "i": pair[1],
                        "score": wanted[pair].score,
                        "rank": wanted[pair].rank,
                    }
                    for pair in changed
                ],
                **self.parameters,
            ).single()["written"]
        if stale:
            removed = (
                transaction.run(
                    f"UNWIND $rows AS row MATCH {user}-{relationship}->{item} DELETE r",
                    rows=[{"u": pair[0], "i": pair[1]} for pair in stale],
                    model=self.parameters["model"],
                )
                .consume()
                .counters.relationships_deleted
            )
        return len(lists), written, len(wanted) - len(changed), removed

    def _there(
        self, transaction: Any, users: Sequence[Id]
    ) -> dict[_Pair, tuple[Any, Any, Any]]:
        """The model's relationships of some users: pair -> rank, score, version."""
        (item_label, item_id) = self.ends.item
        result = transaction.run(
            f"UNWIND $users AS one MATCH {self.ends.end('user', 'u', 'one')}"
            f"-[r:{quoted(self.type)} {{model: $model}}]->(i:{quoted(item_label)}) "
            f"RETURN one AS user_id, i.{quoted(item_id)} AS item_id, "
            "r.rank AS place, r.score AS score, r.version AS version",
            users=list(users),
            model=self.parameters["model"],
        )
        return {(row[0], row[1]): (row[2], row[3], row[4]) for row in result}

    def _same(
        self,
        there: Mapping[_Pair, tuple[Any, Any, Any]],
        pair: _Pair,
        one: RecommendedItem,
    ) -> bool:
        rank, score, version = there.get(pair, (None, None, None))
        return (
            rank == one.rank
            and version == self.parameters["version"]
            and isinstance(score, float)
            # Another processor adds up in another order.
            and math.isclose(score, one.score, rel_tol=1e-5, abs_tol=1e-6)
        )
