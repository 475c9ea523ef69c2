"""Triples of a knowledge graph beside RecBole's interactions."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from llmgnn_jax import assets
from llmgnn_jax.config import replace
from llmgnn_jax.data import catalog
from llmgnn_jax.data.attributes import with_attributes
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.sources.recbole import read_recbole
from llmgnn_jax.data.splits import split_random
from llmgnn_jax.errors import UserError
from llmgnn_jax.graph.relational import build_relational
from llmgnn_jax.recipes import recipe
from llmgnn_jax.training.prepare import prepare

Write = Callable[..., Path]

_HEADERS = {
    "link": "item_id:token entity_id:token",
    "kg": "head_id:token relation_id:token tail_id:token",
}
LINKS = ("1 m.toy", "2 m.mis", "4 m.two")
TRIPLES = (
    "m.toy actor p.ann",
    "m.two actor p.ann",
    "m.two actor p.bob",
    "p.bob acted_in m.two",
    "p.ann acted_in m.toy",
    "p.ann acted_in m.two",
    "m.toy sequel m.two",
    "m.gone sequel m.toy",
    "p.ann married p.bob",
)


@pytest.fixture
def write(atomic: Path) -> Write:
    """(kg lines, link lines) -> the folder of films with these beside them."""

    def add(
        triples: tuple[str, ...] | None = TRIPLES,
        links: tuple[str, ...] | None = LINKS,
        **headers: str,
    ) -> Path:
        for kind, rows in (("kg", triples), ("link", links)):
            if rows is not None:
                lines = [headers.get(kind, _HEADERS[kind]), *rows]
                text = "".join(line.replace(" ", "\t") + "\n" for line in lines)
                (atomic / f"films.{kind}").write_text(text, "utf-8")
        return atomic

    return add


def _links(data: Dataset, name: str) -> set[tuple[str, str]]:
    relation = data.relations[name]
    heads, tails = (data.ids[kind] for kind in relation.kinds)
    pairs = zip(relation.heads, relation.tails, strict=True)
    return {(heads[head], tails[tail]) for head, tail in pairs}


def test_linked_entities_are_the_items_and_all_others_nodes_of_their_own(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    plain = read_recbole(write(None, None))
    data = read_recbole(write())
    assert data.entities == {"entity": ("p.bob", "p.ann", "m.gone")}
    assert {name: one.kinds for name, one in data.relations.items()} == {
        "actor": ("item", "entity"),
        "sequel item-item": ("item", "item"),
        "sequel item-entity": ("item", "entity"),
        "married": ("entity", "entity"),
    }
    pairs = {("1", "p.ann"), ("4", "p.ann"), ("4", "p.bob")}
    assert _links(data, "actor") == pairs
    assert _links(data, "sequel item-entity") == {("1", "m.gone")}
    [link] = _links(data, "sequel item-item")
    assert set(link) == {"1", "4"}
    assert not any(one.directed for one in data.relations.values())
    assert all((one.weights == 1).all() for one in data.relations.values())
    # What is asked and answered stays what it is.
    assert data.content_hash(relations=False) == plain.content_hash()
    assert (
        "of 9 triples left out: 3 that others say the other way round (all of "
        "acted_in), 0 that repeat, 0 of an entity with itself" in caplog.text
    )


def test_what_is_left_out_is_counted(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    triples = ("m.toy actor p.ann", "m.toy actor p.ann", "m.toy is m.toy")
    both_ways = ("m.toy near m.mis", "m.mis near m.toy")
    links = (*LINKS, "99 m.x", "98 m.x", "1 m.again", "5 m.toy")
    data = read_recbole(write((*triples, *both_ways), links))
    assert _links(data, "actor") == {("1", "p.ann")}
    assert len(_links(data, "near")) == 1
    assert set(data.relations) == {"actor", "near"}
    assert (
        "films.kg: of 5 triples left out: 1 that others say the other way round, 1 "
        "that repeat, 1 of an entity with itself" in caplog.text
    )
    assert (
        "films.link: left out: 2 lines about unknown items, 2 about an item or an "
        "entity that an earlier line links" in caplog.text
    )


def test_a_mirror_is_known_by_its_links_alone(write: Write) -> None:
    """Two relations between the same things in one direction are two."""
    same = ("m.toy wrote_by p.ann", "m.toy made_by p.ann")
    assert set(read_recbole(write(same)).relations) == {"wrote_by", "made_by"}
    # One more link, and it says something of its own.
    more = ("m.toy actor p.ann", "p.ann acted_in m.toy", "p.ann acted_in m.two")
    data = read_recbole(write(more))
    assert {name: one.num_links for name, one in data.relations.items()} == {
        "actor": 1,
        "acted_in": 2,
    }


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"links": None}, "films.kg is not read: there is no films.link"),
        ({"triples": None}, "films.link is not read: there is no films.kg"),
    ],
)
def test_one_file_without_the_other_is_told(
    write: Write,
    given: dict[str, None],
    told: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    data = read_recbole(write(**given))
    assert (data.relations, data.entities) == ({}, {})
    assert told in caplog.text


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"kg": "head_id:token tail_id:token"}, "films.kg, line 1: .* relation_id:tok"),
        ({"link": "item_id:token x:token"}, "films.link, line 1: .* entity_id:token"),
        ({"triples": ("m.toy actor",)}, "films.kg, line 2: expected 3 fields"),
        ({"links": ("1 ",)}, "films.link, line 2, column entity_id: expected an id"),
        ({"triples": ()}, "films.kg: expected at least one line"),
    ],
)
def test_malformed_files_are_one_line(
    write: Write, given: dict[str, str], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        read_recbole(write(**given))


def test_all_of_them_are_asked_for_at_once(write: Write) -> None:
    data = read_recbole(write())
    everything = with_attributes(data, ["all", "genre"])
    assert list(everything.relations) == [*data.relations, "genre"]
    assert list(with_attributes(data, ["sequel item-item", "all"]).relations) == [
        "sequel item-item",
        *(name for name in data.relations if name != "sequel item-item"),
    ]
    assert list(with_attributes(data, ["married"]).relations) == ["married"]


def test_a_relation_that_is_called_all_is_that_one(write: Write) -> None:
    data = read_recbole(write(("m.toy all p.ann", "m.toy other p.ann")))
    assert list(with_attributes(data, ["all"]).relations) == ["all"]


def test_an_attribute_is_no_kind_that_others_link(write: Write) -> None:
    data = read_recbole(write())
    named = dataclasses.replace(
        data, item_categorical={"entity": data.item_categorical["genre"]}
    )
    assert list(with_attributes(named, ["entity"]).relations) == ["entity"]
    with pytest.raises(UserError, match=r"attribute 'entity' or links .*, got both"):
        with_attributes(named, ["entity", "actor"])


def test_all_of_none_is_refused(write: Write) -> None:
    data = read_recbole(write(None, None))
    with pytest.raises(UserError, match=r"graph.relations: .* no relations, got 'all'"):
        with_attributes(data, ["all"])


# The real ones


@pytest.fixture(scope="module")
def movielens() -> Dataset:
    """RecBole's, whose triples are about other films than its numbers say."""
    if assets.where("ml-100k-recbole") is None:
        pytest.skip("ml-100k-recbole is not in the cache")
    return catalog.load("ml-100k-recbole")


