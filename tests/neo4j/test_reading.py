"""Datasets from a server: what is read, and what a mistake is told as."""

import dataclasses
import logging
import tomllib

import numpy as np
import pytest

from llmgnn_jax.data import catalog
from llmgnn_jax.data.relations import Relation
from llmgnn_jax.data.sources.neo4j import (
    Interactions,
    Links,
    Neo4jSource,
    Nodes,
    read_neo4j,
    read_source,
    write_dataset,
)
from llmgnn_jax.data.synthetic import synthetic
from llmgnn_jax.errors import UserError

pytestmark = pytest.mark.slow

FILMS = """
CREATE (a:User {id: 1, age: 30, job: 'cook'}), (b:User {id: 2}), (c:User {id: 3}),
  (x:Film {code: 'x1', name: 'Toy  Story', plot: 'Toys come alive.', tags: ['a', 'b'],
           year: 1995}),
  (y:Film {code: 'y2', name: 'Heist', tags: 'c'}),
  (z:Film {code: 'z3'}),
  (a)-[:RATED {stars: 5, at: datetime('2020-01-01T00:00:00Z'), said: 'Loved it'}]->(x),
  (a)-[:RATED {stars: 2.5, at: datetime('2020-01-02T00:00:00+01:00')}]->(y),
  (b)-[:RATED {stars: 1, at: datetime('2020-01-03T00:00:00Z')}]->(x),
  (a)-[:FRIEND]->(b), (b)-[:FRIEND]->(a), (b)-[:FRIEND]->(c),
  (p:Person {name: 'Ann'}), (q:Person {name: 'Bo'}),
  (x)-[:MADE_BY {share: 2.0}]->(p), (y)-[:MADE_BY {share: 1.0}]->(p),
  (z)-[:MADE_BY {share: 0.5}]->(q)
"""
RATED = Interactions(
    user_label="User", item_label="Film", type="RATED", item_id="code", value="stars"
)


@pytest.fixture
def films(server):
    server.ask(FILMS)
    return Neo4jSource(
        name="films",
        connection=server.connection,
        interactions=dataclasses.replace(RATED, time="at", text="said"),
        items=Nodes(title="name", text="plot", categorical="tags", numeric="year"),
        users=Nodes(categorical="job", numeric="age"),
        relations={
            "friends": Links(heads_of="user", tails_of="user", type="FRIEND"),
            "made_by": Links(
                heads_of="item",
                tails_of="maker",
                type="MADE_BY",
                tail_label="Person",
                tail_id="name",
                weight="share",
                directed=True,
            ),
        },
    )


def rows(dataset):
    return {
        (
            dataset.user_ids[user],
            dataset.item_ids[item],
            value,
            time,
            dataset.interaction_texts[row] if dataset.interaction_texts else "",
        )
        for row, (user, item, value, time) in enumerate(
            zip(
                dataset.users.tolist(),
                dataset.items.tolist(),
                dataset.values.tolist(),
                dataset.timestamps.tolist(),
                strict=True,
            )
        )
    }


def test_all_that_a_mapping_names_is_read(films, caplog):
    with caplog.at_level(logging.WARNING):
        dataset = read_source(films)
    assert dataset.name == "films"
    assert set(dataset.user_ids) == {"1", "2", "3"}
    assert rows(dataset) == {
        ("1", "x1", 5.0, 1_577_836_800, "Loved it"),
        ("1", "y2", 2.5, 1_577_919_600, ""),
        ("2", "x1", 1.0, 1_578_009_600, ""),
    }
    item = {one: n for n, one in enumerate(dataset.item_ids)}
    assert set(item) == {"x1", "y2", "z3"}
    assert dataset.item_titles[item["x1"]] == "Toy Story"
    assert dataset.item_titles[item["z3"]] == ""
    assert dataset.item_texts[item["x1"]] == "Toys come alive."
    assert dataset.item_texts[item["y2"]] == ""
    assert dataset.item_categorical["tags"][item["x1"]] == ("a", "b")
    assert dataset.item_categorical["tags"][item["y2"]] == ("c",)
    assert dataset.item_categorical["tags"][item["z3"]] == ()
    assert dataset.item_numeric["year"][item["x1"]] == 1995
    assert np.isnan(dataset.item_numeric["year"][item["z3"]])
    user = {one: n for n, one in enumerate(dataset.user_ids)}
    assert dataset.user_texts is None
    assert dataset.user_numeric["age"][user["1"]] == 30
    assert dataset.user_categorical["job"][user["2"]] == ()
    # Both directions of a friendship are one link, and the warning says so.
    assert dataset.relations["friends"].num_links == 2
    assert "relations.friends: 1 links that repeat" in caplog.text
    made = dataset.relations["made_by"]
    assert made.directed
    assert {
        (dataset.item_ids[h], dataset.entities["maker"][t], w)
        for h, t, w in zip(
            made.heads.tolist(), made.tails.tolist(), made.weights.tolist(), strict=True
        )
    } == {("x1", "Ann", 2.0), ("y2", "Ann", 1.0), ("z3", "Bo", 0.5)}


