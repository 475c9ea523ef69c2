"""HTTP downloads that give up on silence and go on where they stopped."""

import logging
import re
import threading
import time
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO, Any

from llmgnn_jax.assets.digests import sha256_of

logger = logging.getLogger(__name__)

SILENCE_SECONDS = 5.0
_CHUNK_BYTES = 1 << 16
_LOG_EVERY_SECONDS = 5.0


class MirrorError(Exception):
    """This mirror did not serve the file; the next one may."""


class WrongBytesError(MirrorError):
    """This mirror served something else than it should have."""


def download(
    url: str, target: Path, *, sha256: str, silence: float = SILENCE_SECONDS
) -> None:
    """Downloads a file unless it is there, resuming `target` + ".part" if that is.

    A connection that drops is taken up again as long as it brings something each time;
    `silence` seconds without a byte end the attempt. The .part file stays for the next
    one, unless its bytes turn out to be wrong.

    Args:
        url: Of the file.
        target: Where it belongs.
        sha256: Of its bytes; "" takes whatever is served, and nothing that an earlier
            attempt left half-done, since nobody could tell whether it fits.
        silence: Seconds.

    Raises:
        MirrorError: If the server cannot be reached, falls silent, refuses, or serves
            bytes with another hash.
    """
    if target.exists() and sha256 in ("", sha256_of(target)):
        return
    part = target.with_name(target.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    if not sha256:
        part.unlink(missing_ok=True)
        _fill(url, part, silence)
        part.replace(target)
        return
    resumed = _size(part) > 0
    _fill(url, part, silence)
    if (got := sha256_of(part)) != sha256 and resumed:
        # What an earlier attempt left may be of another version: once more, in full.
        part.unlink()
        _fill(url, part, silence)
        got = sha256_of(part)
    if got != sha256:
        part.unlink()
        raise WrongBytesError(f"served sha256 {got[:12]}..., expected {sha256[:12]}...")
    part.replace(target)


def _fill(url: str, part: Path, silence: float) -> None:
    """Appends to `part` until the server has sent everything."""
    while True:
        before = _size(part)
        try:
            if _receive(url, part, silence):
                return
            problem = "the connection dropped"
        except TimeoutError:
            raise MirrorError(f"silent for {silence:g} s") from None
        except urllib.error.HTTPError as error:
            with error:
                raise MirrorError(f"HTTP {error.code} {error.reason}") from None
        except (OSError, HTTPException) as error:
            problem = _reason(error)
        if _size(part) <= before:
            raise MirrorError(problem)
        logger.info("%s: %s at %d bytes, going on", url, problem, _size(part))


def _receive(url: str, part: Path, silence: float) -> bool:
    """One request; returns whether the file is now complete."""
    start = _size(part)
    headers = {"User-Agent": "llmgnn-jax", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(url, headers=headers)
    try:
        response = _open(request, silence)
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:
            # Nothing after our last byte: complete, or wrong, as the hash will tell.
            error.close()
            return True
        raise
    with response:
        # A server that ignores the range starts again, and so do we.
        span = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        follows = response.status == 206 and span and int(span[1]) == start
        start = start if follows else 0
        length = response.headers.get("Content-Length")
        expected = start + int(length) if length else None
        logged = time.monotonic()
        with part.open("ab" if start else "wb") as file:
            while chunk := response.read1(_CHUNK_BYTES):
                file.write(chunk)
                if time.monotonic() - logged > _LOG_EVERY_SECONDS:
                    logged = time.monotonic()
                    logger.info("%s: %d of %s bytes", url, file.tell(), expected or "?")
            return expected is None or file.tell() >= expected


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Notes each redirect as a sign of life."""

    def __init__(self) -> None:
        self.last_sign = time.monotonic()

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        self.last_sign = time.monotonic()
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(request: urllib.request.Request, silence: float) -> HTTPResponse:
    """Opens a URL, with `silence` seconds for each server to answer.

    In a thread, since a socket's time-out covers neither the look-up of the name nor
    the sum over a host's many addresses.
    """
    redirects = _Redirects()
    opener = urllib.request.build_opener(redirects)
    outcome: dict[str, Any] = {}
    done = threading.Event()
    abandoned = threading.Event()

    def work() -> None:
        try:
            outcome["response"] = opener.open(request, timeout=silence)
        except BaseException as error:
            outcome["error"] = error
        done.set()
        if abandoned.is_set() and "response" in outcome:
            outcome["response"].close()

    threading.Thread(target=work, daemon=True, name="llmgnn-open-url").start()
    while (left := redirects.last_sign + silence - time.monotonic()) > 0:
        if done.wait(left):
            break
    if not done.is_set():
        abandoned.set()
        raise TimeoutError
    if "error" in outcome:
        error = outcome["error"]
        if isinstance(error, urllib.error.URLError) and isinstance(
            error.reason, TimeoutError
        ):
            raise TimeoutError from error
        raise error
    response: HTTPResponse = outcome["response"]
    return response


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return str(getattr(reason, "strerror", None) or reason) or type(error).__name__


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