def test_the_triples_of_movielens_100k(
    movielens: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    """Counted in the file by `cut -f2 ml-100k.kg | sort | uniq -c`."""
    known = assets.ASSETS["ml-100k-recbole"]
    assert movielens.content_hash() == known.content_sha256
    # The same interactions as of the asset without them.
    assert movielens.content_hash(relations=False) == (
        assets.ASSETS["ml-100k"].content_sha256
    )
    assert movielens.num_nodes == {"user": 943, "item": 1682, "entity": 33_030}
    assert {name: one.num_links for name, one in movielens.relations.items()} == {
        "film.film.actor": 40_152,
        "film.film.genre": 7_184,
        "film.film.award_nomination": 6_347,
        "film.film.produced_by": 2_615,
        "film.film.award_won": 2_501,
        "film.film.written_by": 2_381,
        "film.film.language": 2_231,
        "film.film.country": 2_212,
        "film.film.directed_by": 1_727,
        "film.film.cinematography": 1_416,
        "film.film.production_companies": 1_396,
        "film.film.rating": 1_345,
        "film.film.subjects": 715,
        "film.film.sequel item-item": 57,
        "film.film.sequel item-entity": 255,
        "film.actor.film": 6,
    }
    read_recbole(catalog.fetch("ml-100k-recbole"))
    assert "of 91631 triples left out: 19091 that others say the other way" in (
        caplog.text
    )


def test_they_are_edges_of_the_graph(movielens: Dataset) -> None:
    config = replace(
        recipe("ml-100k"),
        models=("graph",),
        **{
            "data.source": "ml-100k-recbole",
            "graph.relations": ("film.film.directed_by", "all"),
            "graph.backend": "segment",
            "graph.filter": "none",
        },
    )
    prepared = prepare(config)
    plain = prepare(replace(config, **{"graph.relations": ()}))
    edges = [int(one.graph.plan.num_edges) for one in (plain, prepared)]
    # Who directed, wrote and produced a film is one edge with it.
    assert edges[1] - edges[0] == 2 * 68_979
    assert prepared.graph.layout.other_capacity == 33_030
    assert prepared.split.split_hash == plain.split.split_hash
    assert prepared.data_hash != plain.data_hash


def test_layers_tell_them_apart(movielens: Dataset) -> None:
    train = split_random(movielens, seed=0).training()
    made = build_relational(train)
    assert len(np.unique(made.graph.edges["relation"])) >= 2 * 15
