"""Run folders: chosen, claimed, resumed; nothing is overwritten unasked."""

import datetime
import json
from dataclasses import dataclass
from pathlib import Path

from llmgnn_jax.assets.bucket import (
    check_reachable,
    reaching,
    remove_tree,
    run_path,
)
from llmgnn_jax.config import Config, flatten, from_json, replace, to_json
from llmgnn_jax.data.catalog import is_there
from llmgnn_jax.data.memory import check_same, is_memory
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.results import write_atomically
from llmgnn_jax.graph.aggregate import checked_backend, usable_backend

CONFIG = "config.json"
SPLIT = "split.json"

# A resumed run may be made longer, laid out otherwise, and given more room; all else
# would make it another run.
_MAY_CHANGE = (
    *("train.steps", "train.patience", "train.keep_checkpoints", "text.remat"),
    *(
        f"parallel.{name}"
        for name in ("strategy", "data", "model", "parameters", "exchange")
    ),
    *("parallel.slack", "parallel.row_slack"),
)


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """Where a run is written, and how it begins.

    Attributes:
        path: The folder.
        resume: Whether it holds a run that goes on.
        overwrite: Whether what it holds is removed when training begins.
    """

    path: Path
    resume: bool
    overwrite: bool

    @classmethod
    def choose(
        cls,
        config: Config,
        *,
        out: str | Path | None,
        resume: bool,
        overwrite: bool,
        root: Path = Path("runs"),
    ) -> "RunFolder":
        """Decides on the folder; writes nothing yet.

        Without `out` it is `<root>/<recipe>/<time>`, and with `resume` the newest one
        of that recipe.

        Raises:
            UserError: If the folder exists and neither option is given, if both are, or
                if there is no run to resume.
        """
        if resume and overwrite:
            raise UserError.field(
                "--resume", expected="it or --overwrite alone", got="both"
            )
        if out is not None:
            path = run_path(out)
            check_reachable(path)
        elif resume:
            path = _newest(root / config.recipe)
        else:
            path = root / config.recipe / f"{datetime.datetime.now():%Y%m%d-%H%M%S}"
        if path.exists() and not path.is_dir():
            raise UserError.field(str(path), expected="a folder", got="a file")
        occupied = path.is_dir() and any(path.iterdir())
        if occupied and not (resume or overwrite):
            raise UserError.field(
                str(path),
                expected="a new or empty folder",
                got="one with files in it",
                fix="name another --out, go on with --resume, or remove what is there "
                "with --overwrite",
            )
        if resume and not (path / CONFIG).is_file():
            raise UserError.field(
                str(path),
                expected=f"a run to resume, with its {CONFIG}",
                got="none",
                fix="start it without --resume",
            )
        if overwrite and occupied and not _is_run(path):
            raise UserError.field(
                str(path),
                expected=f"a run to overwrite, with its {CONFIG}",
                got="other files",
                fix="name another --out",
            )
        return cls(path=path, resume=resume, overwrite=overwrite and occupied)

    def agreed(self, config: Config) -> Config:
        """The configuration to run with: what `auto` chose stays as it was chosen.

        Raises:
            UserError: If a resumed run was made with another configuration.
        """
        if not self.resume:
            return config
        before = read_config(self.path)
        was, now = flatten(before), flatten(config)
        for name, value in was.items():
            if name == "data.source" and is_memory(value):
                check_same(str(value), now[name])
                config = replace(config, **{"data.source": value})
            elif name == "graph.backend" and _same_backend(str(now[name]), value):
                config = replace(config, **{"graph.backend": value})
            elif name == "parallel.exchange" and now[name] == "auto":
                config = replace(config, **{"parallel.exchange": value})
            elif name == "parallel.groups" and not now[name]:
                config = replace(config, **{"parallel.groups": value})
            elif now[name] != value and name not in _MAY_CHANGE:
                raise UserError.field(
                    f"--{name.replace('_', '-')}",
                    expected=f"{_typed(value)}, as the run in {self.path} was made "
                    "with",
                    got=_typed(now[name]),
                    fix="leave it, or train in another folder",
                )
        return config

    def claim(self, config: Config, *, data_hash: str) -> Path:
        """Makes the folder, removes what is to be overwritten, writes `config.json`.

        Args:
            config: Of the run.
            data_hash: Of the data that it is trained on, kept in `split.json`.

        Raises:
            UserError: If the folder cannot be removed, made or written, or a resumed
                run was trained on other data.
        """
        if self.resume:
            check_split(self.path, config, data_hash=data_hash)
        try:
            with reaching(self.path):
                if self.overwrite:
                    remove_tree(self.path)
                existed = self.path.is_dir()
                self.path.mkdir(parents=True, exist_ok=existed)
                if not self.resume and existed and any(self.path.iterdir()):
                    raise FileExistsError
                write_atomically(self.path / CONFIG, to_json(config))
                split = json.dumps({"split_hash": data_hash})
                write_atomically(self.path / SPLIT, split + "\n")
        except OSError as error:
            raise UserError.field(
                str(self.path),
                expected="a folder that can be written",
                got="one that another run has just begun"
                if isinstance(error, FileExistsError)
                else error.strerror or error,
                fix="name another --out",
            ) from error
        return self.path


