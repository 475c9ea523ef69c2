"""Checkpoints are written while training goes on, and are of the step they name."""

import asyncio
import errno
import functools
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tensorstore

from llmgnn_jax.errors import UserError
from llmgnn_jax.training.checkpoint import CheckpointFolder
from llmgnn_jax.training.snapshot import Progress, Snapshot
from llmgnn_jax.training.state import TrainState, create_state

OPTIMIZER = optax.adam(0.1)
FULL = OSError(errno.ENOSPC, "No space left on device")


@functools.partial(jax.jit, donate_argnums=0)
def train_step(state: TrainState) -> TrainState:
    gradients = jax.tree.map(jnp.sin, state.params)
    updates, opt_state = OPTIMIZER.update(gradients, state.opt_state, state.params)
    return TrainState(
        params=optax.apply_updates(state.params, updates),
        opt_state=opt_state,
        step=state.step + 1,
        key_data=state.key_data + 1,
    )


def start(*, rows: int = 1000) -> TrainState:
    table = jnp.arange(rows * 8, dtype=jnp.float32).reshape(rows, 8)
    return train_step(create_state({"table": table}, OPTIMIZER, seed=0))


def snapshot(state: TrainState) -> Snapshot:
    best = {"table": jnp.ones((1000, 8))}
    return Snapshot(state=state, best_params=best, progress=Progress(best_value=0.5))


