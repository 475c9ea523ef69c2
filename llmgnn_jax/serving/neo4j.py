"""Recommendations as relationships in a Neo4j database.

    source = Neo4jSource(...)
    write_back(Recommender.load(run), source=source, k=10)

writes (:User)-[:RECOMMENDED {model, version, rank, score, written_at}]->(:Item), one
for each pair and model. To write a run again changes nothing.
"""

import datetime
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from llmgnn_jax.data.sources.neo4j.columns import Id
from llmgnn_jax.data.sources.neo4j.connection import Database, opened, refusing
from llmgnn_jax.data.sources.neo4j.diagnosis import check_label
from llmgnn_jax.data.sources.neo4j.mapping import Neo4jSource
from llmgnn_jax.data.sources.neo4j.queries import match_nodes, quoted
from llmgnn_jax.errors import UserError
from llmgnn_jax.serving.answers import RecommendedItem
from llmgnn_jax.serving.neo4j_lists import Ends, List, Replacement
from llmgnn_jax.serving.recommender import Recommender

logger = logging.getLogger(__name__)

TYPE = "RECOMMENDED"
_BATCH = 1_000
_SCANNED = 1_000
"""Nodes of a label that are found without an index in no time."""


@dataclass(frozen=True, kw_only=True)
class WriteBack:
    """What was written.

    Attributes:
        model: What the relationships call the model.
        version: Of the model, see `Recommender.version`.
        users: Users whose lists are in the database now.
        written: Relationships that are new or were changed.
        unchanged: Relationships that were there already.
        removed: Relationships of the model that are in no list any more.
        missing_users: Users of the run that the database has no node for.
        missing_items: Recommended items that it has no node for: lists lack them.
    """

    model: str
    version: str
    users: int
    written: int
    unchanged: int
    removed: int
    missing_users: int
    missing_items: int


def check_target(source: Neo4jSource, *, type: str = TYPE) -> None:
    """Passes if recommendations can be written there, as far as reading tells.

    Raises:
        UserError: If the mapping does not say which nodes users and items are, the type
            is one that is read, the server cannot be reached, or a label is not there.
    """
    ends = _ends_of(source, type)
    with opened(source.connection) as database:
        for side in ("user", "item"):
            label = getattr(ends, side)[0]
            check_label(database, label, what=f"interactions.{side}_label")


def write_back(
    recommender: Recommender,
    *,
    source: Neo4jSource,
    k: int = 10,
    users: Sequence[str] | None = None,
    type: str = TYPE,
    name: str | None = None,
    batch: int = _BATCH,
) -> WriteBack:
    """Writes lists of the best items, one relationship an item.

    Args:
        recommender: A run.
        source: Says where users and items are; only labels and ids are read of it.
        k: Length of each list, from 1.
        users: External ids; None for all users of the run. Others keep what they have.
        type: Of the relationships; none that the source reads.
        name: What the relationships call the model, by default its name in the run.
            Lists of other names are left alone.
        batch: Relationships of a transaction, about: a user's list is never cut.

    Raises:
        UserError: As `check_target`; for an unknown user; if two nodes have one id; or
            if the server refuses or goes away in between: then some users have their
            new lists, the others their old ones, and the same call goes on.
    """
    if batch < 1:
        raise UserError.field("batch", expected="a number from 1 on", got=batch)
    ends = _ends_of(source, type)
    lists = recommender.lists(
        users=None if users is None else list(dict.fromkeys(users)), k=k
    )
    written = Replacement(
        ends=ends,
        type=type,
        parameters={
            "model": name or recommender.model_name,
            "version": recommender.version,
            "written_at": datetime.datetime.now(datetime.UTC),
        },
    )
    with opened(source.connection) as database:
        nodes = [_nodes(database, *getattr(ends, side)) for side in ("user", "item")]
        known, missing = _known(lists, *nodes)
        done = [0, 0, 0, 0]
        try:
            with (
                refusing(source.connection, ""),
                database.session(access="WRITE") as session,
            ):
                for several in _batches(known, batch):
                    counts = session.execute_write(written.replace, several)
                    done = [a + b for a, b in zip(done, counts, strict=True)]
        except UserError as error:
            raise UserError(
                f"{error}; at least {done[0]} users have their new lists, the others "
                "these or what they had: the same command goes on"
            ) from error
    for side, ids in missing.items():
        if ids:
            logger.warning(
                "%d %ss of the run have no node in %s: they are left out",
                len(ids),
                side,
                source.connection.place,
            )
    return WriteBack(
        model=written.parameters["model"],
        version=recommender.version,
        users=done[0],
        written=done[1],
        unchanged=done[2],
        removed=done[3],
        missing_users=len(missing["user"]),
        missing_items=len(missing["item"]),
    )


