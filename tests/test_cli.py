"""The command line: what goes to stdout, what a mistake looks like, what is left."""

import json
import shutil
from unittest.mock import ANY

import numpy as np
import pytest

from llmgnn_jax import __version__, cli
from llmgnn_jax.config import Config, flatten, from_json, replace, to_json
from llmgnn_jax.evaluation.contract import check_results
from llmgnn_jax.serving.recommender import Recommender

pytestmark = pytest.mark.usefixtures("workplace")


@pytest.fixture
def options(tiny_config, as_typed):
    """(fields changed) -> a tiny run of the graph as typed words."""

    def words(**changes):
        defaults = {
            "models": ("graph",),
            "train.steps": 4,
            "train.validate_every": 2,
            "train.checkpoint_every": 2,
            "evaluation.baselines": False,
        }
        config = replace(tiny_config, **{**defaults, **changes})
        return as_typed(config)

    return words


def content(folder):
    return {
        path.relative_to(folder): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


# Help


@pytest.mark.parametrize(
    ("arguments", "example"),
    [
        ([], "llmgnn train ml-100k"),
        (["train"], "llmgnn train ml-100k --seed 1"),
        (["evaluate"], "llmgnn evaluate runs/"),
        (["recommend"], 'llmgnn recommend runs/ml-100k/20260101-120000 --item "Toy'),
        (
            ["write-back"],
            "llmgnn write-back runs/films/20260101-120000 --to films.toml",
        ),
        (["encode"], "llmgnn encode texts.txt --encoder minilm-l6"),
        (["data"], "llmgnn data list"),
        (["data", "list"], "llmgnn data list"),
        (["data", "fetch"], "llmgnn data fetch ml-100k"),
        (["data", "where"], "llmgnn data where ml-100k"),
    ],
)
def test_help_shows_an_example_first(llmgnn, arguments, example):
    code, out, err = llmgnn(*arguments, "--help")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "example:"
    assert out.splitlines()[1].strip().startswith(example)
    assert "usage: llmgnn" in out


def test_version(llmgnn):
    assert llmgnn("--version") == (0, f"{__version__}\n", "")


def test_options_of_a_recipe_are_listed(llmgnn):
    code, out, _ = llmgnn("train", "synthetic", "--options")
    assert code == 0
    assert "--train.learning-rate" in out


# Mistakes: one line, exit code 2, nothing written


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["VERB"]),
        (["trian"], ["'trian'", "train", "recommend"]),
        (["--frob"], ["VERB"]),
        (["train"], ["recipe: expected one of ml-100k, ", "got none"]),
        (["train", "syntetic"], ["got 'syntetic'; did you mean 'synthetic'?"]),
        (["train", "--seed", "1", "synthetic"], ["got '1'; it comes before its opt"]),
        (["train", "synthetic", "--train.step", "2"], ["did you mean '--train.steps'"]),
        (["train", "synthetic", "--out-dir", "x"], ["--out-dir: expected an option"]),
        (["train", "synthetic", "--train.steps", "two"], ["a whole number, got 'two'"]),
        (["train", "synthetic", "--train.steps", "0"], ["a number above 0, got 0"]),
        (["train", "synthetic", "--data.split", "tempural"], ["'temporal'?"]),
        (["train", "synthetic", "--profile", "-3"], ["--profile: ", "got -3"]),
        (["train", "synthetic", "--profile", "x"], ["--profile", "'x'"]),
        (["train", "synthetic", "--out"], ["--out", "expected one argument"]),
        (["train", "synthetic", "--data.source", "nowhere"], ["'nowhere'", "ml-100k"]),
        (["train", "synthetic", "--data.source", "ml-10k"], ["did you mean 'ml-100k'"]),
        (["train", "synthetic", "--data.source", "empty"], ["NAME.inter", "nothing"]),
        (
            ["train", "synthetic", "--models", "text", "--text.encoder", "minilm"],
            [
                "encoder: expected one of minilm-l6, smollm2-135m, usem3",
                "did you mean 'minilm-l6'?",
            ],
        ),
        (
            ["train", "synthetic", "--models", "text", "--text.encoder", "./nowhere"],
            ["config.json", "name a folder in Hugging Face's layout"],
        ),
        (["train", "synthetic", "--resume", "--overwrite"], ["--overwrite alone"]),
        (["train", "synthetic", "--resume"], ["a run in runs/synthetic, got none"]),
        (["train", "synthetic", "--resume", "--out", "x"], ["x: ", "to resume"]),
        (["train", "synthetic", "--out", "file"], ["file: expected a folder, got a f"]),
        (["train", "synthetic", "--out", "file/x"], ["folder that can be written"]),
        (["train", "synthetic", "--out", "full"], ["--resume", "--overwrite"]),
        (
            ["train", "synthetic", "--out", "full", "--overwrite"],
            ["a run to overwrite"],
        ),
        (["recommend"], ["RUN"]),
        (["recommend", "nowhere", "--user", "1"], ["nowhere: ", "no such folder"]),
        (["recommend", "full", "--user", "1"], ["a run folder with config.json"]),
        (
            ["recommend", "full", "--usr", "1"],
            ["--usr: expected an option of llmgnn r"],
        ),
        (["recommend", "full", "--k", "ten"], ["--k", "'ten'"]),
        (["recommend", "full", "--model", "ease"], ["--model", "'ease'", "fused"]),
        (["evaluate", "nowhere"], ["nowhere: ", "no such folder"]),
        (["evaluate", "full", "more"], ["more"]),
        (["data"], ["ACTION"]),
        (["data", "fetch"], ["NAME"]),
        (["data", "fetch", "ml-10m"], ["asset: expected one of ml-100k", "'ml-10m'"]),
        (["data", "where", "ml-10m"], ["asset: expected one of ml-100k", "'ml-10m'"]),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(refused, workplace, arguments, parts):
    (workplace / "empty").mkdir()
    (workplace / "full").mkdir()
    (workplace / "full" / "notes.txt").write_text("mine")
    (workplace / "file").write_text("mine")
    before = content(workplace)
    line = refused(*arguments)
    for part in parts:
        assert part in line
    assert content(workplace) == before


