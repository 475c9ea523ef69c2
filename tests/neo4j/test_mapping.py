"""Mappings, names and values, without a server."""

import datetime
import tomllib
from pathlib import Path

import pytest

from llmgnn_jax.data.sources.neo4j import (
    Connection,
    Interactions,
    Links,
    Neo4jSource,
    Nodes,
    load_source,
    source_of,
)
from llmgnn_jax.data.sources.neo4j.columns import (
    Ids,
    categories,
    number,
    seconds,
    words,
)
from llmgnn_jax.data.sources.neo4j.queries import match_links, match_nodes, quoted
from llmgnn_jax.errors import UserError

FILMS = """
name = "films"
[neo4j]
uri = "bolt://localhost:7687"
[interactions]
user_label = "User"
item_label = "Film"
type = "RATED"
value = "stars"
"""


def mapped(text, folder="/data/films"):
    return source_of(tomllib.loads(text), folder=Path(folder))


def test_a_document_is_a_mapping():
    more = """
    [items]
    id = "tmdb"
    title = "name"
    text = "plot"
    categorical = ["genre", "studio"]
    [users]
    label = "Person"
    numeric = "age"
    [relations.directed_by]
    heads_of = "item"
    tails_of = "director"
    type = "DIRECTED_BY"
    tail_label = "Person"
    tail_id = "name"
    directed = true
    """
    source = mapped(FILMS + more)
    assert source == Neo4jSource(
        name="films",
        connection=Connection(uri="bolt://localhost:7687"),
        interactions=Interactions(
            user_label="User", item_label="Film", type="RATED", value="stars"
        ),
        items=Nodes(
            id="tmdb", title="name", text=("plot",), categorical=("genre", "studio")
        ),
        users=Nodes(label="Person", numeric=("age",)),
        relations={
            "directed_by": Links(
                heads_of="item",
                tails_of="director",
                type="DIRECTED_BY",
                tail_label="Person",
                tail_id="name",
                directed=True,
            )
        },
    )
    assert source.nodes_of("user") == ("Person", "id")
    assert source.nodes_of("item") == ("Film", "tmdb")
    links = source.relations["directed_by"]
    assert source.end(links, "head") == ("Film", "tmdb")
    assert source.end(links, "tail") == ("Person", "name")


def test_a_document_without_a_name_is_called_after_its_folder():
    assert mapped(FILMS.replace('name = "films"', "")).name == "films"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[neo4j]", "[neo4]"), "neo4: expected one of name, neo4j, .*did you mean"),
        (
            ("bolt:", "http:"),
            r"neo4j.uri: expected SCHEME.* got 'http://localhost:7687'",
        ),
        (("bolt://localhost:7687", "bolt://"), "neo4j.uri: .* got 'bolt://'"),
        (("localhost:7687", "localhost:port"), "neo4j.uri: expected SCHEME"),
        (("[neo4j]", '[neo4j]\ndatabase = ""'), "neo4j.database: expected a name"),
        (("[neo4j]", "[neo4j]\nuser = 7"), "neo4j.user: expected a string, got 7"),
        (('uri = "bolt://localhost:7687"', ""), "neo4j.uri: expected a string, got no"),
        (("value =", "valeu ="), "interactions.valeu: .* did you mean 'value'"),
        (('type = "RATED"', ""), "interactions.type: .* or give cypher"),
        (("value =", 'cypher = "x"\nvalue ='), "interactions.type: .*beside cypher"),
        (("value =", 'time_unit = "h"\nvalue ='), "interactions.time_unit: expected"),
        (
            ("[interactions]", "[items]\n[interactions]\ntext = 3"),
            "interactions.text: ",
        ),
    ],
)
def test_documents_that_do_not_hold_together(change, said):
    with pytest.raises(UserError, match=f"^{said}") as caught:
        mapped(FILMS.replace(*change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("[items]\ntext = [1]", r"items.text: expected a name or several, got \[1\]"),
        ('[items]\ncypher = "x"\ntitle = "t"', "items or users.title: .*RETURN|return"),
        ('[users]\ntitle = "name"', "users.title: expected nothing"),
        ("[relations]\nx = 1", r"\[relations.x\]: expected a table, got 1"),
        ("[relations.x]\ntails_of = 'item'", "relations.x.heads_of: expected a string"),
        (
            "[relations.x]\nheads_of = 'item'\ntails_of = 'genre'\ntype = 'OF'",
            "relations.x.tail_label: expected a name, got none; or give cypher",
        ),
        (
            "[relations.x]\nheads_of = 'user'\ntails_of = 'user'",
            "relations.x.type: expected a name",
        ),
        (
            "[relations.x]\nheads_of = 'user'\ntails_of = 'user'\ndirected = 'yes'",
            "relations.x.directed: expected true or false, got 'yes'",
        ),
    ],
)
def test_tables_that_do_not_hold_together(more, said):
    with pytest.raises(UserError, match=said) as caught:
        mapped(f"{FILMS}\n{more}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "table", ['password = "hush-hush"', 'uri = "bolt://neo4j:hush-hush@localhost:7687"']
)
def test_a_password_in_a_file_is_refused_and_not_shown(table):
    text = FILMS.replace('uri = "bolt://localhost:7687"', table)
    with pytest.raises(UserError, match="LLMGNN_NEO4J_PASSWORD") as caught:
        mapped(text)
    assert "hush" not in str(caught.value)


