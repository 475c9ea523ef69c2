"""`llmgnn data describe`: what is printed, what is drawn, what is refused."""

import json
import sys
import xml.etree.ElementTree as ET

import pytest

from llmgnn_jax.data.synthetic import synthetic

pytestmark = pytest.mark.usefixtures("workplace")


def test_the_page_and_the_picture(llmgnn, workplace):
    code, out, err = llmgnn("data", "describe", "synthetic", "--out", "around.svg")
    assert (code, err) == (0, "")
    assert "interactions            900" in out
    assert out.endswith("picture  around.svg\n")
    drawing = (workplace / "around.svg").read_text("utf-8")
    assert ET.fromstring(drawing).tag.endswith("svg")
    assert [path.name for path in workplace.iterdir()] == ["around.svg"]
    hidden = set(synthetic().user_ids)
    assert not hidden & set(ET.fromstring(drawing).itertext())


def test_ids_are_shown_if_asked_for(llmgnn, workplace):
    words = ("data", "describe", "synthetic", "--out", "around.svg", "--show-ids")
    assert llmgnn(*words)[0] == 0
    read = set(ET.parse(workplace / "around.svg").getroot().itertext())
    assert {f"user {one}" for one in synthetic().user_ids} & read


def test_one_json_document(llmgnn):
    code, out, _ = llmgnn("data", "describe", "synthetic", "--json")
    assert code == 0
    document = json.loads(out, parse_constant=pytest.fail)
    assert document["interactions"]["count"] == 900
    assert document["users"]["degrees"]["min"] >= 3
    assert document["content_hash"] == synthetic().content_hash()
    assert document["picture"] is None
    assert not set(synthetic().user_ids) & set(json.dumps(document).split('"'))


def test_the_seed_is_that_of_the_random_split(llmgnn):
    splits = [
        json.loads(llmgnn("data", "describe", "synthetic", "--json", "--seed", seed)[1])
        for seed in (0, 0, 1)
    ]
    assert splits[0] == splits[1]
    assert splits[0] != splits[2]


def test_columns_of_other_names_are_named_as_for_a_training(llmgnn, refused, workplace):
    (workplace / "orders.csv").write_text("who,what\nann,b1\nann,b2\nbob,b1\n")
    line = refused("data", "describe", "orders.csv")
    assert line.endswith("name it: --data.columns user=COLUMN")
    said = ("--data.columns", "user=who", "item=what")
    code, out, _ = llmgnn("data", "describe", "orders.csv", *said)
    assert code == 0
    assert "interactions              3" in out
    line = refused("data", "describe", "synthetic", *said)
    assert "none but with a table" in line


def test_a_graph_of_labelled_nodes(llmgnn, shared_data):
    folder = shared_data("cora-planetoid")
    code, out, _ = llmgnn("data", "describe", folder, "--out", "around.svg")
    assert code == 0
    assert "edges                 5,278" in out
    assert "same class" in out


def test_png(llmgnn, workplace, monkeypatch, refused):
    code, _, err = llmgnn("data", "describe", "synthetic", "--out", "around.png")
    if code == 2:
        assert "expected a font" in err
    else:
        assert (workplace / "around.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    line = refused("data", "describe", "synthetic", "--out", "other.png")
    assert "llmgnn-jax[png]" in line
    assert not (workplace / "other.png").exists()


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "SOURCE"),
        (
            ["nowhere"],
            "dataset: expected one of ml-100k, ml-100k-recbole, gowalla, synthetic",
        ),
        ([""], "data.source: expected a name, a file or a folder, got an empty text"),
        (["synthetic", "--out", "around.jpg"], "ends in .svg or .png, got around.jpg"),
        (["synthetic", "--out", "no/around.svg"], "make the folder first"),
        (["synthetic", "--out", "full.svg"], "a file in a folder that is there"),
        (["synthetic", "--seed", "x"], "--seed"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(refused, workplace, arguments, part):
    (workplace / "full.svg").mkdir()
    assert part in refused("data", "describe", *arguments)
    assert [path.name for path in workplace.iterdir()] == ["full.svg"]


def test_help_shows_an_example_first(llmgnn):
    code, out, _ = llmgnn("data", "describe", "--help")
    assert code == 0
    assert out.splitlines()[1].strip().startswith("llmgnn data describe ml-100k")
