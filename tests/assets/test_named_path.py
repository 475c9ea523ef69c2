"""Paths that a user names, and that may not be asked about."""

from pathlib import Path

import pytest

from llmgnn_jax.assets.bucket import run_path
from llmgnn_jax.assets.named_path import named_path
from llmgnn_jax.data import catalog
from llmgnn_jax.data.sources.texts import read_texts
from llmgnn_jax.errors import UserError
from llmgnn_jax.text.sources import load_text_encoder

LONG = "x" * 5000


def test_what_is_a_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert named_path("~/a") == tmp_path / "a"
    assert named_path(Path("not there")) == Path("not there")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            LONG,
            r"x{40}\.\.\.: expected a path, got a name of 5000 characters, which is",
        ),
        ("~nobody-of-that-name/a", "expected a path, got no user's home"),
        ("a\0b", "expected a path, got one with a NUL in it"),
    ],
)
def test_what_is_none(name: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        named_path(name)


@pytest.mark.parametrize(
    "look_up",
    [
        catalog.load,
        catalog.load_nodes,
        catalog.load_any,
        run_path,
        lambda name: catalog.load(f"{name}.csv"),
        lambda name: catalog.load(f"{name}.toml"),
        lambda name: read_texts(f"{name}.txt"),
        load_text_encoder,
    ],
)
def test_they_are_refused_wherever_one_is_looked_up(look_up) -> None:
    with pytest.raises(UserError, match=r"x{40}\.\.\.: expected a path, got a name of"):
        look_up(LONG)