def on_disk(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


@dataclass
class Disk:
    """What becomes of the arrays of a step that is being written."""

    held: threading.Event = field(default_factory=threading.Event)
    asked: threading.Event = field(default_factory=threading.Event)
    error: OSError | None = None


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """A disk that takes no array before it is let go, or none at all."""
    disk = Disk()
    real = tensorstore.open

    def slowly(*arguments: Any, **options: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            disk.asked.set()
            assert disk.held.wait(60), "nobody lets go"
            if disk.error is not None:
                raise disk.error
        return real(*arguments, **options)

    monkeypatch.setattr(tensorstore, "open", slowly)
    yield disk
    disk.held.set()


def test_steps_go_on_and_do_not_reach_what_is_written(
    tmp_path: Path, disk: Disk
) -> None:
    state = start()
    at_the_save = jax.tree.map(lambda leaf: np.array(leaf, copy=True), state)
    with CheckpointFolder(tmp_path / "m", keep=2) as folder:
        folder.save(snapshot(state))
        assert disk.asked.wait(60)
        # None of it is on the disk yet, and all of it is given away.
        given = state.params["table"]
        for _ in range(5):
            state = train_step(state)
        jax.block_until_ready(state)
        assert given.is_deleted()
        assert int(state.step) == 6
        assert on_disk(tmp_path / "m") == []
        disk.held.set()
        folder.wait()
        assert on_disk(tmp_path / "m") == [1]
        restored = folder.restore(snapshot(start()))
    assert restored is not None
    jax.tree.map(np.testing.assert_array_equal, restored.state, at_the_save)


def test_the_next_one_waits_for_the_one_before(tmp_path: Path, disk: Disk) -> None:
    state = start()
    with CheckpointFolder(tmp_path / "m", keep=1) as folder:
        folder.save(snapshot(state))
        assert disk.asked.wait(60)
        threading.Timer(0.2, disk.held.set).start()
        folder.save(snapshot(train_step(state)))
        # The older one goes only when the newer one is there.
        assert 1 in on_disk(tmp_path / "m") or on_disk(tmp_path / "m") == [2]
        assert folder.steps() == [2]
    assert on_disk(tmp_path / "m") == [2]


def test_closing_waits(tmp_path: Path, disk: Disk) -> None:
    with CheckpointFolder(tmp_path / "m", keep=1) as folder:
        folder.save(snapshot(start()))
        assert on_disk(tmp_path / "m") == []
        threading.Timer(0.2, disk.held.set).start()
    assert on_disk(tmp_path / "m") == [1]


@pytest.mark.parametrize(
    "then",
    [
        lambda folder: folder.save(snapshot(train_step(start()))),
        CheckpointFolder.wait,
        CheckpointFolder.steps,
        CheckpointFolder.close,
    ],
    ids=["save", "wait", "steps", "close"],
)
def test_what_goes_wrong_later_is_told_in_one_line(
    tmp_path: Path,
    disk: Disk,
    then: Callable[[CheckpointFolder], object],
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    disk.error = FULL
    folder = CheckpointFolder(tmp_path / "m", keep=2)
    folder.save(snapshot(start()))
    disk.held.set()
    with pytest.raises(UserError) as caught:
        then(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(
        f"{tmp_path / 'm' / '1'}: expected a checkpoint that can be written, got "
    )
    assert "No space left on device" in message
    assert message.endswith("; mend that, then go on with --resume")
    # Told once, and by nobody else.
    assert folder.steps() == []
    folder.close()
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_a_failed_one_leaves_those_before(tmp_path: Path, disk: Disk) -> None:
    disk.held.set()
    state = start()
    with CheckpointFolder(tmp_path / "m", keep=1) as folder:
        folder.save(snapshot(state))
        folder.wait()
        disk.error = FULL
        folder.save(snapshot(train_step(state)))
        with pytest.raises(UserError, match="No space left"):
            folder.wait()
        assert folder.steps() == [1]
        # Once there is room again, it goes on.
        disk.error = None
        restored = folder.restore(snapshot(start()))
        assert restored is not None
        assert int(restored.state.step) == 1
        folder.save(snapshot(train_step(restored.state)))
        assert folder.steps() == [2]


def test_what_ended_a_run_is_not_replaced(
    tmp_path: Path, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    disk.error = FULL

    def run() -> None:
        with CheckpointFolder(tmp_path / "m", keep=1) as folder:
            folder.save(snapshot(start()))
            disk.held.set()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run()
    # An exception that nobody asked for may be told whenever it is collected.
    ours = [one for one in caplog.records if one.name.startswith("llmgnn_jax")]
    (record,) = ours
    assert "expected a checkpoint that can be written" in record.getMessage()


def test_orbax_is_not_heard_in_its_threads(
    tmp_path: Path, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("absl")
    before = list(logger.filters)
    with caplog.at_level(logging.DEBUG, "absl"):
        with CheckpointFolder(tmp_path / "m", keep=1) as folder:
            folder.save(snapshot(start()))
            assert disk.asked.wait(60)
            logger.warning("of another library")
            disk.held.set()
        said = [record for record in caplog.records if record.name == "absl"]
        assert [record.getMessage() for record in said] == ["of another library"]
    assert logger.filters == before


def abandon_a_task(*, file: str) -> None:
    """Collects a task of a function of that file, which failed and nobody asked."""
    scope: dict[str, Any] = {}
    source = "async def fail():\n    raise OSError('no space')"
    exec(compile(source, file, "exec"), scope)

    async def main() -> None:
        task = asyncio.ensure_future(scope["fail"]())
        await asyncio.wait([task])

    # Nothing holds it any longer, so it is collected at once.
    asyncio.run(main())


def test_what_orbax_abandons_is_not_heard_whenever_it_is_collected(
    tmp_path: Path,
    disk: Disk,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Without those of folders that failed in other tests.
    monkeypatch.setattr(logging.getLogger("asyncio"), "filters", [])
    orbax, other = "/lib/orbax/_src/futures.py", "/lib/another/futures.py"
    abandon_a_task(file=orbax)
    assert len(caplog.records) == 1, "asyncio tells nothing, so this tests nothing"
    caplog.clear()
    folder = CheckpointFolder(tmp_path / "m", keep=1)
    abandon_a_task(file=orbax)
    assert not caplog.records
    abandon_a_task(file=other)
    (record,) = caplog.records
    assert "never retrieved" in record.getMessage()
    caplog.clear()
    # Where a write failed, what it left may be collected after the folder is closed.
    disk.error = FULL
    disk.held.set()
    folder.save(snapshot(start()))
    with pytest.raises(UserError, match="No space left"):
        folder.close()
    abandon_a_task(file=orbax)
    assert not caplog.records


def test_one_that_was_never_completed_is_skipped_and_cleared_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = start()
    with CheckpointFolder(tmp_path / "m", keep=2) as folder:
        folder.save(snapshot(state))
    half = tmp_path / "m" / "9.orbax-checkpoint-tmp"
    half.mkdir()
    (half / "data").write_bytes(b"half of it")
    with CheckpointFolder(tmp_path / "m", keep=2) as folder:
        restored = folder.restore(snapshot(start()))
        assert restored is not None
        assert int(restored.state.step) == 1
        (record,) = caplog.records
        assert record.getMessage() == (
            f"{tmp_path / 'm'}: step 9 is not complete and is skipped"
        )
        # To read a run changes nothing in it.
        assert half.exists()
        folder.save(snapshot(train_step(restored.state)))
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["1", "2"]
