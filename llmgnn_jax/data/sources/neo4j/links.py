"""Reads the relations of a mapping: links beside the interactions."""

import logging
from array import array
from collections.abc import Mapping

import numpy as np

from llmgnn_jax.data.relations import SIDES, Relation
from llmgnn_jax.data.sources.neo4j.columns import Ids, number
from llmgnn_jax.data.sources.neo4j.connection import Database
from llmgnn_jax.data.sources.neo4j.diagnosis import (
    check_label,
    no_links,
    no_property,
)
from llmgnn_jax.data.sources.neo4j.mapping import Links, Neo4jSource
from llmgnn_jax.data.sources.neo4j.nodes import place_of
from llmgnn_jax.data.sources.neo4j.queries import links as pattern_of
from llmgnn_jax.data.sources.neo4j.queries import match_links
from llmgnn_jax.errors import UserError

logger = logging.getLogger(__name__)


def read_relation(
    database: Database, source: Neo4jSource, name: str, ids: Mapping[str, Ids]
) -> Relation:
    """Reads one relation; entities that it names are added to their ids.

    Links of users and items that are not in the dataset are left out, and so are, where
    there are no weights, links that repeat; a warning counts them.

    Args:
        database: Where it lies.
        source: The mapping.
        name: Of the relation.
        ids: Kind -> the ids of its nodes.

    Raises:
        UserError: For a label, type or property that is not there, no links at all, an
            id of no use or of two types, a weight that is not above 0, or a link with a
            weight that repeats.
    """
    links = source.relations[name]
    heads, tails, weights = array("q"), array("q"), array("d")
    ends = (
        (ids[links.heads_of], links.heads_of in SIDES, heads),
        (ids[links.tails_of], links.tails_of in SIDES, tails),
    )
    unknown, where = 0, f"relations.{name}"
    with database.rows(
        links.cypher or _query(source, links), what=f"[{where}] cypher"
    ) as (keys, rows):
        places = [place_of(end, keys, f"[{where}] cypher") for end in ("head", "tail")]
        weight_at = keys.index("weight") if "weight" in keys else None
        for row in rows:
            found: list[int | None] = []
            for (known, fixed, _), place in zip(ends, places, strict=True):
                if row[place] is None:
                    raise _lacking(database, source, name, ("head", "tail")[len(found)])
                find = known.find if fixed else known.number
                found.append(find(row[place]))
            head, tail = found
            if head is None or tail is None:
                unknown += 1
                continue
            heads.append(head)
            tails.append(tail)
            if weight_at is not None:
                if row[weight_at] is None:
                    raise _lacking(database, source, name, "weight")
                weights.append(number(row[weight_at], f"{where}.weight"))
    if unknown:
        logger.warning(
            "%s: %d links of users or items that are not in the data are left out",
            where,
            unknown,
        )
    if not heads:
        raise _nothing(database, source, name, unknown)
    return _relation(links, where, heads, tails, weights)


def _relation(
    links: Links, where: str, heads: array, tails: array, weights: array
) -> Relation:
    ends = {"heads_of": links.heads_of, "tails_of": links.tails_of}
    head, tail = np.asarray(heads), np.asarray(tails)
    if weights:
        try:
            return Relation(
                **ends,
                heads=head,
                tails=tail,
                weights=np.asarray(weights),
                directed=links.directed,
            )
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
    relation = Relation.merged(**ends, heads=head, tails=tail, directed=links.directed)
    if relation.num_links < len(head):
        logger.warning(
            "%s: %d links that repeat, or lead from a node to itself, are left out",
            where,
            len(head) - relation.num_links,
        )
    return relation


def _query(source: Neo4jSource, links: Links) -> str:
    (head, head_id), (tail, tail_id) = (
        source.end(links, "head"),
        source.end(links, "tail"),
    )
    assert head is not None  # Neo4jSource refuses a relation without.
    assert tail is not None
    return match_links(
        (head, [(head_id, "head")]),
        links.type or "",
        (tail, [(tail_id, "tail")]),
        [(links.weight, "weight")] if links.weight else [],
    )


def _lacking(
    database: Database, source: Neo4jSource, name: str, column: str
) -> UserError:
    """The error for a null in a column."""
    links, where = source.relations[name], f"relations.{name}"
    if links.cypher is not None:
        return UserError.field(
            f"[{where}] cypher", expected=f"a {column} in each row", got="null"
        )
    labels = [str(source.end(links, end)[0]) for end in ("head", "tail")]
    pattern = pattern_of(labels[0], links.type or "", labels[1])
    if column == "weight":
        return no_property(
            database,
            links.weight or "",
            pattern,
            "r",
            what=f"{where}.weight",
            of=str(links.type),
        )
    return no_property(
        database,
        source.end(links, column)[1],
        pattern,
        column[0],
        what=f"{where}.{column}_id",
        of=labels[column == "tail"],
    )


def _nothing(
    database: Database, source: Neo4jSource, name: str, unknown: int
) -> UserError:
    """The error for a relation without links."""
    links, where = source.relations[name], f"relations.{name}"
    if unknown or links.cypher is not None:
        return UserError.field(
            where, expected="links", got=f"none, {unknown} left out", fix="drop it"
        )
    labels = [str(source.end(links, end)[0]) for end in ("head", "tail")]
    for end, label in zip(("head", "tail"), labels, strict=True):
        check_label(database, label, what=f"{where}.{end}_label")
    return no_links(
        database, (labels[0], where), (str(links.type), f"{where}.type"), labels[1]
    )
