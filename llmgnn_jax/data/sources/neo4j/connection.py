"""How a Neo4j server is reached, and its refusals in one line.

The driver (the extra `neo4j`) is imported where a server is called, never before.
"""

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from llmgnn_jax.errors import UserError

PASSWORD = "LLMGNN_NEO4J_PASSWORD"
"""The environment variable that holds the password."""

_SCHEMES = tuple(
    f"{scheme}{security}"
    for scheme in ("bolt", "neo4j")
    for security in ("", "+s", "+ssc")
)
_CONNECT_S, _ACQUIRE_S, _RETRY_S = 3.0, 5.0, 3.0
"""To open a socket; to have a connection that answers; to try a write again. The
driver's own 30, 60 and 30 seconds are silence to whoever waits."""

_FETCH = 5_000
"""Rows that are under way: a result is read as it comes, never held whole."""


@dataclass(frozen=True, kw_only=True)
class Connection:
    """Where a database is. The password stays in the environment.

    Attributes:
        uri: bolt://HOST:PORT or neo4j://HOST:PORT; with +s for TLS, +ssc for TLS with a
            certificate that nobody vouches for.
        database: Its name.
        user: Who asks; "" for a server that asks nobody.
        password_env: The environment variable that holds the password.

    Raises:
        UserError: For another scheme, no host, or a user or password in the URI.
    """

    uri: str
    database: str = "neo4j"
    user: str = "neo4j"
    password_env: str = PASSWORD

    def __post_init__(self) -> None:
        # First of all: what holds a password is never shown.
        if "@" in self.uri:
            raise UserError.field(
                "neo4j.uri",
                expected="a URI without a user or password",
                got="one with an @",
                fix=f"name the user in neo4j.user, put the password into "
                f"${self.password_env}",
            )
        try:
            parts = urlsplit(self.uri)
            host, _ = parts.hostname, parts.port
        except ValueError:
            parts, host = urlsplit(""), None
        if parts.scheme not in _SCHEMES or not host:
            raise UserError.field(
                "neo4j.uri",
                expected=f"SCHEME://HOST:PORT, SCHEME one of {', '.join(_SCHEMES)}",
                got=repr(self.uri),
                fix="for example bolt://localhost:7687",
            )
        for name in ("database", "password_env"):
            if not getattr(self, name):
                raise UserError.field(
                    f"neo4j.{name}", expected="a name", got="an empty string"
                )

    @property
    def place(self) -> str:
        """What messages call it."""
        return f"{self.uri}, database {self.database}"


class Database:
    """An open database: `rows` reads, `session` is the driver's own. Use `opened`."""

    def __init__(self, driver: Any, connection: Connection) -> None:
        self._driver, self.connection = driver, connection

    def session(self, *, access: str) -> Any:
        """A session of the driver; `access` is "READ" or "WRITE"."""
        return self._driver.session(
            database=self.connection.database,
            default_access_mode=access,
            fetch_size=_FETCH,
        )

    @contextlib.contextmanager
    def rows(
        self, query: str, parameters: Mapping[str, Any] | None = None, *, what: str = ""
    ) -> Iterator[tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]]:
        """The columns of a query and its rows, which come while they are read.

        Args:
            query: Cypher that reads.
            parameters: Its parameters.
            what: What messages call it.

        Raises:
            UserError: If the server refuses or is gone, here or between two rows.
        """
        with refusing(self.connection, what), self.session(access="READ") as session:
            result = session.run(query, dict(parameters or {}))
            yield tuple(result.keys()), (tuple(row.values()) for row in result)

    def all_rows(
        self, query: str, parameters: Mapping[str, Any] | None = None, *, what: str = ""
    ) -> list[tuple[Any, ...]]:
        """All rows of a query with few of them.

        Raises:
            UserError: As `rows`.
        """
        with self.rows(query, parameters, what=what) as (_, rows):
            return list(rows)


@contextlib.contextmanager
def opened(connection: Connection) -> Iterator[Database]:
    """A database that answers.

    Raises:
        UserError: If the driver or the password is missing, or the server does not
            answer, not let us in, or not know the database: within ten seconds.
    """
    try:
        import neo4j
    except ImportError:
        raise UserError.field(
            connection.uri,
            expected="the package neo4j, for databases",
            got="none",
            fix="pip install 'llmgnn-jax[neo4j]'",
        ) from None
    password = os.environ.get(connection.password_env, "")
    if connection.user and not password:
        raise UserError.field(
            f"${connection.password_env}",
            expected=f"the password of {connection.user} at {connection.uri}",
            got="nothing",
            fix=f"export {connection.password_env}=...",
        )
    # It tells of each try and of each hint of the server; what matters is told here.
    logging.getLogger("neo4j").setLevel(logging.CRITICAL)
    with refusing(connection, ""):
        driver = neo4j.GraphDatabase.driver(
            connection.uri,
            auth=(connection.user, password) if connection.user else None,
            connection_timeout=_CONNECT_S,
            connection_acquisition_timeout=_ACQUIRE_S,
            max_transaction_retry_time=_RETRY_S,
        )
    with contextlib.closing(driver):
        database = Database(driver, connection)
        # A query: a missing database is no matter of the connection.
        database.all_rows("RETURN 1 AS one")
        yield database


@contextlib.contextmanager
def refusing(connection: Connection, what: str) -> Iterator[None]:
    """Around what asks a server: what the driver raises, in one line.

    Args:
        connection: Whom is asked.
        what: Which query, for its mistakes; "" for one of ours.

    Raises:
        UserError: Whatever the driver raises.
    """
    from neo4j import exceptions as told

    try:
        yield
    except told.AuthError as error:
        raise UserError.field(
            f"{connection.uri}, user {connection.user!r}",
            expected=f"the password that ${connection.password_env} holds to be right",
            got=getattr(error, "code", None) or "a refusal",
            fix=f"see neo4j.user and ${connection.password_env}",
        ) from error
    except told.Neo4jError as error:
        code = str(error.code or "")
        if code.endswith("DatabaseNotFound"):
            raise UserError.field(
                "neo4j.database",
                expected=f"a database of {connection.uri}",
                got=repr(connection.database),
                fix="SHOW DATABASES lists them",
            ) from error
        raise UserError.field(
            what or connection.place,
            expected="a query that the server runs",
            got=_said(error, code),
        ) from error
    except told.DriverError as error:
        raise UserError.field(
            connection.uri,
            expected="a server that speaks Bolt"
            + (", with TLS" if "+s" in connection.uri else ", without TLS"),
            got=_said(error, ""),
            fix="is it running, and are host, port and scheme right?",
        ) from error


def _said(error: Any, code: str) -> str:
    """What kind of error it is, and its words, cut."""
    words = " ".join(str(getattr(error, "message", None) or error).split())
    return f"{code.rpartition('.')[2] or type(error).__name__} ({words[:240]})"
