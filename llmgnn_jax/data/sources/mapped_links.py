"""Links of a mapping: a table with a head and a tail in each row."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from llmgnn_jax.data.joining import join_links
from llmgnn_jax.data.relations import Relation
from llmgnn_jax.data.sources.collected import Collected, Ids, Numbers
from llmgnn_jax.data.sources.columns import check_columns
from llmgnn_jax.data.sources.interactions import collect
from llmgnn_jax.data.sources.table_file import TableFile
from llmgnn_jax.errors import UserError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Links:
    """The columns of a table of links, and of what kind their ends are."""

    file: Path
    head: str
    tail: str
    heads_of: str
    tails_of: str
    weight: str | None = None
    directed: bool = False


def read_links(
    links: Links,
    *,
    name: str,
    index: dict[str, dict[str, int]],
    listed: Collection[str],
) -> Relation:
    """Reads the links of one relation.

    Links of what is not known are left out, as are those of a node with itself; of
    links that repeat, the one with the greatest weight stays. All are counted.

    Args:
        links: What the mapping says.
        name: Of the relation.
        index: Kind -> external id -> number. Entities that are not listed are added.
        listed: The kinds whose ids are all known: users, items, and entities with a
            table of their own.

    Raises:
        UserError: For a table that is malformed, a column that it lacks, an end or a
            weight that is missing, a weight that is not above 0, or when no link is
            left.
    """
    table = TableFile(links.file)
    section = f"relations.{name}"
    columns = [("head", links.head), ("tail", links.tail)]
    if links.weight:
        columns.append(("weight", links.weight))
    check_columns(table, section, columns)
    asked: dict[str, Collected[Any]] = {
        "heads": Ids(table.path, links.head),
        "tails": Ids(table.path, links.tail),
    }
    if links.weight:
        asked["weights"] = Numbers(table.path, links.weight)
    read = collect(table, asked)
    size = len(read["heads"][1])
    weights = read.get("weights", np.ones(size))
    if (weights <= 0).any():
        row = int((weights <= 0).argmax())
        raise UserError.field(
            f"{table.path.name}, row {row + 1}, column {links.weight}",
            expected="a weight above 0",
            got=f"{weights[row]:g}, one of {(weights <= 0).sum()} such rows",
            fix="drop the rows",
        )
    ends = []
    for end, kind in (("heads", links.heads_of), ("tails", links.tails_of)):
        ids, codes = read[end]
        numbers = index.setdefault(kind, {})
        if kind not in listed:
            for external_id in ids:
                numbers.setdefault(external_id, len(numbers))
        ends.append(np.array([numbers.get(one, -1) for one in ids], np.int64)[codes])
    heads, tails = ends
    kept = (heads >= 0) & (tails >= 0)
    if unknown := size - int(np.count_nonzero(kept)):
        parts = ", ".join(
            f"{np.count_nonzero(nodes < 0)} with an unknown {kind} as {end}"
            for end, kind, nodes in (
                ("head", links.heads_of, heads),
                ("tail", links.tails_of, tails),
            )
            if (nodes < 0).any()
        )
        logger.warning(
            "%s: %d of %d links of %s left out: %s",
            table.path.name,
            unknown,
            size,
            name,
            parts,
        )
    joined = join_links(
        heads[kept],
        tails[kept],
        weights[kept],
        one_kind=links.heads_of == links.tails_of,
        directed=links.directed,
    )
    if joined.loops:
        logger.warning(
            "%s: %d links of %s left out: of a node with itself",
            table.path.name,
            joined.loops,
            name,
        )
    if not len(joined.heads):
        raise UserError.field(
            f"{section}, {table.path.name}",
            expected=f"a link of {links.heads_of} with {links.tails_of} that are known",
            got=f"none in {size} rows",
            fix="do its columns hold the ids of the interactions?",
        )
    if joined.repeats:
        logger.info(
            "%s: %d links of %s repeat others, and are one with them",
            table.path.name,
            joined.repeats,
            name,
        )
    return Relation(
        heads_of=links.heads_of,
        tails_of=links.tails_of,
        heads=joined.heads,
        tails=joined.tails,
        weights=joined.weights,
        directed=links.directed,
    )
