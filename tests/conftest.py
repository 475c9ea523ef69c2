"""Strict numerics for every test, and a tiny run that several rooms look at.

Rank promotion raises; warnings are errors (pyproject.toml).
"""

import logging
import os
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Most of the tests' time is compiling. So what one process compiled serves all, those
# that a test starts and those of the next session as well, and XLA optimises little.
# A program's key is of all that it depends on; `make clean` takes the folder away.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR",
    str(Path(__file__).resolve().parents[1] / "build" / "tests" / "programs"),
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import re
import time
from collections.abc import Callable

import jax
import pytest

from llmgnn_jax import cli
from llmgnn_jax.config import (
    Config,
    DataConfig,
    EvaluationConfig,
    FusionConfig,
    GraphConfig,
    TextConfig,
    TrainConfig,
    flatten,
)
from llmgnn_jax.data.synthetic import synthetic
from llmgnn_jax.text.encoders.bert_config import BertConfig
from llmgnn_jax.text.encoders.model import initialise
from llmgnn_jax.text.pretrained import save_encoder
from llmgnn_jax.training.run import fit

jax.config.update("jax_numpy_rank_promotion", "raise")

COMPILED = Path(__file__).resolve().parents[1] / "build" / "tests"

# Title and year of the first films of `films`; what follows is called by its theme.
FILMS = (
    ("Misérables, Les", "1995"),
    ("Two Friends", "1986"),
    ("Two Friends", "1999"),
    ("Heist, The", "1990"),
    ("Heist, The", "1990"),
    ("Unforgettable Journey to the Moon", "1969"),
)

# Words that a test plants in the reviews of each part of a split, to look for them.
MARKERS = {"train": "trainmarker", "valid": "validmarker", "test": "testmarker"}