HEADER = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
ROWS = [
    f"u{user}\ti{(3 * user + turn) % 9}\t{1 + turn % 5}\t{100 + 10 * user + turn}"
    for user in range(12)
    for turn in range(6)
]


def write_data(folder, *, header=HEADER, rows=ROWS, items=None):
    folder.mkdir()
    (folder / "mine.inter").write_text("\n".join([header, *rows]) + "\n")
    if items is not None:
        (folder / "mine.item").write_text("\n".join(items) + "\n")


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        (
            {"header": HEADER.replace("user_id", "usr_id")},
            ["mine.inter, line 1", "a column user_id:token", "usr_id"],
        ),
        (
            {"items": ["item_id:token\ttitle:token_seq", "i1\tA", "i1\tB"]},
            ["mine.item, line 3, column item_id", "each id once", "'i1'"],
        ),
        (
            {"rows": [*ROWS, "u1\ti2\tnan\t7"]},
            ["mine.inter, line 74, column rating", "finite number", "'nan'"],
        ),
        (
            {"rows": [*ROWS, "u1\ti2\t4\t-7"]},
            ["mine.inter, line 74, column timestamp", "not negative", "'-7'"],
        ),
        ({"rows": [*ROWS, "u1\ti2"]}, ["mine.inter, line 74", "4 fields", "got 2"]),
        ({"rows": []}, ["mine.inter", "at least one line"]),
        ({"header": "", "rows": []}, ["mine.inter", "an empty file"]),
        (
            {"rows": [f"u{n}\ti{n}\t1\t{n}" for n in range(9)]},
            ["data.split 'random'", "interactions to validate and to test on"],
        ),
    ],
)
def test_data_that_are_wrong_are_one_line_and_leave_nothing(
    refused, workplace, data, parts
):
    write_data(workplace / "mine", **data)
    before = content(workplace)
    line = refused("train", "synthetic", "--data.source", "mine", "--out", "run")
    for part in parts:
        assert part in line
    assert content(workplace) == before


def test_data_without_texts_have_no_text_model(refused, workplace, tiny_encoder):
    write_data(workplace / "mine")
    line = refused(
        *("train", "synthetic", "--data.source", "mine", "--out", "run"),
        *("--models", "graph", "text", "--text.encoder", tiny_encoder),
    )
    assert "models: expected graph alone, for data without texts, got graph t" in line
    assert not (workplace / "run").exists()


def test_a_split_that_needs_times(refused, workplace):
    write_data(
        workplace / "mine",
        header="user_id:token\titem_id:token",
        rows=["\t".join(row.split("\t")[:2]) for row in ROWS],
    )
    line = refused(
        *("train", "synthetic", "--data.source", "mine", "--data.split", "temporal")
    )
    assert "interactions with timestamps" in line
    assert [path.name for path in workplace.iterdir()] == ["mine"]


