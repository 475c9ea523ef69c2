"""A real Bolt server, and others that misbehave.

The server is ArcadeDB's, which lies in the package arcadedb-embedded with a Java of its
own: it speaks Bolt and Cypher, but it is not Neo4j. $LLMGNN_NEO4J_URI (with _USER,
_PASSWORD and _DATABASE) has the same tests run against another one, whose database must
be empty.
"""

import contextlib
import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from llmgnn_jax.data.sources.neo4j import Connection

OWN = "LLMGNN_NEO4J_URI"
PASSWORD_ENV = "LLMGNN_TEST_NEO4J_PASSWORD"
START_S = 60
DATABASE = "ratings"


@dataclass(frozen=True, kw_only=True)
class Server:
    """A database of a server, and how to ask it."""

    connection: Connection
    password: str
    driver: Any
    process: subprocess.Popen[bytes] | None = None

    def ask(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        with self.driver.session(database=self.connection.database) as session:
            return [tuple(row.values()) for row in session.run(query, parameters)]

    def clear(self) -> None:
        self.ask("MATCH (n) DETACH DELETE n")
        for (name,) in self.ask("SHOW CONSTRAINTS YIELD name RETURN name AS name"):
            self.ask(f"DROP CONSTRAINT `{name}`")

    def toml(self, tables: str) -> str:
        """A document that names it, with further tables."""
        one = self.connection
        return (
            f'[neo4j]\nuri = "{one.uri}"\nuser = "{one.user}"\n'
            f'database = "{one.database}"\npassword_env = "{PASSWORD_ENV}"\n{tables}\n'
        )


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


@contextlib.contextmanager
def running(root: Path, password: str) -> Iterator[Server]:
    """ArcadeDB in a process of its own, with what the folder holds."""
    neo4j = pytest.importorskip("neo4j", reason="the Neo4j driver is absent")
    spec = importlib.util.find_spec("arcadedb_embedded")  # Imports nothing.
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("a Bolt server is absent")
    package, port = Path(next(iter(spec.submodule_search_locations))), free_port()
    settings = {
        "server.rootPath": root,
        "server.rootPassword": password,
        # In production it says only that something failed.
        "server.mode": "development",
        "server.plugins": "Bolt:com.arcadedb.bolt.BoltProtocolPlugin",
        "server.defaultDatabases": f"{DATABASE}[root]",
        "bolt.defaultDatabase": DATABASE,
        "bolt.host": "127.0.0.1",
        "bolt.port": port,
        "server.httpIncomingHost": "127.0.0.1",
        "server.httpIncomingPort": free_port(),
    }
    # Ended with this process, however that ends.
    tied = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    command = [
        *tied,
        str(package / "jre" / "bin" / "java"),
        "-Xmx1g",
        "-Djava.awt.headless=true",
        "-Dfile.encoding=UTF8",
        "--add-modules=jdk.incubator.vector",
        "--enable-native-access=ALL-UNNAMED",
        *(
            f"--add-opens=java.base/{module}=ALL-UNNAMED"
            for module in (
                "java.util.concurrent.atomic",
                "java.nio.channels.spi",
                "java.lang",
            )
        ),
        "-Dpolyglot.engine.WarnInterpreterOnly=false",
        "-XX:+UseCompactObjectHeaders",
        *(f"-Darcadedb.{name}={value}" for name, value in settings.items()),
        "-cp",
        f"{package}/jars/*",
        "com.arcadedb.server.ArcadeDBServer",
    ]
    connection = Connection(
        uri=f"bolt://127.0.0.1:{port}",
        user="root",
        database=DATABASE,
        password_env=PASSWORD_ENV,
    )
    with (root / "server.out").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=root, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    driver = neo4j.GraphDatabase.driver(
        connection.uri, auth=("root", password), max_transaction_retry_time=0
    )
    server = Server(
        connection=connection, password=password, driver=driver, process=process
    )
    try:
        _wait_for(server, process)
        yield server
    finally:
        driver.close()
        process.terminate()
        process.wait(30)


def _wait_for(server: Server, process: subprocess.Popen[bytes]) -> None:
    """Bolt listens before the database is there."""
    end = time.monotonic() + START_S
    while True:
        try:
            server.ask("RETURN 1 AS one")
            return
        except Exception:
            if process.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.2)