def pytest_configure(config: pytest.Config) -> None:
    """Forgets what was compiled a week ago, most of it for what is no more."""
    if hasattr(config, "workerinput"):
        return
    for path in COMPILED.glob("*/*"):
        if path.is_file() and time.time() - path.stat().st_mtime > 7 * 86_400:
            path.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def as_typed() -> Callable[..., list[str]]:
    """(configuration, fields to leave out) -> its options as they are typed."""

    def words(config: Config, leave_out: tuple[str, ...] = ()) -> list[str]:
        typed: list[str] = []
        for field, value in flatten(config).items():
            if field not in leave_out:
                several = value if isinstance(value, tuple) else (value,)
                typed += [f"--{field.replace('_', '-')}", *map(str, several)]
        return typed

    return words


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of the tests' own: nothing is read from or left in the user's."""
    folder = tmp_path_factory.mktemp("cache")
    share_kernels(folder)
    return folder


def share_kernels(cache: Path) -> None:
    """Gives a new cache the native kernels that other tests built."""
    built = COMPILED / "native"
    built.mkdir(parents=True, exist_ok=True)
    cache.mkdir(exist_ok=True)
    (cache / "native").symlink_to(built, target_is_directory=True)


@pytest.fixture
def workplace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache_folder: Path
) -> Path:
    """An empty current folder, the tests' own cache, no network."""
    _leave_alone(monkeypatch, cache_folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _leave_alone(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv("LLMGNN_CACHE", str(cache))
    monkeypatch.setenv("LLMGNN_OFFLINE", "1")
    for name in ("LLMGNN_MIRROR", "LLMGNN_SHARED"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """(name) -> the folder of a real data set that is no part of the project."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("LLMGNN_SHARED") or beside)

    def folder(name: str) -> Path:
        if not (root / name).is_dir():
            pytest.skip("shared data out of reach")
        return root / name

    return folder


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of random weights that knows the synthetic words, as Hugging Face has it.

    Random weights still tell texts of different words apart.
    """
    folder = tmp_path_factory.mktemp("encoder")
    planted = synthetic(num_clusters=8, reviews=True)
    texts = [*planted.item_texts, *(planted.interaction_texts or ())]
    found = re.findall(r"[a-z]+|[0-9]|[\u4e00-\u9fff]|[^\w\s]", " ".join(texts).lower())
    titles = " ".join(title for title, _ in FILMS).lower().replace(",", "").split()
    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
    words = [*special, *sorted({*found, *titles, *MARKERS.values()})]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", "utf-8")
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=256,
    )
    save_encoder(folder, params=initialise(config, seed=0).params, config=config)
    return folder


@pytest.fixture(scope="session")
def markers() -> dict[str, str]:
    """Part of a split -> a word that stands nowhere else and is one token."""
    return MARKERS


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic data set as RecBole atomic files, with titles that are hard."""
    folder = tmp_path_factory.mktemp("films")
    _write_films(folder)
    return folder


def _write_films(folder: Path) -> None:
    planted = synthetic()
    items = []
    for number, id_ in enumerate(planted.item_ids):
        theme = planted.item_categorical["genre"][number][0]
        if number < len(FILMS):
            title, year = FILMS[number]
        else:
            title, year = f"{theme.title()} {number}", str(1980 + number)
        items.append((id_, title, year, theme.replace(" ", "-")))
    rows = [
        (planted.user_ids[user], planted.item_ids[item], f"{value:g}", str(time))
        for user, item, value, time in zip(
            planted.users,
            planted.items,
            planted.values,
            planted.timestamps,
            strict=True,
        )
    ]
    for suffix, header, lines in (
        (
            "item",
            "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq",
            items,
        ),
        (
            "inter",
            "user_id:token\titem_id:token\trating:float\ttimestamp:float",
            rows,
        ),
    ):
        text = "\n".join([header, *("\t".join(line) for line in lines)]) + "\n"
        (folder / f"films.{suffix}").write_text(text, "utf-8")


@pytest.fixture(scope="session")
def tiny_config(films: Path, tiny_encoder: Path) -> Config:
    """All three models in seconds; every value that matters is written out."""
    return Config(
        recipe="tiny",
        models=("graph", "text", "fused"),
        data=DataConfig(source=str(films)),
        graph=GraphConfig(
            num_layers=2,
            embedding_dim=16,
            backend="csr",
            spare_users=8,
            spare_items=4,
            spare_edges=256,
        ),
        text=TextConfig(encoder=str(tiny_encoder)),
        fusion=FusionConfig(activation="leaky_relu", anchor=0.3, modality_dropout=0.2),
        train=TrainConfig(
            batch_size=64,
            learning_rate=0.02,
            half_life=0,
            l2=1e-4,
            # The last stretch ends between two validations.
            steps=130,
            steps_per_call=2,
            validate_every=40,
            patience=0,
            checkpoint_every=65,
            keep_checkpoints=5,
        ),
        evaluation=EvaluationConfig(ks=(5, 10), metric="ndcg@10"),
    )


@pytest.fixture(scope="session")
def finished_run(
    tmp_path_factory: pytest.TempPathFactory,
    cache_folder: Path,
    tiny_config: Config,
) -> Path:
    """A run of `tiny_config` on `films`. Not to be written to: copy it."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    with pytest.MonkeyPatch.context() as monkeypatch:
        _leave_alone(monkeypatch, cache_folder)
        fit(tiny_config, out=folder, command="llmgnn train tiny")
    return folder


@pytest.fixture
def llmgnn(
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., tuple[int | str | None, str, str]]:
    """(arguments) -> exit code, stdout, stderr."""

    def run(*arguments: object) -> tuple[int | str | None, str, str]:
        capsys.readouterr()
        code: int | str | None
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as stopped:
            code = stopped.code
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def refused(
    llmgnn: Callable[..., tuple[int | str | None, str, str]],
) -> Callable[..., str]:
    """(arguments) -> the one line of a refused command; nothing else is said."""

    def run(*arguments: object) -> str:
        code, out, err = llmgnn(*arguments)
        assert code == 2, err
        assert out == ""
        assert err.startswith("error: ")
        assert err.count("\n") == 1, err
        assert err.endswith("\n")
        assert "Traceback" not in err
        return err.removeprefix("error: ").rstrip("\n")

    return run


@pytest.fixture(autouse=True)
def log_levels() -> None:
    """A command that ran within another test has made no logger quieter for this."""
    for name in ("llmgnn_jax", "llmgnn_jax.serving", "llmgnn_jax.speaking"):
        logging.getLogger(name).setLevel(logging.NOTSET)