def _ends_of(source: Neo4jSource, type_: str) -> Ends:
    ends = {}
    for side in ("user", "item"):
        label, id_ = source.nodes_of(side)
        if label is None:
            raise UserError.field(
                f"interactions.{side}_label",
                expected=f"the label of the nodes that are {side}s",
                got="none",
                fix="beside cypher it says where to write",
            )
        ends[side] = (label, id_)
    read = [source.interactions.type, *(one.type for one in source.relations.values())]
    if type_ in read:
        raise UserError.field(
            "--type", expected="a type that is not read", got=repr(type_)
        )
    quoted(type_)
    return Ends(**ends)


def _nodes(database: Database, label: str, id_: str) -> dict[str, Id]:
    """The ids of all nodes of a label: as the run has them -> as the database has."""
    _warn_without_index(database, label, id_)
    found: dict[str, Id] = {}
    with database.rows(match_nodes(label, [(id_, "id")])) as (_, rows):
        for (value,) in rows:
            if type(value) not in (int, str):
                continue  # Nothing that was read has such an id.
            if str(value) in found:
                raise UserError.field(
                    f"{label}.{id_}",
                    expected="each id once",
                    got=f"{value!r} again",
                    fix="merge the nodes",
                )
            found[str(value)] = value
    return found


def _warn_without_index(database: Database, label: str, id_: str) -> None:
    try:
        indexed = database.all_rows(
            "SHOW INDEXES YIELD labelsOrTypes, properties "
            "RETURN labelsOrTypes AS labels, properties AS names"
        )
    except UserError:
        return  # Not everybody may see them.
    if ([label], [id_]) in [tuple(one) for one in indexed]:
        return
    size = database.all_rows(f"MATCH (n:{quoted(label)}) RETURN count(n) AS size")
    if size[0][0] > _SCANNED:
        logger.warning(
            "%s.%s has no index, so each row is looked for among all %d nodes: CREATE "
            "CONSTRAINT FOR (n:%s) REQUIRE n.%s IS UNIQUE",
            label,
            id_,
            size[0][0],
            quoted(label),
            quoted(id_),
        )


def _known(
    lists: Iterable[tuple[str, list[RecommendedItem]]],
    users: Mapping[str, Id],
    items: Mapping[str, Id],
) -> tuple[Iterator[List], dict[str, set[str]]]:
    """The lists by the database's ids, and what has none, as far as they were read."""
    missing: dict[str, set[str]] = {"user": set(), "item": set()}

    def among() -> Iterator[List]:
        for user, found in lists:
            if user not in users:
                missing["user"].add(user)
                continue
            missing["item"].update(one.id for one in found if one.id not in items)
            yield (
                users[user],
                [(items[one.id], one) for one in found if one.id in items],
            )

    return among(), missing


def _batches(lists: Iterable[List], size: int) -> Iterator[list[List]]:
    """Whole lists, until there are `size` relationships at least."""
    several: list[List] = []
    rows = 0
    for one in lists:
        several.append(one)
        # A user with nothing to recommend takes a look-up too.
        rows += max(1, len(one[1]))
        if rows >= size:
            yield several
            several, rows = [], 0
    if several:
        yield several
