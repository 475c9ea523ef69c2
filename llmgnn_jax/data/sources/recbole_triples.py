"""Triples of a knowledge graph beside RecBole's interactions, as relations.

    .kg     head_id, relation_id, tail_id: entities, and how they are related
    .link   item_id, entity_id: which entity an item is

(https://recbole.io/docs/user_guide/data/atomic_files.html)

An entity that is an item is that item; all others are of the kind "entity". A relation
has the name that the file gives it; where it joins several kinds it is one of each
("sequel item-item", "sequel item-entity"). Its links have no direction: a film hears
of its actors, and they of it. So a relation with the triples of another the other way
round (`film.director.film` beside `film.film.directed_by`) says nothing more, and is
left out: that whose heads are items stays, or else the first by name.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from llmgnn_jax.data.joining import JoinedLinks, join_links
from llmgnn_jax.data.relations import Relation
from llmgnn_jax.data.sources.files import stands_there
from llmgnn_jax.data.sources.links import names_of
from llmgnn_jax.data.sources.recbole_header import header_columns
from llmgnn_jax.data.sources.table import Block, concatenated, read_blocks
from llmgnn_jax.errors import excerpt

logger = logging.getLogger(__name__)

ENTITY = "entity"
_KINDS = (("item", "item"), ("item", ENTITY), (ENTITY, ENTITY))


@dataclass(kw_only=True)
class _Nodes:
    """Items by their numbers, and after them the entities that are none."""

    num_items: int
    places: dict[str, int]
    entities: list[str] = field(default_factory=list)

    def number(self, ids: Sequence[str]) -> np.ndarray:
        """(n,) int64 places of entity ids, new ones added."""
        for one in ids:
            if one not in self.places:
                self.places[one] = self.num_items + len(self.entities)
                self.entities.append(one)
        return np.fromiter(map(self.places.__getitem__, ids), np.int64, len(ids))


def read_triples(
    interactions: Path, items: Mapping[str, int]
) -> tuple[dict[str, tuple[str, ...]], dict[str, Relation]]:
    """(entities, relations) of the two files beside NAME.inter, if both are there.

    Lines of the .link file about unknown items, or about an item or an entity that an
    earlier line links, are left out; so are triples that repeat, also the other way
    round, and those of an entity with itself. All are counted.

    Args:
        interactions: NAME.inter.
        items: Their external ids, and their numbers.

    Raises:
        UserError: For a missing column, or a malformed header or line.
    """
    path, linked = interactions.with_suffix(".kg"), interactions.with_suffix(".link")
    there = [one for one in (path, linked) if stands_there(one)]
    if len(there) < 2:
        for one in there:
            other = linked if one == path else path
            logger.warning("%s is not read: there is no %s", one.name, other.name)
        return {}, {}
    nodes = _Nodes(num_items=len(items), places=_linked_entities(linked, items))
    names: dict[str, int] = {}
    heads, codes, tails = concatenated(
        (
            nodes.number(block.ids("head_id")),
            block.number("relation_id", names),
            nodes.number(block.ids("tail_id")),
        )
        for block in _blocks(path, ("head_id", "relation_id", "tail_id"))
    )
    # Sorted once: a file may name a relation a line.
    rows = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(names)))[:-1]
    triples = {
        name: join_links(heads[own], tails[own], one_kind=True, directed=True)
        for name, own in zip(names, np.split(rows, ends), strict=True)
    }
    kept = _without_mirrors(triples, nodes)
    relations = _relations(kept, nodes)
    _tell(path, triples, kept, relations)
    return ({ENTITY: tuple(nodes.entities)} if nodes.entities else {}), relations


def _linked_entities(path: Path, items: Mapping[str, int]) -> dict[str, int]:
    """Entity id -> the number of the item that it is."""
    found: dict[str, int] = {}
    taken: set[int] = set()
    unknown = again = 0
    for block in _blocks(path, ("item_id", "entity_id")):
        pairs = zip(block.ids("item_id"), block.ids("entity_id"), strict=True)
        for item_id, entity in pairs:
            item = items.get(item_id)
            if item is None:
                unknown += 1
            elif item in taken or entity in found:
                again += 1
            else:
                found[entity] = item
                taken.add(item)
    if unknown or again:
        logger.warning(
            "%s: left out: %d lines about unknown items, %d about an item or an entity "
            "that an earlier line links",
            path.name,
            unknown,
            again,
        )
    return found


def _blocks(path: Path, needed: Sequence[str]) -> Iterator[Block]:
    columns = tuple(header_columns(path, required=needed))
    return read_blocks(path, columns, delimiter="\t", skip_lines=1)


def _without_mirrors(
    triples: Mapping[str, JoinedLinks], nodes: _Nodes
) -> dict[str, JoinedLinks]:
    """Those that are not others the other way round, in the order of the file."""

    def from_items(name: str) -> int:
        return int(np.count_nonzero(triples[name].heads < nodes.num_items))

    chosen: set[bytes] = set()
    kept: set[str] = set()
    for name in sorted(triples, key=lambda name: (-from_items(name), name)):
        one = triples[name]
        mirror = join_links(one.tails, one.heads, one_kind=True, directed=True)
        if _bytes(mirror) not in chosen:
            kept.add(name)
            chosen.add(_bytes(one))
    return {name: one for name, one in triples.items() if name in kept}


def _bytes(links: JoinedLinks) -> bytes:
    return links.heads.tobytes() + links.tails.tobytes()


def _relations(
    triples: Mapping[str, JoinedLinks], nodes: _Nodes
) -> dict[str, Relation]:
    """One for each name and pair of kinds that has links."""
    found = {}
    for name, links in triples.items():
        # Items come before entities, and so first in a link that has both.
        low, high = (
            np.minimum(links.heads, links.tails),
            np.maximum(links.heads, links.tails),
        )
        kinds = (low >= nodes.num_items).astype(int) + (high >= nodes.num_items)
        for number, (heads_of, tails_of) in enumerate(_KINDS):
            rows = kinds == number
            if rows.any():
                found[name, heads_of, tails_of] = Relation.merged(
                    heads_of=heads_of,
                    tails_of=tails_of,
                    heads=low[rows] - (heads_of == ENTITY) * nodes.num_items,
                    tails=high[rows] - (tails_of == ENTITY) * nodes.num_items,
                )
    called = names_of(found)
    return {called[key]: relation for key, relation in found.items()}


def _tell(
    path: Path,
    triples: Mapping[str, JoinedLinks],
    kept: Mapping[str, JoinedLinks],
    relations: Mapping[str, Relation],
) -> None:
    """Counts what was left out in a warning."""
    loops = sum(one.loops for one in triples.values())
    repeats = sum(one.repeats for one in triples.values())
    left = sum(len(one.heads) for one in triples.values())
    mirrored = left - sum(one.num_links for one in relations.values())
    if not loops + repeats + mirrored:
        return
    dropped = sorted(triples.keys() - kept.keys())
    logger.warning(
        "%s: of %d triples left out: %d that others say the other way round%s, %d that "
        "repeat, %d of an entity with itself",
        path.name,
        left + loops + repeats,
        mirrored,
        f" (all of {excerpt(', '.join(dropped))})" if dropped else "",
        repeats,
        loops,
    )