def read_config(path: Path) -> Config:
    """The configuration of a run.

    Raises:
        UserError: If the folder is no run, or its `config.json` is broken.
    """
    file = path / CONFIG
    check_reachable(path)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError:
        raise UserError.field(
            str(path),
            expected=f"a run folder with {CONFIG}",
            got="none in it" if path.is_dir() else "no such folder",
            fix="name one that `llmgnn train` has written",
        ) from None
    except UnicodeDecodeError as error:
        raise UserError.field(str(file), expected="UTF-8 JSON", got=error) from None
    return from_json(text, origin=str(file))


def on_one_device(config: Config) -> Config:
    """The configuration of a run, to read it on one device, wherever it was made."""
    return replace(config, **{"parallel.data": 1, "parallel.model": 1})


def check_source(path: Path, config: Config) -> None:
    """Passes only if there is something where a run's data were.

    Raises:
        UserError: If there is not; paths are those of the folder it was trained in.
    """
    if not is_there(config.data.source):
        raise UserError.field(
            f"data.source {config.data.source!r}",
            expected=f"the data that {path} was trained on",
            got="no such file or folder",
            fix="run the command in the folder that the training ran in, or bring the "
            "data back",
        )


def check_split(path: Path, config: Config, *, data_hash: str) -> None:
    """Passes only if a run was trained on the very data that are there now.

    Raises:
        UserError: If the data have changed since, or the run does not tell.
    """
    try:
        before = json.loads((path / SPLIT).read_bytes())["split_hash"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError.field(
            str(path / SPLIT),
            expected="the hash of the split that the run was trained on",
            got="none that can be read",
            fix="train again",
        ) from None
    if before != data_hash:
        raise UserError.field(
            f"data.source {config.data.source!r}",
            expected=f"the data that {path} was trained on",
            got="other data",
            fix="train again",
        )


def _same_backend(asked: str, used: object) -> bool:
    """Whether a run that used `used` goes on as asked: it chose it, or stood it in."""
    return asked in ("auto", used) or usable_backend(checked_backend(asked)) == used


def _typed(value: object) -> str:
    """A value as it is typed after its option."""
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _is_run(path: Path) -> bool:
    """Whether a run, of this version or another, wrote the folder's `config.json`.

    A language model's folder has a file of that name too, and must not be overwritten.
    """
    try:
        tree = json.loads((path / CONFIG).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(tree, dict) and tree.keys() >= {"recipe", "train"}


def _newest(folder: Path) -> Path:
    runs = [one.parent for one in folder.glob(f"*/{CONFIG}")] if folder.is_dir() else []
    if not runs:
        raise UserError.field(
            "--resume",
            expected=f"a run in {folder}",
            got="none",
            fix="start one without --resume, or name its folder with --out",
        )
    return max(runs, key=lambda run: run.stat().st_mtime)