def write_orders(workplace):
    rows = [row.split("\t") for row in ROWS]
    lines = ["customer,sku,stars", *(",".join(row[:3]) for row in rows)]
    (workplace / "orders.csv").write_text("\n".join(lines) + "\n")


def test_a_table_whose_columns_are_named(llmgnn, workplace, options, caplog):
    write_orders(workplace)
    named = {
        "data.source": "orders.csv",
        "data.columns": ("user=customer", "item=sku", "value=stars"),
    }
    code, _, err = llmgnn("train", "synthetic", *options(**named), "--out", "run")
    assert code == 0, err
    assert "orders.csv: columns user=customer item=sku value=stars" in caplog.text
    user = ROWS[0].split("\t")[0]
    code, out, err = llmgnn("recommend", "run", "--user", user, "--k", "1", "--json")
    assert code == 0, err
    assert json.loads(out)["items"][0]["id"] in {row.split("\t")[1] for row in ROWS}


@pytest.mark.parametrize(
    ("source", "columns", "parts"),
    [
        ("orders.csv", ["item=sk"], ["--data.columns item=sk", "customer, sku, stars"]),
        ("orders.csv", ["itm=sku"], ["--data.columns", "did you mean 'item'"]),
        ("synthetic", ["item=sku"], ["--data.columns", "none but with a table"]),
        ("none.parquet", [], ["none.parquet", "a readable file"]),
        ("shop.toml", [], ["shop.toml: interaction: expected", "mean 'interactions'"]),
    ],
)
def test_tables_that_are_wrong_are_one_line_and_leave_nothing(
    refused, workplace, source, columns, parts
):
    write_orders(workplace)
    (workplace / "shop.toml").write_text("[interaction]\n")
    before = content(workplace)
    asked = ["--data.columns", *columns] if columns else []
    line = refused("train", "synthetic", "--data.source", source, *asked)
    for part in parts:
        assert part in line
    assert content(workplace) == before


@pytest.mark.parametrize(
    "arguments", [["train", "ml-100k"], ["data", "fetch", "ml-100k"]]
)
def test_no_network_and_no_cache(refused, workplace, monkeypatch, arguments):
    monkeypatch.setenv("LLMGNN_CACHE", str(workplace / "cache"))
    line = refused(*arguments)
    assert "asset ml-100k: not in the cache and no mirror served it" in line
    assert "unset LLMGNN_OFFLINE" in line
    assert "LLMGNN_MIRROR" in line
    # Neither a run nor half an asset.
    assert not (workplace / "runs").exists()
    assert not list((workplace / "cache" / "assets").rglob("*"))


def test_no_network_and_no_encoder(refused, workplace, monkeypatch):
    monkeypatch.setenv("LLMGNN_CACHE", str(workplace / "cache"))
    line = refused("train", "synthetic", "--models", "fused", "--out", "run")
    assert "asset minilm-l6: not in the cache" in line
    assert not (workplace / "run").exists()


def test_debug_shows_the_traceback(llmgnn):
    for arguments in (
        ["--debug", "train", "syntetic"],
        ["train", "syntetic", "--debug"],
        ["recommend", "nowhere", "--user", "1", "--debug"],
    ):
        code, out, err = llmgnn(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("Traceback (most recent call last):")
        assert "llmgnn_jax.errors.UserError: " in err.splitlines()[-1]


def test_a_defect_keeps_its_traceback(monkeypatch, llmgnn):
    def broken():
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(cli, "build_parser", broken)
    with pytest.raises(ZeroDivisionError):
        llmgnn("data", "list")


def test_an_interrupt_says_how_to_go_on(monkeypatch, llmgnn):
    def stopped():
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "build_parser", stopped)
    code, out, err = llmgnn("train", "synthetic")
    assert (code, out) == (130, "")
    assert "--resume" in err
    code, out, err = llmgnn("encode", "texts.txt")
    assert (code, out) == (130, "")
    assert "the same command goes on" in err


# Training


def test_training_prints_the_table_and_where_the_report_is(llmgnn, options, workplace):
    code, out, err = llmgnn("train", "synthetic", *options(), "--out", "run")
    assert code == 0, err
    assert "ranking on films" in out
    assert "graph" in out
    assert out.splitlines()[-1].split() == ["report", "run/report.html"]
    assert {path.name for path in (workplace / "run").iterdir()} == {
        "config.json",
        "split.json",
        "per_user.npz",
        "metrics.jsonl",
        "results.json",
        "report.html",
        "checkpoints",
    }
    results = json.loads((workplace / "run" / "results.json").read_text("utf-8"))
    check_results(results)
    assert results["command"].startswith("llmgnn train synthetic --recipe tiny")
    assert "<html" in (workplace / "run" / "report.html").read_text("utf-8")


