"""Files of texts: what is read, and the one line about what is not."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from llmgnn_jax.data.sources.texts import read_texts
from llmgnn_jax.errors import UserError


@pytest.fixture
def write(tmp_path):
    """(name, content) -> the path of a file."""

    def path_of(name, content):
        raw = content.encode("utf-8") if isinstance(content, str) else content
        (tmp_path / name).write_bytes(raw)
        return str(tmp_path / name)

    return path_of


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ("a\nb\n", ["a", "b"]),
        ("a\nb", ["a", "b"]),
        ("a\r\n\r\nb\r\n", ["a", "", "b"]),
        ("\n", [""]),
        ("我\u2028喜\x85欢\x0c\n", ["我\u2028喜\x85欢\x0c"]),
        ("\ufeffa\n", ["a"]),
        ('"a", b\n', ['"a", b']),
    ],
)
def test_a_text_a_line(write, content, texts):
    assert read_texts(write("texts.txt", content)) == texts


def test_standard_input_is_a_text_a_line(monkeypatch):
    stdin = io.TextIOWrapper(io.BytesIO("a\n我\n".encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert read_texts("-") == ["a", "我"]
    with pytest.raises(UserError, match="--column: expected a file of records"):
        read_texts("-", column="text")


def test_json_lines(write):
    lines = [{"text": "a\nb", "title": "x"}, {"title": "", "text": "\ud800"}]
    content = "\n\n".join(map(json.dumps, lines)) + "\n"
    path = write("texts.jsonl", content)
    assert read_texts(path) == ["a\nb", "\ud800"]
    assert read_texts(path, column="title") == ["x", ""]


def test_tables(write):
    rows = 'id,text\n1,"a, ""b""\nc"\n\n2,\n3,' + "x" * 500_000 + "\n"
    path = write("texts.csv", rows)
    assert read_texts(path) == ['a, "b"\nc', "", "x" * 500_000]
    assert read_texts(path, column="id") == ["1", "2", "3"]
    assert read_texts(write("t.tsv", 'id\ttext\r\n1\t"a" b\r\n')) == ['"a" b']
    assert read_texts(write("T.TSV", "text\na\n")) == ["a"]


def test_a_long_field_does_not_change_the_limit_of_others(write):
    import csv

    before = csv.field_size_limit()
    read_texts(write("texts.csv", "text\n" + "x" * 500_000))
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "", r"a\.txt: expected at least one text, got 0 texts"),
        ("a.jsonl", "\n", "expected at least one text, got 0 texts"),
        ("a.csv", "text\n", "expected at least one text, got 0 texts"),
        ("a.csv", "", "expected at least one text, got 0 texts"),
        ("a.md", "a", r"one of \.txt, \.jsonl, \.csv, \.tsv, got \.md; pipe it in"),
        ("a", "a", "got no ending; pipe it in"),
        (
            "a.txt",
            b"\xef\xbb\xbfa\nbc\xff\n",
            r"a\.txt, line 2, byte 7 of the file: expected UTF-8 text, got the byte "
            "0xff; save",
        ),
        ("a.txt", b"a\xe6\x88", "line 1, byte 1 of the file: .* the byte 0xe6"),
        ("a.jsonl", '{"text": "a"}\n["a"]', r"line 2: expected a JSON object, got a l"),
        ("a.jsonl", "3", r"line 1: expected a JSON object, got a number"),
        ("a.jsonl", "{", r"line 1: expected a JSON object, got no JSON"),
        ("a.jsonl", "[" * 100_000, r"line 1: expected a JSON object, got no JSON"),
        (
            "a.jsonl",
            '{"text": "a"}\n\n{"txt": "a"}',
            "line 3: expected a field 'text', got 'txt'; did you mean 'txt'",
        ),
        ("a.jsonl", "{}", "line 1: expected a field 'text', got none; name it with"),
        ("a.jsonl", '{"text": null}', "line 1, field text: expected a string, got nul"),
        ("a.jsonl", '{"text": 3.5}', "field text: expected a string, got a number"),
        ("a.jsonl", '{"text": true}', "field text: expected a string, got true"),
        (
            "a.csv",
            "id,texts\n1,a",
            "header: expected a field 'text', got 'id', 'texts'",
        ),
        ("a.csv", "text,text\n1,a", "header: expected one column 'text', got 2"),
        (
            "a.csv",
            "text,b\n1,a\n\n1,2,3",
            r"line 4: expected 2 fields \(text, b\), got 3",
        ),
        ("a.csv", 'text\n"a', r"line 2: expected fields, quoted where"),
        ("a.tsv", "text\tb\na", r"line 2: expected 2 fields \(text, b\), got 1"),
    ],
)
def test_what_cannot_be_read_is_one_line(write, name, content, message):
    with pytest.raises(UserError, match=message) as caught:
        read_texts(write(name, content))
    assert "\n" not in str(caught.value)


def test_no_such_file_and_a_folder(tmp_path):
    with pytest.raises(UserError, match=r"none\.txt: expected .* No such file"):
        read_texts(str(tmp_path / "none.txt"))
    with pytest.raises(UserError, match="expected a file of texts, got a folder"):
        read_texts(str(tmp_path))


def test_the_real_reviews_in_chinese(shared_data: Callable[[str], Path]) -> None:
    path = str(shared_data("zh-waimai10k") / "waimai_10k.csv")
    reviews = read_texts(path, column="review")
    assert len(reviews) == len(read_texts(path, column="label")) == 11_987
    assert reviews[0] == "很快，好吃，味道足，量大"
    assert set(read_texts(path, column="label")) == {"0", "1"}
