"""A local server that behaves as the path of a request says."""

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

WORDS = b"one two three\n" * 5_000


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: dict[str, bytes] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.released = threading.Event()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers.get("Range")
        server.requests.append((self.path, wanted))
        kind, _, name = self.path.lstrip("/").partition("/")
        if kind == "silent":
            server.released.wait(10)
            return
        if kind == "moved":
            self.send_response(302)
            self.send_header("Location", server.url(f"/plain/{name}"))
            self.end_headers()
            return
        if name not in server.bodies:
            self.send_error(404)
            return
        body = server.bodies[name]
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if kind == "norange":
            start = 0
        if start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            span = f"bytes {start}-{len(body) - 1}/{len(body)}"
            self.send_header("Content-Range", span)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        if kind == "drops":  # gives up after a third of the body each time
            body = body[: start + len(server.bodies[name]) // 3 + 1]
        if kind == "stalls":
            self.wfile.write(body[start : start + 1000])
            self.wfile.flush()
            server.released.wait(10)
            return
        self.wfile.write(body[start:])


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        running.bodies["words"] = WORDS
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.released.set()
        running.shutdown()
        thread.join()