def test_json_is_the_only_thing_on_stdout(llmgnn, options):
    code, out, _ = llmgnn("train", "--json", "synthetic", *options(), "--out", "run")
    assert code == 0
    document = json.loads(out)
    check_results(document)
    assert document["run"] == "run"
    code, again, _ = llmgnn("evaluate", "run", "--json")
    assert code == 0
    assert json.loads(again)["models"] == document["models"]


def test_resume_and_overwrite(llmgnn, refused, options, workplace):
    words = ["train", "synthetic", *options(), "--out", "run"]
    assert llmgnn(*words)[0] == 0
    before = content(workplace / "run")
    line = refused(*words)
    assert "--resume" in line
    assert "--overwrite" in line
    assert content(workplace / "run") == before
    line = refused(*words, "--resume", "--train.batch-size", "32")
    assert "--train.batch-size: expected 64, as the run in run was made with" in line
    assert "got 32" in line
    assert content(workplace / "run") == before
    longer = [*words, "--train.steps", "6"]
    code, out, err = llmgnn(*longer, "--resume", "--json")
    assert code == 0, err
    assert json.loads(out)["models"]["graph"]["budget"]["steps"] == 6
    steps = [
        json.loads(line)["step"]
        for line in (workplace / "run" / "metrics.jsonl").read_text().splitlines()
        if "loss" in line
    ]
    assert steps == [2, 4, 6]
    code, out, _ = llmgnn(*words, "--overwrite", "--json")
    assert code == 0
    assert json.loads(out)["models"]["graph"]["budget"]["steps"] == 4


def test_the_default_folder_and_the_newest_run_of_it(llmgnn, options, workplace):
    words = ["train", "synthetic", *options(), "--json"]
    code, out, _ = llmgnn(*words)
    assert code == 0
    run = json.loads(out)["run"]
    assert run.startswith("runs/tiny/")
    code, out, _ = llmgnn(*words, "--resume", "--train.steps", "6")
    assert code == 0
    assert json.loads(out)["run"] == run
    assert len(list((workplace / "runs" / "tiny").iterdir())) == 1


def test_divergence_is_one_line_that_names_the_step_and_the_checkpoint(
    llmgnn, options, workplace
):
    words = options(**{"train.learning_rate": 1e30, "train.checkpoint_every": 1})
    code, out, err = llmgnn("train", "synthetic", *words, "--out", "run")
    assert (code, out) == (2, "")
    errors = [line for line in err.splitlines() if "error" in line.lower()]
    assert errors == [err.splitlines()[-1]]
    assert errors[0].startswith("error: graph: loss at step ")
    assert "--train.learning-rate, now 1e+30" in errors[0]
    saved = {int(path.name) for path in workplace.glob("run/checkpoints/graph/*")}
    assert f"the checkpoint of step {max(saved)} is good" in errors[0]
    assert "Traceback" not in err


def test_a_profile_is_left_in_the_run(llmgnn, options, workplace):
    words = options()
    assert (
        llmgnn("train", "synthetic", *words, "--out", "run", "--profile", "2")[0] == 0
    )
    assert list((workplace / "run" / "profile").rglob("*.xplane.pb"))


# Recommending