def test_without_tables_those_with_interactions_are_read(films, caplog):
    dataset = read_source(dataclasses.replace(films, items=None, users=None))
    assert set(dataset.user_ids) == {"1", "2"}
    assert set(dataset.item_ids) == {"x1", "y2"}
    assert dataset.item_titles == ("", "")
    assert dataset.relations["friends"].num_links == 1
    assert "relations.friends: 1 links of users or items that are not" in caplog.text


def test_texts_are_title_and_categories_or_the_properties_that_are_named(films):
    items = dataclasses.replace(films.items, text=())
    dataset = read_source(dataclasses.replace(films, items=items))
    assert dataset.item_texts[dataset.item_ids.index("x1")] == "Toy Story. a, b."
    items = dataclasses.replace(films.items, text=("name", "plot", "tags"))
    users = dataclasses.replace(films.users, text=("job",))
    dataset = read_source(dataclasses.replace(films, items=items, users=users))
    text = dataset.item_texts[dataset.item_ids.index("x1")]
    assert text == "Toy Story. Toys come alive. a, b."
    assert dataset.user_texts[dataset.user_ids.index("1")] == "cook"


def test_queries_stand_in_for_labels(films, caplog):
    dataset = read_source(
        dataclasses.replace(
            films,
            interactions=Interactions(
                cypher="MATCH (u:User)-[r:RATED]->(f:Film) WHERE r.stars > 1 RETURN "
                "u.id AS user_id, f.code AS item_id, r.stars AS value, "
                "toInteger(r.stars) AS time"
            ),
            items=Nodes(
                cypher="MATCH (f:Film) WHERE f.code <> 'y2' RETURN f.code AS id, "
                "f.name AS title, f.plot AS text, f.year AS year",
                numeric="year",
            ),
            users=None,
            relations={
                "made_by": Links(
                    heads_of="item",
                    tails_of="maker",
                    cypher="MATCH (f:Film)-->(p:Person) RETURN f.code AS head, "
                    "p.name AS tail",
                )
            },
        )
    )
    assert rows(dataset) == {("1", "x1", 5.0, 5, ""), ("1", "y2", 2.5, 2, "")}
    assert dataset.item_ids == ("x1", "z3", "y2")
    assert dataset.item_titles == ("Toy Story", "", "")
    assert "[items] lacks 1 ids of the interactions" in caplog.text
    assert dataset.relations["made_by"].num_links == 3


def test_a_document_is_read_by_its_file_too(films, server, tmp_path):
    text = server.toml(
        '[interactions]\nuser_label = "User"\nitem_label = "Film"\ntype = "RATED"\n'
        'item_id = "code"'
    )
    (tmp_path / "films.toml").write_text(text, "utf-8")
    dataset = catalog.load(tmp_path / "films.toml")
    assert dataset.values.tolist() == [1.0, 1.0, 1.0]
    assert dataset.timestamps.tolist() == [0, 0, 0]
    again = read_neo4j(tomllib.loads(text), folder=tmp_path)
    assert again.content_hash() == dataset.content_hash()


def test_names_and_ids_with_any_characters(server):
    label, property_ = "A `weird` label", "i'd \" }"
    server.ask(
        "CREATE (:`A ``weird`` label` {`i'd \" }`: '名 `\" 1'})-[:`Likes it`]->"
        "(:Film {id: 9007199254740993})"
    )
    source = Neo4jSource(
        name="x",
        connection=server.connection,
        interactions=Interactions(
            user_label=label, item_label="Film", type="Likes it", user_id=property_
        ),
    )
    dataset = read_source(source)
    assert dataset.user_ids == ('名 `" 1',)
    assert dataset.item_ids == ("9007199254740993",)


