"""A bucket on this machine: as much of Google's storage API as gcsfs and orbax speak.

Objects have generations, and uploads their preconditions, by which tensorstore replaces
what it has read: without them what two writers write is lost.
"""

import argparse
import hashlib
import itertools
import json
import re
import sys
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import RLock
from urllib.parse import parse_qs, unquote, urlsplit


class Bucket(ThreadingHTTPServer):
    """Serves the bucket `name` from memory.

    Attributes:
        objects: name -> (content, generation).
        unfinished: upload -> (name, content so far).
        read_only: Whether nobody may write.
    """

    daemon_threads = True

    def __init__(self, name: str, *, read_only: bool = False) -> None:
        super().__init__(("localhost", 0), _Handler)
        self.name = name
        self.objects: dict[str, tuple[bytes, int]] = {}
        self.unfinished: dict[str, tuple[str, bytes]] = {}
        self.generations = itertools.count(1)
        self.lock = RLock()
        self.read_only = read_only

    @property
    def url(self) -> str:
        return f"http://localhost:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are of no interest."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Bucket
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        """Silent."""

    def do_GET(self) -> None:
        self._answer_to("GET")

    def do_POST(self) -> None:
        self._answer_to("POST")

    def do_PUT(self) -> None:
        self._answer_to("PUT")

    def do_DELETE(self) -> None:
        self._answer_to("DELETE")

    def _answer_to(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        path = re.sub(r"^/(upload|download)", "", url.path)
        # Quoted slashes are part of a name.
        parts = [unquote(one) for one in path.removeprefix("/storage/v1/").split("/")]
        with self.server.lock:
            if self.server.read_only and method != "GET":
                self._fail(403, "You may not write here.")
            elif parts[:2] != ["b", self.server.name]:
                self._fail(404, "The specified bucket does not exist.")
            elif len(parts) == 2:
                self._json({"name": self.server.name})
            elif len(parts) == 3 and method == "GET":
                self._list(query)
            elif "upload_id" in query:
                self._upload_part(query["upload_id"], body)
            elif len(parts) == 3:
                self._upload(query, body)
            elif method == "POST":
                self._copy(parts[3], parts[-1])
            elif method == "DELETE":
                self._delete(parts[3])
            else:
                self._read(parts[3], query)

    def _list(self, query: dict[str, str]) -> None:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        items, prefixes = [], set()
        for name in sorted(self.server.objects):
            if not name.startswith(prefix):
                continue
            rest = name.removeprefix(prefix)
            if delimiter and delimiter in rest:
                prefixes.add(prefix + rest.split(delimiter)[0] + delimiter)
            else:
                items.append(self._metadata(name))
        self._json({"items": items, "prefixes": sorted(prefixes)})

    def _upload(self, query: dict[str, str], body: bytes) -> None:
        name = query.get("name")
        if query.get("uploadType") == "multipart":
            head, _, body = body.partition(b"\n\n")[2].partition(b"\n--==0==")
            name = json.loads(head)["name"]
            body = body.partition(b"\n\n")[2].rpartition(b"\n--==0==--")[0]
        assert name is not None
        _, now = self.server.objects.get(name, (b"", 0))
        if "ifGenerationMatch" in query and int(query["ifGenerationMatch"]) != now:
            self._fail(412, "conditionNotMet")
            return
        if query.get("uploadType") == "resumable":
            number = str(next(self.server.generations))
            self.server.unfinished[number] = (name, b"")
            where = f"{self.server.url}{self.path}&upload_id={number}"
            self._send(200, b"", {"Location": where})
            return
        self.server.objects[name] = (body, next(self.server.generations))
        self._json(self._metadata(name))

    def _upload_part(self, number: str, body: bytes) -> None:
        name, before = self.server.unfinished.pop(number)
        whole = before + body
        if self.headers.get("Content-Range", "").endswith("/*"):
            self.server.unfinished[number] = (name, whole)
            self._send(308, b"", {"Range": f"bytes=0-{len(whole) - 1}"})
            return
        self.server.objects[name] = (whole, next(self.server.generations))
        self._json(self._metadata(name))

    def _copy(self, source: str, target: str) -> None:
        content, _ = self.server.objects[source]
        self.server.objects[target] = (content, next(self.server.generations))
        self._json({"done": True, "resource": self._metadata(target)})

    def _delete(self, name: str) -> None:
        if self.server.objects.pop(name, None) is None:
            self._fail(404, "No such object")
        else:
            self._send(204, b"")

    def _read(self, name: str, query: dict[str, str]) -> None:
        if name not in self.server.objects:
            self._fail(404, "No such object")
            return
        if query.get("alt") != "media":
            self._json(self._metadata(name))
            return
        content, generation = self.server.objects[name]
        headers = {"x-goog-generation": str(generation), "x-goog-hash": _md5(content)}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted is None:
            self._send(200, content, headers)
            return
        start, end = int(wanted[1]), int(wanted[2] or len(content) - 1)
        part = content[start : end + 1]
        if not part:
            self._fail(416, "no such range")
            return
        last = start + len(part) - 1
        headers = {**headers, "Content-Range": f"bytes {start}-{last}/{len(content)}"}
        self._send(206, part, headers)

    def _metadata(self, name: str) -> dict[str, object]:
        content, generation = self.server.objects[name]
        return {
            "kind": "storage#object",
            "bucket": self.server.name,
            "name": name,
            "size": str(len(content)),
            "generation": str(generation),
            "updated": "2026-01-01T00:00:00.000Z",
            "timeCreated": "2026-01-01T00:00:00.000Z",
            "md5Hash": _md5(content).removeprefix("md5="),
            "contentType": "application/octet-stream",
        }

    def _json(self, document: object) -> None:
        body = json.dumps(document).encode()
        self._send(200, body, {"Content-Type": "application/json"})

    def _fail(self, code: int, message: str) -> None:
        body = json.dumps({"error": {"code": code, "message": message}}).encode()
        self._send(code, body, {"Content-Type": "application/json"})

    def _send(
        self, code: int, body: bytes, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(code)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _md5(content: bytes) -> str:
    return "md5=" + b64encode(hashlib.md5(content).digest()).decode()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bucket")
    parser.add_argument("--read-only", action="store_true")
    options = parser.parse_args()
    bucket = Bucket(options.bucket, read_only=options.read_only)
    print(bucket.url, flush=True)
    bucket.serve_forever()