@pytest.mark.parametrize(
    ("question", "call"),
    [
        (["--user", "u3"], {"user": "u3"}),
        (["--item", "Misérables, Les", "--item", "i5"], {"items": ["i0", "i5"]}),
        (
            ["--text", "a bank heist, with robots"],
            {"text": "a bank heist, with robots"},
        ),
    ],
)
def test_recommendations_as_text_and_as_json(llmgnn, finished_run, question, call):
    expected = Recommender.load(finished_run).recommend(**call, k=7)
    code, out, err = llmgnn("recommend", finished_run, *question, "--k", "7", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert [set(item) for item in document["items"]] == [
        {"id", "title", "score", "rank"}
    ] * 7
    for item, one in zip(document["items"], expected, strict=True):
        assert (item["id"], item["title"], item["rank"]) == (
            one.id,
            one.title,
            one.rank,
        )
        assert item["score"] == pytest.approx(one.score)
    assert document["run"] == str(finished_run)
    assert document["model"] == "fused"
    assert list(document["query"]) == list(call)
    code, out, err = llmgnn("recommend", finished_run, *question, "--k", "7")
    assert code == 0
    lines = out.splitlines()
    assert len(lines) == 7
    for line, one in zip(lines, expected, strict=True):
        rank, score, id_, title = line.split(maxsplit=3)
        assert (int(rank), id_, title) == (one.rank, one.id, one.title)
        assert float(score) == pytest.approx(one.score, abs=1e-4)


def test_what_a_sentence_names_is_told(llmgnn, finished_run, caplog):
    sentence = ["--sentence", "I like i5 and Misérables, Les"]
    code, out, err = llmgnn("recommend", finished_run, *sentence, "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["query"] == {"sentence": sentence[1]}
    assert document["understood"] == [
        {"id": "i5", "title": ANY, "words": "i5"},
        {"id": "i0", "title": "Misérables, Les (1995)", "words": "Misérables, Les"},
    ]
    by_items = ["--item", "i5", "--item", "i0"]
    _, out, _ = llmgnn("recommend", finished_run, *by_items, "--json")
    assert json.loads(out)["items"] == document["items"]
    caplog.clear()
    llmgnn("recommend", finished_run, *sentence)
    assert "liked: Misérables, Les (1995)" in caplog.messages


def test_titles_keep_their_letters_in_json(llmgnn, finished_run):
    _, out, _ = llmgnn("recommend", finished_run, "--text", "x", "--k", "40", "--json")
    assert '"Misérables, Les (1995)"' in out


def test_each_model_of_a_run_answers(llmgnn, finished_run):
    lists = {}
    for name in ("graph", "text", "fused"):
        code, out, _ = llmgnn(
            *("recommend", finished_run, "--user", "u3", "--model", name, "--json")
        )
        assert code == 0
        document = json.loads(out)
        assert document["model"] == name
        lists[name] = [item["id"] for item in document["items"]]
    assert lists["graph"] != lists["text"]


def test_more_than_the_catalogue_is_the_catalogue(llmgnn, finished_run):
    _, out, _ = llmgnn("recommend", finished_run, "--text", "x", "--k", 999, "--json")
    ranks = [item["rank"] for item in json.loads(out)["items"]]
    assert ranks == list(range(1, 41))


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        (
            [],
            ["expected one of user, item, text and sentence, got 0 of them", "--user"],
        ),
        (["--user", "u1", "--text", "x"], ["got 2 of them"]),
        (["--user", "u1", "--item", "i1", "--text", "x"], ["got 3 of them"]),
        (["--user", "u1", "--k", "0"], ["k: expected a number from 1 on, got 0"]),
        (["--user", "u1", "--k", "-1"], ["got -1"]),
        (["--user", "stranger"], ["user 'stranger'", "--item"]),
        (["--item", "Two Friends"], ["i1 = Two Friends (1986)", "i2 = Two Friends (1"]),
        (["--item", "Heist, The (1990)"], ["i3 = Heist, The", "i4 = ", "give the id"]),
        (["--item", "Unforgetable Journey"], ["did you mean 'Unforgettable Journey"]),
        (["--item", ""], ["item ''"]),
        (["--text", " "], ["text: expected some words, got none"]),
        (["--text", "x", "--model", "graph"], ["a model with a text side", "fused"]),
    ],
)
def test_a_question_that_cannot_be_answered_is_one_line(
    refused, finished_run, question, parts
):
    line = refused("recommend", finished_run, *question)
    for part in parts:
        assert part in line


@pytest.fixture
def copied(finished_run, workplace):
    """(fields changed) -> a copy of the finished run."""

    def copy(**changes):
        shutil.copytree(finished_run, workplace / "copy")
        path = workplace / "copy" / "config.json"
        config = replace(from_json(path.read_text("utf-8")), **changes)
        path.write_text(to_json(config), "utf-8")
        return workplace / "copy"

    return copy