def test_a_dataset_that_is_written_is_read_back(server):
    plain = synthetic(reviews=True)
    tags = ("red", "blue")
    genres = np.arange(plain.num_items) % 2
    dataset = dataclasses.replace(
        plain,
        item_ids=tuple(f"日`本 {n}" for n in range(plain.num_items)),
        entities={"tag": tags},
        relations={
            "tagged": Relation(
                heads_of="item",
                tails_of="tag",
                heads=np.arange(plain.num_items),
                tails=genres,
                weights=np.linspace(0.5, 2, plain.num_items, dtype=np.float32),
                directed=True,
            )
        },
    )
    source = write_dataset(
        dataset, connection=server.connection, item_label="Fi lm", type="SAW"
    )
    assert read_source(source).content_hash() == dataset.content_hash()
    with pytest.raises(UserError, match=r"no \(:User\)-\[:SAW\].* got 900;") as caught:
        write_dataset(
            dataset, connection=server.connection, item_label="Fi lm", type="SAW"
        )
    assert "\n" not in str(caught.value)


def test_a_feature_that_takes_a_name_that_is_kept(server):
    dataset = dataclasses.replace(
        synthetic(), user_numeric={"title": np.zeros(60, np.float32)}
    )
    with pytest.raises(UserError, match="user field: expected another name than id"):
        write_dataset(dataset, connection=server.connection)
    assert server.ask("MATCH (n) RETURN count(n) AS n") == [(0,)]


def changed(films, **fields):
    return dataclasses.replace(
        films, interactions=dataclasses.replace(films.interactions, **fields)
    )


def asked(films, cypher):
    """Only the interactions come from a query."""
    return dataclasses.replace(
        films,
        interactions=Interactions(
            user_label="User", item_label="Film", item_id="code", cypher=cypher
        ),
    )


