"""`Trial`, and the file that finished ones are appended to, a line each."""

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmgnn_jax.assets.bucket import is_url
from llmgnn_jax.assets.named_path import named_path
from llmgnn_jax.config import Config, flatten
from llmgnn_jax.errors import UserError

_MARK = '{"format": "llmgnn trials 1", '


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One training of a search.

    Attributes:
        trial: Its number, from 0.
        values: Field -> what was drawn for it.
        value: The metric on valid, at its best; None where training diverged.
        steps: Taken.
        best_step: Of the best validation; the last one where the end was the best.
        seconds: Wall time, of building the graph too.
        diverged: What was no number any more; "" where all went well.
    """

    trial: int
    values: Mapping[str, Any]
    value: float | None
    steps: int = 0
    best_step: int = 0
    seconds: float = 0.0
    diverged: str = ""


class TrialsFile:
    """Which search it is, in the first line; then a finished trial a line.

    Args:
        path: The file; it is made if there is none.

    Attributes:
        trials: Number -> what is there already.
        settled: What the search has settled once for all of its trials.
    """

    def __init__(self, path: str | Path) -> None:
        if is_url(path):
            raise UserError.field(
                str(path), expected="a file on this machine", got="a URL"
            )
        self._path = named_path(path)
        self.trials: dict[int, Trial] = {}
        self.settled: dict[str, Any] = {}

    def begin(
        self, search: Mapping[str, Any], settle: Callable[[], dict[str, Any]]
    ) -> None:
        """Reads what is there, or writes the first line.

        Args:
            search: What makes it this search; for JSON.
            settle: Gives `settled`, where there is no first line yet.

        Raises:
            UserError: If the file is of another search or of something else, or cannot
                be read or written.
        """
        search = json.loads(json.dumps(search))
        try:
            content = self._path.read_bytes() if self._path.exists() else b""
            end = content.rfind(b"\n") + 1
            self._check_ours(content)
            if not end:
                self.settled = settle()
                first = {"search": search, "settled": self.settled}
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._path.write_bytes(b"")
                self._append(_MARK + json.dumps(first).removeprefix("{"))
                return
            # Half a line, which whoever was killed may leave.
            os.truncate(self._path, end)
        except OSError as error:
            raise self._not_written(error) from None
        header, *lines = self._documents(content[:end])
        self._check_same(header.get("search", {}), search)
        self.settled = header["settled"]
        for line in lines:
            one = Trial(**line)
            self.trials.setdefault(one.trial, one)

    def append(self, trial: Trial) -> None:
        """Adds a finished trial, whole, and on the disk when this returns.

        Raises:
            UserError: If the file cannot be written.
        """
        try:
            self._append(json.dumps(dataclasses.asdict(trial)))
        except OSError as error:
            raise self._not_written(error) from None
        self.trials[trial.trial] = trial

    def _append(self, line: str) -> None:
        with self._path.open("ab", buffering=0) as file:
            file.write(line.encode("utf-8") + b"\n")
            os.fsync(file.fileno())

    def _check_ours(self, content: bytes) -> None:
        """Nothing else is cut off or written over."""
        mark = _MARK.encode("ascii")
        if content[: len(mark)] != mark[: len(content)]:
            raise self._not_ours()

    def _documents(self, content: bytes) -> list[dict[str, Any]]:
        try:
            documents = [json.loads(line) for line in content.splitlines()]
            known = {field.name for field in dataclasses.fields(Trial)}
            if all(set(line) == known for line in documents[1:]):
                return documents
        except (ValueError, TypeError):
            pass
        raise self._not_ours()

    def _check_same(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        was, wanted = _flat(_with_defaults(before)), _flat(now)
        for name in {**wanted, **was}:
            if was.get(name) != wanted.get(name):
                raise UserError.field(
                    f"{self._path}: {name}",
                    expected=f"{_typed(wanted.get(name))}, as this search has it",
                    got=f"trials with {_typed(was.get(name))}",
                    fix="name another file, or remove that one",
                )

    def _not_ours(self) -> UserError:
        return UserError.field(
            str(self._path),
            expected="a new file, or one with the trials of a search",
            got="other content",
            fix="name another file",
        )

    def _not_written(self, error: OSError) -> UserError:
        return UserError.field(
            str(self._path),
            expected="a file that can be written",
            got=error.strerror or error,
        )


def _with_defaults(search: Mapping[str, Any]) -> dict[str, Any]:
    """With the fields that there were not yet: what was run is their default."""
    defaults = json.loads(json.dumps(flatten(Config(recipe="any"))))
    return {**search, "config": {**defaults, **search.get("config", {})}}


def _flat(tree: Mapping[str, Any]) -> dict[str, Any]:
    """One level: `config` and `space` by field."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            label = "" if name == "config" else f"{name} "
            found |= {f"{label}{key}": entry for key, entry in value.items()}
        else:
            found[name] = value
    return found


def _typed(value: Any) -> str:
    if value is None:
        return "none"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