@pytest.mark.parametrize("verb", ["recommend", "evaluate"])
@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "config.json: not valid JSON"),
        ("[1]", "config.json: expected an object, got list"),
        (
            '{"recipe": "x", "graph": {"layer": "gat"}}',
            "layer: expected lightgcn or gcn",
        ),
        ('{"recipe": "x", "colour": 1}', "colour: expected a known field"),
    ],
)
def test_a_broken_configuration_is_one_line(refused, copied, verb, text, part):
    run = copied()
    (run / "config.json").write_text(text)
    before = content(run)
    question = ["--user", "u1"] if verb == "recommend" else []
    assert part in refused(verb, "copy", *question)
    assert content(run) == before


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zero(path):
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize(
    ("pattern", "damage"),
    [
        ("_METADATA", truncate),
        pytest.param("_METADATA", zero, marks=pytest.mark.slow),
        pytest.param("manifest.ocdbt", zero, marks=pytest.mark.slow),
        pytest.param(
            "manifest.ocdbt", lambda path: path.unlink(), marks=pytest.mark.slow
        ),
        pytest.param("ocdbt.process_0/d/*", truncate, marks=pytest.mark.slow),
        pytest.param(
            "ocdbt.process_0/d/*", lambda path: path.unlink(), marks=pytest.mark.slow
        ),
    ],
)
@pytest.mark.parametrize("verb", ["recommend", "resume"])
def test_an_unreadable_checkpoint_is_one_line(
    refused, copied, options, verb, pattern, damage
):
    run = copied()
    name = {"recommend": "fused", "resume": "graph"}[verb]
    steps = sorted((run / "checkpoints" / name).iterdir(), key=lambda p: int(p.name))
    step = steps[-1]
    files = [
        path
        for one in steps
        for path in (one / "state").glob(pattern)
        if path.is_file()
    ]
    assert len(files) >= len(steps)
    for path in files:
        damage(path)
    before = content(run / "checkpoints")
    if verb == "recommend":
        line = refused("recommend", "copy", "--user", "u1")
    else:
        config = from_json((run / "config.json").read_text("utf-8"))
        unchanged = {
            key: value
            for key, value in flatten(config).items()
            if key.startswith(("models", "train", "evaluation"))
        }
        line = refused(
            "train", "synthetic", *options(**unchanged), "--out", "copy", "--resume"
        )
    assert f"checkpoints/{name}/{step.name}: expected a readable checkpoint" in line
    assert "train again with --overwrite" in line
    assert content(run / "checkpoints") == before


def test_a_checkpoint_of_another_shape_is_one_line(refused, copied):
    copied(**{"graph.embedding_dim": 8})
    line = refused("recommend", "copy", "--user", "u1", "--model", "graph")
    assert "expected a readable checkpoint of this model" in line


def test_a_run_without_checkpoints_is_one_line(refused, copied):
    run = copied()
    shutil.rmtree(run / "checkpoints" / "fused")
    assert "expected a checkpoint, got none" in refused(
        "recommend", run, "--user", "u1"
    )
    assert "expected a checkpoint, got none" in refused("evaluate", run)


def test_data_that_have_changed_since_are_one_line(refused, copied, films, workplace):
    shutil.copytree(films, workplace / "films")
    copied(**{"data.source": "films"})
    path = workplace / "films" / "films.inter"
    path.write_text(path.read_text("utf-8").replace("\t4\t", "\t5\t", 1), "utf-8")
    line = refused("recommend", "copy", "--user", "u1")
    assert "data.source 'films': expected the data that copy was trained on" in line
    assert "train again" in line


# Data


def test_data_are_listed(llmgnn, workplace, monkeypatch):
    monkeypatch.setenv("LLMGNN_CACHE", str(workplace / "cache"))
    code, out, err = llmgnn("data", "list")
    assert (code, err) == (0, "")
    for name in ("ml-100k", "minilm-l6"):
        line = next(line for line in out.splitlines() if line.startswith(name))
        assert "not cached" in line
    code, out, _ = llmgnn("data", "list", "--json")
    assert code == 0
    assets = json.loads(out)["assets"]
    assert {one["name"] for one in assets} >= {"ml-100k", "minilm-l6"}
    assert all(one["path"] is None and one["terms"] for one in assets)


def test_where_an_asset_is_not(refused, workplace, monkeypatch):
    monkeypatch.setenv("LLMGNN_CACHE", str(workplace / "cache"))
    line = refused("data", "where", "ml-100k")
    assert "llmgnn data fetch ml-100k" in line


def test_configurations_are_written_with_what_auto_chose(llmgnn, options, workplace):
    words = options(**{"graph.backend": "auto", "train.steps": 2})
    assert llmgnn("train", "synthetic", *words, "--out", "run")[0] == 0
    config = from_json((workplace / "run" / "config.json").read_text("utf-8"))
    assert isinstance(config, Config)
    assert config.graph.backend in ("csr", "segment")
    assert np.isfinite(config.train.learning_rate)