def nodes(films, **fields):
    return dataclasses.replace(films, items=dataclasses.replace(films.items, **fields))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda one: changed(one, user_label="Usr"),
            r"interactions.user_label: expected a label of .*Film.*User, got 'Usr'; "
            "did you mean 'User'",
        ),
        (
            lambda one: nodes(one, label="Fim"),
            "items.label: .* got 'Fim'; did you mean 'Film'",
        ),
        (
            lambda one: changed(one, type="RATES"),
            "interactions.type: expected a type of .*FRIEND, .*RATED.*, got "
            "'RATES'; did you mean 'RATED'",
        ),
        (
            lambda one: changed(one, type="MADE_BY"),
            r"interactions: expected \(:User\)-\[:MADE_BY\]->\(:Film\), got none;",
        ),
        (
            lambda one: changed(one, user_id="uid"),
            "interactions.user_id 'uid': expected a property of every User, got 3 "
            "without it; did you mean 'id'",
        ),
        (
            lambda one: changed(one, value="rating"),
            "interactions.value 'rating': expected a property of every RATED, got 3 "
            "without it; the first 3 have at, said, stars",
        ),
        (
            lambda one: changed(one, text="sad"),
            "interactions.text 'sad': .* did you mean 'said'",
        ),
        (
            lambda one: changed(one, value="said"),
            "interactions.value 'said': expected a property of every RATED, got 2 w|"
            "RATED.said: expected a finite number, got 'Loved it'",
        ),
        (
            lambda one: changed(one, time="said"),
            "RATED.said: expected a number or a temporal value, got 'Loved it'|"
            "interactions.time 'said': .* got 2 without",
        ),
        (
            lambda one: nodes(one, title="titel"),
            "items.title 'titel': expected a property of every Film, got 3 without it",
        ),
        (
            lambda one: nodes(one, numeric="name"),
            "item '.*': name: expected a finite number or null, got '",
        ),
        (
            lambda one: dataclasses.replace(
                one,
                relations={
                    "x": Links(heads_of="user", tails_of="user", type="FRIENDS")
                },
            ),
            "relations.x.type: .* did you mean 'FRIEND'",
        ),
        (
            lambda one: dataclasses.replace(
                one,
                relations={
                    "x": Links(
                        heads_of="item",
                        tails_of="p",
                        type="MADE_BY",
                        tail_label="Person",
                    )
                },
            ),
            "relations.x.tail_id 'id': expected a property of every Person, got 3 w",
        ),
        (
            lambda one: asked(one, "MATCH (n RETURN n"),
            r"\[interactions\] cypher: expected a query that the server runs, got Syn",
        ),
        (
            lambda one: asked(one, "MATCH (n) RETURN n.id AS user"),
            r"\[interactions\] cypher: expected a column user_id, got user; RETURN",
        ),
        (
            lambda one: asked(
                one, "MATCH (n:User) RETURN n.id AS user_id, n.x AS item_id"
            ),
            r"\[interactions\] cypher: expected a item_id in each row, got null",
        ),
        (
            lambda one: asked(
                one, "MATCH (n:None) RETURN n.id AS user_id, n.x AS item_id"
            ),
            r"\[interactions\] cypher: expected at least one row, got none",
        ),
        (
            lambda one: dataclasses.replace(
                one, items=Nodes(cypher="MATCH (f:Film) RETURN f.name AS title")
            ),
            r"\[items\] cypher: expected a column id, got title",
        ),
        (
            lambda one: dataclasses.replace(
                one,
                connection=dataclasses.replace(one.connection, database="elsewhere"),
            ),
            "neo4j.database: expected a database of .*, got 'elsewhere'",
        ),
        (
            # Not the user of the other tests, whom too many mistakes lock out.
            lambda one: dataclasses.replace(
                one, connection=dataclasses.replace(one.connection, user="nobody")
            ),
            "user 'nobody': expected the password that .* got Neo.ClientError.Security",
        ),
    ],
)
def test_mistakes(films, server, change, said):
    with pytest.raises(UserError, match=f"^(bolt.*, )?({said})") as caught:
        read_source(change(films))
    assert "\n" not in str(caught.value)
    assert server.password not in str(caught.value)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("CREATE (:User {name: 'no id'})", "interactions.user_id 'id': .* got 1 with"),
        ("CREATE (:User {id: '1'})", r"user ids \(User.id\): expected all integers or"),
        (
            "CREATE (:User {id: 2})",
            r"user ids \(User.id\): expected each id once, got 2",
        ),
        (
            "CREATE (:User {id: 2.5})",
            r"user ids \(User.id\): expected an integer or a s",
        ),
        (
            "CREATE (:Film {code: ''})",
            r"item ids \(Film.code\): expected an id, got an",
        ),
        (
            "MATCH (u:User {id: 3}), (f:Film {code: 'x1'}) CREATE (u)-[:RATED]->(f)",
            "interactions.value 'stars': .* got 1 without it",
        ),
        (
            "MATCH (u:User {id: 3}), (f:Film {code: 'x1'}) CREATE (u)-[:RATED {stars: "
            "0.0 / 0.0, at: datetime('2020-01-01')}]->(f)",
            "RATED.stars: expected a finite number, got nan",
        ),
    ],
)
def test_data_that_do_not_hold_together(films, server, query, said):
    server.ask(query)
    with pytest.raises(UserError, match=f"^{said}") as caught:
        read_source(films)
    assert "\n" not in str(caught.value)


def test_relationships_the_other_way_round(films):
    source = dataclasses.replace(
        films,
        interactions=Interactions(
            user_label="Film",
            item_label="User",
            type="RATED",
            user_id="code",
        ),
        items=None,
        users=None,
        relations={},
    )
    with pytest.raises(UserError, match="got none, but some the other way round; exch"):
        read_source(source)


def test_a_weight_that_is_not_above_0(films, server):
    server.ask("MATCH (:Film {code: 'z3'})-[r:MADE_BY]->() SET r.share = 0")
    with pytest.raises(
        UserError, match=r"relations.made_by: weights\[\d\]: expected a "
    ):
        read_source(films)


def test_a_server_that_goes_away_while_it_is_read(server, cut_off):
    dataset = synthetic(num_users=200, num_items=100, num_interactions=15_000)
    source = write_dataset(dataset, connection=server.connection)
    # Handshake and nodes pass; the interactions do not.
    through = dataclasses.replace(source, connection=cut_off(10**9, 60_000))
    with pytest.raises(
        UserError, match=r"^bolt://127.0.0.1:.* expected a server"
    ) as told:
        read_source(through)
    assert "\n" not in str(told.value)
    whole = dataclasses.replace(source, connection=cut_off(10**9, 10**9))
    assert read_source(whole).content_hash() == dataset.content_hash()
