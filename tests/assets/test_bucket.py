"""What is a run folder's name, and what is said where it cannot be one."""

import importlib.util
from pathlib import Path

import pytest

from llmgnn_jax.assets.bucket import is_url, reaching, remove_tree, run_path
from llmgnn_jax.errors import UserError


def test_a_folder_is_a_path(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run_path("~/run") == tmp_path / "run"
    assert run_path(Path("run")) == Path("run")
    assert not is_url("runs/a:b")


@pytest.mark.parametrize("name", ["s3://bucket/run", "https://host/run", "gs:///run"])
def test_what_orbax_cannot_write_to(name):
    with pytest.raises(UserError, match=r"or a URL as gs://BUCKET/PATH") as caught:
        run_path(name)
    assert str(caught.value).startswith(name)


def test_the_package_that_is_missing(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'llmgnn-jax\[bucket\]'"):
        run_path("gs://bucket/run")


def test_a_url_stays_one(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    path = run_path("gs://bucket/some/run/")
    assert str(path) == "gs://bucket/some/run"
    assert str(path / "config.json") == "gs://bucket/some/run/config.json"
    assert is_url(path)
    assert is_url(path.parent)
    assert str(run_path(path)) == str(path)


def test_errors_of_a_bucket_are_one_line_and_those_of_a_disk_pass():
    with (
        pytest.raises(UserError, match=r"gs://b/run: .*got RuntimeError \(no net\)"),
        reaching("gs://b/run"),
    ):
        raise RuntimeError("no net\nand more")
    with pytest.raises(RuntimeError, match="of a disk"), reaching(Path("run")):
        raise RuntimeError("of a disk")


def test_a_tree_is_removed(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    remove_tree(tmp_path / "a")
    assert not (tmp_path / "a").exists()