def test_files_that_are_no_documents(tmp_path):
    with pytest.raises(UserError, match="expected a TOML file, got No such file"):
        load_source(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[neo4j\n", "utf-8")
    with pytest.raises(UserError, match=r"bad.toml: expected TOML, got .*line 1"):
        load_source(tmp_path / "bad.toml")
    (tmp_path / "other.toml").write_text("[interactions]\n", "utf-8")
    with pytest.raises(UserError, match=r"\[neo4j\]: expected a table, got none"):
        load_source(tmp_path / "other.toml")


def test_names_are_quoted():
    assert quoted("User") == "`User`"
    assert quoted("a`b") == "`a``b`"
    assert quoted("n) DETACH DELETE n //") == "`n) DETACH DELETE n //`"
    assert match_nodes("L`", [("p`", "c0")]) == "MATCH (n:`L```) RETURN n.`p``` AS `c0`"
    assert match_links(("A", [("id", "head")]), "T", ("B", [("id", "tail")]), []) == (
        "MATCH (h:`A`)-[r:`T`]->(t:`B`) RETURN h.`id` AS `head`, t.`id` AS `tail`"
    )
    for name in ("", "a\\u0060b", "a\0"):
        with pytest.raises(UserError, match="a name without"):
            quoted(name)


def test_ids_are_numbered_and_keep_their_type():
    ids = Ids("user ids")
    assert [ids.number(one) for one in (7, -3, 7)] == [0, 1, 0]
    assert ids.names() == ("7", "-3")
    assert ids.find(8) is None
    for value in ("7", True, 7.0, None):
        with pytest.raises(UserError, match="user ids: expected "):
            ids.number(value)
        with pytest.raises(UserError, match="user ids: expected "):
            ids.find(value)
    with pytest.raises(UserError, match="each id once, got -3 again"):
        ids.add(-3)
    texts = Ids("item ids")
    assert texts.number(" é") == 0
    assert texts.names() == (" é",)
    with pytest.raises(UserError, match="an id, got an empty string"):
        texts.number("")
    with pytest.raises(UserError, match=r"all strings, got ' é' and 1"):
        texts.number(1)


def test_words_and_categories():
    assert words(None, "x") == ""
    assert words("a \n b", "x") == "a b"
    assert words(["a", 1, None, "b"], "x") == "a, 1, b"
    assert categories(None, "x") == ()
    assert categories("Sci-Fi", "x") == ("Sci-Fi",)
    assert categories(["a", "", "b c"], "x") == ("a", "b c")
    with pytest.raises(UserError, match="x: expected a text, got a bytes"):
        words(b"a", "x")
    with pytest.raises(UserError, match="x: expected a text, got a dict"):
        categories([{}], "x")


def test_numbers():
    assert number(3, "x") == 3.0
    assert str(number(None, "x", missing=True)) == "nan"
    for value in (None, "3", float("nan"), float("inf"), [1]):
        with pytest.raises(UserError, match="x: expected a finite number, got"):
            number(value, "x")


def test_seconds():
    time = pytest.importorskip("neo4j.time", reason="the Neo4j driver is absent")
    assert seconds(1_600_000_000, "x", unit="s") == 1_600_000_000
    assert seconds(1_600_000_000_999, "x", unit="ms") == 1_600_000_000
    moment = datetime.datetime(2020, 9, 13, 14, 26, 40, 5, datetime.UTC)
    assert seconds(time.DateTime.from_native(moment), "x", unit="s") == 1_600_007_200
    naive = time.DateTime.from_native(moment.replace(tzinfo=None))
    assert seconds(naive, "x", unit="s") == 1_600_007_200
    assert seconds(time.Date(1970, 1, 2), "x", unit="s") == 86_400
    for value, said in (
        (1_600_000_000_000, 'time_unit = "ms"'),
        (-1, "a time since 1970"),
        (time.Date(1960, 1, 1), "a time since 1970, got 1960-01-01"),
        (None, "a temporal value, got null; .*coalesce"),
        ("2020", "a temporal value, got '2020'"),
        (True, "a temporal value"),
        (time.Duration(days=1), "a temporal value"),
    ):
        with pytest.raises(UserError, match=f"x: expected .*{said}"):
            seconds(value, "x", unit="s")
