"""Run folders: nothing is overwritten unasked, nothing is half-written."""

import json
import os
import re

import pytest

from llmgnn_jax.config import Config, from_json, replace, to_json
from llmgnn_jax.errors import UserError
from llmgnn_jax.training.run_folder import RunFolder, read_config

CONFIG = Config(recipe="tiny")


def choose(out=None, *, config=CONFIG, resume=False, overwrite=False, **options):
    return RunFolder.choose(
        config, out=out, resume=resume, overwrite=overwrite, **options
    )


def content(folder):
    """Every file and folder, with its bytes."""
    return {
        path.relative_to(folder): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.fixture
def run(tmp_path):
    """A run folder with something in it."""
    folder = tmp_path / "run"
    (folder / "checkpoints" / "graph" / "4").mkdir(parents=True)
    (folder / "checkpoints" / "graph" / "4" / "state").write_bytes(b"\x00\x01")
    (folder / "config.json").write_text(to_json(CONFIG), "utf-8")
    (folder / "split.json").write_text('{"split_hash": "5eed"}\n', "utf-8")
    (folder / "metrics.jsonl").write_text('{"model": "graph", "step": 4}\n')
    return folder


def test_by_default_it_is_called_by_recipe_and_time(tmp_path):
    chosen = choose(root=tmp_path / "runs")
    assert chosen.path.parent == tmp_path / "runs" / "tiny"
    assert re.fullmatch(r"\d{8}-\d{6}", chosen.path.name)
    assert not (tmp_path / "runs").exists()
    assert chosen.agreed(CONFIG) == CONFIG
    made = chosen.claim(CONFIG, data_hash="5eed")
    assert from_json((made / "config.json").read_text("utf-8")) == CONFIG
    assert {path.name for path in made.iterdir()} == {"config.json", "split.json"}


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "empty").mkdir()
    made = choose(tmp_path / "empty").claim(CONFIG, data_hash="5eed")
    assert made == tmp_path / "empty"


def test_the_home_folder_is_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert choose("~/mine").path == tmp_path / "mine"


def test_a_run_that_is_there_is_refused_and_left_as_it_is(run):
    before = content(run)
    with pytest.raises(UserError, match="expected a new or empty folder") as caught:
        choose(run)
    assert "--resume" in str(caught.value)
    assert "--overwrite" in str(caught.value)
    assert content(run) == before


def test_overwriting_removes_the_old_run_when_training_begins(run):
    before = content(run)
    chosen = choose(run, overwrite=True)
    assert content(run) == before
    chosen.claim(CONFIG, data_hash="5eed")
    assert {path.name for path in run.iterdir()} == {"config.json", "split.json"}


def test_overwriting_where_nothing_is(tmp_path):
    assert (
        choose(tmp_path / "new", overwrite=True)
        .claim(CONFIG, data_hash="5eed")
        .is_dir()
    )


@pytest.mark.parametrize(
    "config",
    [
        None,
        "{broken",
        "[]",
        # A language model's folder has a file of that name too.
        '{"model_type": "bert", "hidden_size": 32}',
    ],
)
def test_what_is_no_run_is_never_overwritten(tmp_path, config):
    (tmp_path / "thesis.tex").write_text("years of work")
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    before = content(tmp_path)
    with pytest.raises(UserError, match=r"expected a run to overwrite.* other files"):
        choose(tmp_path, overwrite=True)
    assert content(tmp_path) == before


def test_a_run_of_another_version_may_be_overwritten(run):
    tree = json.loads((run / "config.json").read_text("utf-8"))
    tree["graph"]["of_the_future"] = 1
    (run / "config.json").write_text(json.dumps(tree))
    choose(run, overwrite=True).claim(CONFIG, data_hash="5eed")
    assert read_config(run) == CONFIG


def test_resume_or_overwrite_not_both(run):
    with pytest.raises(
        UserError, match="--resume: expected it or --overwrite alone, got both"
    ):
        choose(run, resume=True, overwrite=True)


def test_nothing_to_resume(tmp_path):
    with pytest.raises(UserError, match=r"a run to resume.*got none; start it without"):
        choose(tmp_path / "absent", resume=True)
    with pytest.raises(UserError, match="a run to resume"):
        choose(tmp_path, resume=True)
    with pytest.raises(
        UserError, match=r"--resume: expected a run in .*runs/tiny, got"
    ):
        choose(resume=True, root=tmp_path / "runs")
    assert content(tmp_path) == {}


def test_resume_without_a_name_takes_the_newest_run_of_the_recipe(tmp_path):
    root = tmp_path / "runs"
    for number, name in enumerate(("20260103-0", "20260101-0", "20260102-0")):
        folder = root / "tiny" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(to_json(CONFIG))
        os.utime(folder, (number, number))
    other = root / "other" / "20270101-0"
    other.mkdir(parents=True)
    (other / "config.json").write_text(to_json(CONFIG))
    (root / "tiny" / "20280101-0").mkdir()  # No run: it has no config.json.
    assert choose(resume=True, root=root).path.name == "20260102-0"


