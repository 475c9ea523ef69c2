"""JSON lines: what would be read otherwise than it was meant, said or refused."""

import functools
import json
import logging
from pathlib import Path

import pytest

from llmgnn_jax.data.sources import table_file
from llmgnn_jax.data.sources.json_lines import read_json_lines
from llmgnn_jax.data.sources.table_source import read_table
from llmgnn_jax.errors import UserError


def written(folder: Path, *lines: object) -> Path:
    """A file of objects, or of lines as they are."""
    path = folder / "r.jsonl"
    texts = (one if isinstance(one, str) else json.dumps(one) for one in lines)
    path.write_text("".join(f"{one}\n" for one in texts), "utf-8")
    return path


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


def test_columns_that_begin_late_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(table_file, "_LINES_LOOKED_AT", 2)
    early = [{"user": 1, "item": one} for one in "ab"]
    late = [{"user": 2, "item": one, "rating": 3, "Z": 1} for one in "ab"]
    data = read_table(written(tmp_path, *early, *late, {"user": 3, "item": "a"}))
    assert (data.num_interactions, set(data.values)) == (5, {1.0})
    assert warnings(caplog) == [
        "r.jsonl: not read, since none of the first 2 lines has them and they are not "
        "named: Z (2 rows), rating (2 rows)"
    ]
    with pytest.raises(UserError, match="row 1, column rating: expected a finite num"):
        read_table(tmp_path / "r.jsonl", columns=["value=rating"])
    data = read_table(tmp_path / "r.jsonl", columns=["text=Z", "value="])
    assert data.interaction_texts == ("", "", "1", "1", "")


@pytest.mark.parametrize("text", [{"a": 1}, ["a", {"b": 1}]])
def test_an_object_is_no_text(tmp_path: Path, text: object) -> None:
    lines = [{"user": 1, "item": 2, "text": one} for one in ("good", text)]
    with pytest.raises(UserError, match=r"row 2, column text: expected text, a number"):
        read_table(written(tmp_path, *lines))


def test_lists_far_within_lists_are_read_or_refused(tmp_path: Path) -> None:
    """How far is Python's to say, which differs by version."""
    deep = functools.reduce(lambda inner, _: [inner], range(700), "a")
    path = written(tmp_path, {"user": 1, "item": 2, "text": deep})
    try:
        found = read_table(path).interaction_texts
    except UserError as error:
        assert "row 1, column text: expected text" in str(error)  # noqa: PT017
    else:
        assert found == ("a",)


def test_texts_that_are_null_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [{"user": 1, "item": 2, "text": one} for one in ("good", None, "")]
    data = read_table(written(tmp_path, *lines, {"user": 1, "item": 2}))
    assert data.interaction_texts == ("good", "", "", "")
    assert warnings(caplog) == ["r.jsonl: column text: nothing in 2 of 4 rows"]


def test_half_of_a_surrogate_pair(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = (
        '{"user": "u", "item": "\\ud83d\\ude00", "text": "\\\\ud83d \\uD83D\\uDE00"}'
    )
    half = '{"user": "u", "item": "i", "text": "cut \\uD83d"}'
    data = read_table(written(tmp_path, whole, half, half))
    assert data.item_ids == ("😀", "i")
    assert data.interaction_texts == ("\\ud83d 😀", "cut ?", "cut ?")
    assert warnings(caplog) == [
        "r.jsonl: lines with half of a surrogate pair, which is read as ?: 2, the "
        "first of them line 2"
    ]
    for line, said in (
        (
            '{"user": "u", "item": "\\udc00"}',
            "column item: expected an id without half",
        ),
        ('{"user": "u", "item": "i", "\\udc00": 1}', "line 1: expected keys without"),
    ):
        with pytest.raises(UserError, match=said):
            read_table(written(tmp_path, line))


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    line = '{"user": "u", "item": "i", "a": {"b": 1, "b": 2}, "item": "j"}'
    with pytest.raises(
        UserError, match=r"line 1: expected each key once, got 'item' 2"
    ):
        list(read_json_lines(written(tmp_path, line)))


def test_lines_that_end_in_a_carriage_return_alone(tmp_path: Path) -> None:
    path = written(tmp_path, '{"user": 1, "item": 2}\r{"user": 1, "item": 3}')
    with pytest.raises(UserError, match=r"no JSON .*; end lines with a line feed: tr"):
        read_table(path)