@pytest.fixture(scope="session")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if os.environ.get(OWN):
        yield from _own_server()
        return
    root = tmp_path_factory.mktemp("bolt")
    with running(root, secrets.token_hex(8)) as server:
        yield server


def _own_server() -> Iterator[Server]:
    neo4j = pytest.importorskip("neo4j", reason="the Neo4j driver is absent")
    password = os.environ["LLMGNN_NEO4J_PASSWORD"]
    connection = Connection(
        uri=os.environ[OWN],
        user=os.environ.get("LLMGNN_NEO4J_USER", "neo4j"),
        database=os.environ.get("LLMGNN_NEO4J_DATABASE", "neo4j"),
        password_env=PASSWORD_ENV,
    )
    with neo4j.GraphDatabase.driver(
        connection.uri, auth=(connection.user, password)
    ) as driver:
        server = Server(connection=connection, password=password, driver=driver)
        if server.ask("MATCH (n) RETURN 1 AS one LIMIT 1"):
            pytest.fail(f"{connection.place} is not empty, and tests empty it")
        yield server


@pytest.fixture
def run_server() -> Callable[[Path, str], contextlib.AbstractContextManager[Server]]:
    """(folder, password) -> a server of the test's own."""
    return running


@pytest.fixture
def server(one_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """An empty database; its password is in the environment."""
    monkeypatch.setenv(PASSWORD_ENV, one_server.password)
    one_server.clear()
    yield one_server
    one_server.clear()


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Connection]:
    """(uri) -> a connection with a password, to whatever is there."""
    pytest.importorskip("neo4j", reason="the Neo4j driver is absent")
    monkeypatch.setenv(PASSWORD_ENV, "secret-word")

    def to(uri: str) -> Connection:
        return Connection(uri=uri, password_env=PASSWORD_ENV)

    return to


@pytest.fixture
def listener() -> Iterator[Callable[[Callable[[socket.socket], None]], int]]:
    """(what is done with each connection) -> the port that listens."""
    listening: list[socket.socket] = []

    def start(serve: Callable[[socket.socket], None]) -> int:
        bound = socket.create_server(("127.0.0.1", 0))
        listening.append(bound)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    one, _ = bound.accept()
                    threading.Thread(target=serve, args=(one,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        port: int = bound.getsockname()[1]
        return port

    yield start
    for bound in listening:
        bound.close()


@pytest.fixture
def cut_off(
    server: Server, listener: Callable[..., int]
) -> Callable[[int, int], Connection]:
    """(bytes to the server, bytes from it) -> a way to it that breaks after them."""
    there = urlsplit(server.connection.uri)
    address = (there.hostname, there.port or 7687)

    def pump(source: socket.socket, to: socket.socket, left: list[int]) -> None:
        with contextlib.suppress(OSError):
            while left[0] > 0 and (some := source.recv(min(left[0], 65_536))):
                left[0] -= len(some)
                to.sendall(some)
        for one in (source, to):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def through(sent: int, received: int) -> Connection:
        # Of all connections together: to try again does not help.
        there_left, back_left = [sent], [received]

        def serve(one: socket.socket) -> None:
            with one, socket.create_connection(address) as other:
                if min(there_left[0], back_left[0]) <= 0:
                    return
                back = threading.Thread(target=pump, args=(other, one, back_left))
                back.start()
                pump(one, other, there_left)
                back.join()

        return Connection(
            uri=f"bolt://127.0.0.1:{listener(serve)}",
            user=server.connection.user,
            database=server.connection.database,
            password_env=PASSWORD_ENV,
        )

    return through