def test_a_file_is_no_folder(tmp_path):
    file = tmp_path / "file"
    file.write_text("kept")
    for options in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(UserError, match="file: expected a folder, got a file"):
            choose(file, **options)
    with pytest.raises(UserError, match="expected a folder that can be written"):
        choose(file / "below").claim(CONFIG, data_hash="5eed")
    assert file.read_text() == "kept"


def test_a_link_to_a_run_is_not_followed_to_remove_it(run, tmp_path):
    (tmp_path / "link").symlink_to(run)
    before = content(run)
    with pytest.raises(UserError, match="expected a folder that can be written"):
        choose(tmp_path / "link", overwrite=True).claim(CONFIG, data_hash="5eed")
    assert content(run) == before


@pytest.mark.parametrize(
    ("field", "value", "option"),
    [
        ("seed", 1, "--seed: expected 0, .* got 1"),
        ("train.batch_size", 7, "--train.batch-size: expected 1024, .* got 7"),
        ("data.source", "elsewhere", "--data.source: expected ml-100k, "),
        ("graph.layer", "gcn", "--graph.layer: expected lightgcn, .* got gcn"),
        ("models", ("graph",), r"--models: expected graph text fused, .* got graph;"),
        ("evaluation.ks", (5, 10), r"--evaluation.ks: expected 10 20, .* got 5 10;"),
        ("train.checkpoint_every", 1, "--train.checkpoint-every: expected "),
    ],
)
def test_a_resumed_run_is_the_same_run(run, field, value, option):
    known = replace(CONFIG, **{"train.batch_size": 1024})
    (run / "config.json").write_text(to_json(known), "utf-8")
    before = content(run)
    chosen = choose(run, resume=True)
    with pytest.raises(UserError, match=option) as caught:
        chosen.agreed(replace(known, **{field: value}))
    assert "train in another folder" in str(caught.value)
    assert content(run) == before


def test_a_resumed_run_may_be_longer_and_keeps_what_auto_chose(run):
    chose = replace(CONFIG, **{"graph.backend": "segment"})
    (run / "config.json").write_text(to_json(chose), "utf-8")
    longer = {
        **{"train.steps": 9999, "train.patience": 77, "train.keep_checkpoints": 1},
        **{"text.remat": "layers", "parallel.slack": 3.0, "parallel.row_slack": 2.0},
    }
    agreed = choose(run, resume=True).agreed(replace(CONFIG, **longer))
    assert agreed == replace(chose, **longer)
    # What is asked for by name and differs is another run.
    with pytest.raises(UserError, match=r"--graph.backend: expected segment"):
        choose(run, resume=True).agreed(replace(CONFIG, **{"graph.backend": "csr"}))


def test_a_resumed_run_has_the_data_that_it_began_with(run):
    before = content(run)
    with pytest.raises(UserError, match=r"expected the data that .*; train again"):
        choose(run, resume=True).claim(CONFIG, data_hash="an other")
    (run / "split.json").unlink()
    with pytest.raises(UserError, match=r"split\.json: expected the hash of the split"):
        choose(run, resume=True).claim(CONFIG, data_hash="5eed")
    assert {*content(run)} == {path for path in before if path.name != "split.json"}


def test_a_claim_leaves_what_a_resumed_run_has(run):
    chosen = choose(run, resume=True)
    before = content(run)
    longer = replace(CONFIG, **{"train.steps": 9999})
    chosen.claim(chosen.agreed(longer), data_hash="5eed")
    after = content(run)
    assert read_config(run) == longer
    assert {path for path in after if after[path] != before.get(path)} == {
        next(path for path in after if path.name == "config.json")
    }
    assert after.keys() == before.keys()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "config.json: not valid JSON"),
        (b"", "config.json: not valid JSON"),
        (b"\xff\xfe{}", "config.json: expected UTF-8 JSON"),
        (b"[]", "config.json: expected an object, got list"),
        (b'{"recipe": "x", "sed": 1}', "config.json: sed: expected a known field"),
        (b'{"recipe": 3}', "config.json: recipe: expected .* got 3"),
        (b'{"seed": 3}', "config.json: .*recipe"),
    ],
)
def test_a_broken_configuration_is_one_sentence(run, text, message):
    (run / "config.json").write_bytes(text)
    for read in (read_config, lambda run: choose(run, resume=True).agreed(CONFIG)):
        with pytest.raises(UserError, match=message) as caught:
            read(run)
        assert "\n" not in str(caught.value)


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(UserError, match=r"expected a run folder with config\.json, "):
        read_config(tmp_path)
    with pytest.raises(UserError, match="got no such folder; name one that"):
        read_config(tmp_path / "absent")
