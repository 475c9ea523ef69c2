"""Servers that are not there, or not what they should be: one line, within seconds."""

import sys
import time

import pytest

from llmgnn_jax.data.sources.neo4j import Connection
from llmgnn_jax.data.sources.neo4j.connection import opened
from llmgnn_jax.errors import UserError

LIMIT_S = 10
TLS_ALERT = bytes([21, 3, 3, 0, 2, 2, 40])


def refusal(connection):
    began = time.monotonic()
    with pytest.raises(UserError) as caught, opened(connection):
        pytest.fail("it answered")
    said = str(caught.value)
    assert time.monotonic() - began < LIMIT_S
    assert "\n" not in said
    assert "secret" not in said
    return said


@pytest.mark.parametrize("scheme", ["bolt", "neo4j", "bolt+s"])
def test_nobody_listens(connected, scheme):
    said = refusal(connected(f"{scheme}://127.0.0.1:1"))
    assert said.startswith(
        f"{scheme}://127.0.0.1:1: expected a server that speaks Bolt"
    )
    assert "is it running" in said


def test_a_host_that_is_not_there(connected):
    assert "expected a server" in refusal(connected("bolt://nowhere.invalid:7687"))


@pytest.mark.parametrize("scheme", ["bolt", "neo4j", "bolt+s"])
def test_a_server_that_never_answers(connected, listener, scheme):
    port = listener(lambda one: time.sleep(LIMIT_S + 20) or one.close())
    said = refusal(connected(f"{scheme}://127.0.0.1:{port}"))
    assert "expected a server that speaks Bolt" in said


def answering(answer):
    def serve(one):
        with one:
            one.recv(4_096)
            one.sendall(answer)

    return serve


@pytest.mark.parametrize(
    ("scheme", "answer", "said"),
    [
        ("bolt", TLS_ALERT, "without TLS"),
        ("bolt+s", b"\0\0\0\0", "with TLS"),
        ("bolt", b"HTTP/1.1 400 Bad Request\r\n\r\n", "speaks Bolt"),
        ("bolt", b"\0\0\0\0", "speaks Bolt"),
        ("bolt", b"", "speaks Bolt"),
    ],
)
def test_a_server_of_another_kind(connected, listener, scheme, answer, said):
    port = listener(answering(answer))
    assert said in refusal(connected(f"{scheme}://127.0.0.1:{port}"))


def test_no_password(connected, monkeypatch):
    connection = connected("bolt://127.0.0.1:1")
    monkeypatch.delenv(connection.password_env)
    said = refusal(connection)
    assert said.startswith(
        f"${connection.password_env}: expected the password of neo4j"
    )


def test_no_driver(monkeypatch):
    monkeypatch.setitem(sys.modules, "neo4j", None)
    said = refusal(Connection(uri="bolt://127.0.0.1:1"))
    assert "expected the package neo4j" in said
    assert "pip install 'llmgnn-jax[neo4j]'" in said
