"""Checkpoints: every bit comes back, and what cannot be read says so."""

import dataclasses
import gc
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.training.checkpoint import CheckpointFolder
from llmgnn_jax.training.snapshot import Progress, Snapshot
from llmgnn_jax.training.state import TrainState, create_state

OPTIMIZER = optax.adamw(0.1)


def params_of(width: int, *, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> jax.Array:
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    # More than ten layers: their names are not in lexical order.
    layers = {f"layer_{n}": {"kernel": normal(2, width)} for n in range(12)}
    return {"embedding": normal(5, width), "scale": normal(), **layers}


@jax.jit
def update(gradients: Any, opt_state: Any, params: Any) -> tuple[Any, Any]:
    updates, opt_state = OPTIMIZER.update(gradients, opt_state, params)
    return optax.apply_updates(params, updates), opt_state


def snapshot_of(
    *, step: int, width: int = 3, seed: int = 7, progress: Progress | None = None
) -> Snapshot:
    """As it stands after some updates: no part of it is at its initial value."""
    state = create_state(params_of(width), OPTIMIZER, seed=seed)
    params, opt_state = state.params, state.opt_state
    for number in range(3):
        gradients = params_of(width, seed=number + 1)
        params, opt_state = update(gradients, opt_state, params)
    return Snapshot(
        state=TrainState(
            params=params,
            opt_state=opt_state,
            step=jnp.int32(step),
            key_data=state.key_data,
        ),
        best_params=params_of(width, seed=99),
        progress=progress or Progress(),
    )


def template(*, width: int = 3) -> Snapshot:
    """As a program makes it before it restores."""
    params = jax.tree.map(jnp.zeros_like, params_of(width))
    state = create_state(params, OPTIMIZER, seed=0)
    return Snapshot(state=state, best_params=params, progress=Progress())


def assert_same(left: Snapshot, right: Snapshot) -> None:
    assert jax.tree.structure(left) == jax.tree.structure(right)
    for one, other in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        assert jnp.asarray(one).dtype == jnp.asarray(other).dtype
        np.testing.assert_array_equal(one, other)


def test_every_bit_comes_back(tmp_path: Path) -> None:
    # Neither is a float32: the best must not change by being stored.
    progress = Progress(best_value=0.1 + 0.2, best_step=40, worse=3, seconds=1e5 / 7)
    saved = snapshot_of(step=11, progress=progress)
    with CheckpointFolder(tmp_path / "fused", keep=2) as folder:
        folder.save(saved)
    with CheckpointFolder(tmp_path / "fused", keep=2) as folder:
        assert folder.steps() == [11]
        restored = folder.restore(template())
    assert restored is not None
    assert_same(restored, saved)
    assert restored.progress == progress
    # It is what the optimizer and the random draws go on with.
    after, expected = (
        update(params_of(3, seed=5), state.opt_state, state.params)
        for state in (restored.state, saved.state)
    )
    jax.tree.map(np.testing.assert_array_equal, after, expected)
    key = jax.random.wrap_key_data(restored.state.key_data)
    assert (jax.random.key_data(key) == jax.random.key_data(jax.random.key(7))).all()


def test_before_the_first_validation(tmp_path: Path) -> None:
    saved = snapshot_of(step=1)
    with CheckpointFolder(tmp_path / "m", keep=1) as folder:
        folder.save(saved)
        restored = folder.restore(template())
    assert restored is not None
    assert restored.progress == Progress()
    assert restored.progress.best_value == -np.inf


def test_the_newest_are_kept(tmp_path: Path) -> None:
    with CheckpointFolder(tmp_path / "m", keep=2) as folder:
        # By number, not by name: 10 comes after 9.
        for step in (1, 9, 10):
            folder.save(snapshot_of(step=step, seed=step))
        assert folder.steps() == [9, 10]
        # A step that is there stays as it is.
        folder.save(snapshot_of(step=10, seed=1))
        restored = folder.restore(template())
    assert restored is not None
    assert_same(restored, snapshot_of(step=10, seed=10))
    names = {path.name for path in (tmp_path / "m").iterdir() if path.is_dir()}
    assert names == {"9", "10"}


def test_nothing_there_yet(tmp_path: Path) -> None:
    with CheckpointFolder(tmp_path / "m", keep=2) as folder:
        assert folder.steps() == []
        assert folder.restore(template()) is None


def one_line(error: UserError, path: Path) -> str:
    message = str(error)
    assert "\n" not in message
    assert message.startswith(f"{path}: expected a readable checkpoint of this model")
    assert "train again with --overwrite" in message
    return message


def test_of_another_model(tmp_path: Path) -> None:
    with CheckpointFolder(tmp_path / "m", keep=2) as folder:
        folder.save(snapshot_of(step=5, width=3))
        other_names = template()
        other_params = {"other": jnp.zeros(2)}
        other_names = dataclasses.replace(
            other_names,
            state=create_state(other_params, OPTIMIZER, seed=0),
            best_params=other_params,
        )
        for wanted in (template(width=4), other_names):
            with pytest.raises(UserError) as caught:
                folder.restore(wanted)
            one_line(caught.value, tmp_path / "m" / "5")


def test_one_that_cannot_be_read_is_skipped_and_kept_apart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with CheckpointFolder(tmp_path / "m", keep=2) as folder:
        for step in (3, 6):
            folder.save(snapshot_of(step=step, seed=step))
    for path in large_files(tmp_path / "m" / "6"):
        path.write_bytes(b"")
    with CheckpointFolder(tmp_path / "m", keep=2) as folder:
        restored = folder.restore(template())
        assert restored is not None
        assert_same(restored, snapshot_of(step=3, seed=3))
        warning = caplog.records[-1].getMessage()
        assert warning.startswith(f"{tmp_path / 'm' / '6'}: expected a readable")
        assert warning.endswith("step 3 is taken instead")
        # To read a run changes nothing in it.
        assert folder.steps() == [3, 6]
        # What is trained anew is saved under the same number.
        folder.save(snapshot_of(step=6, seed=60))
        again = folder.restore(template())
        assert again is not None
        assert_same(again, snapshot_of(step=6, seed=60))
    assert (tmp_path / "m.6.unreadable").is_dir()
    # And once more the same step: what was kept apart stays.
    for path in large_files(tmp_path / "m" / "6"):
        path.write_bytes(b"")
    with CheckpointFolder(tmp_path / "m", keep=2) as folder:
        assert folder.restore(template()) is not None
        folder.save(snapshot_of(step=6, seed=61))
    assert (tmp_path / "m.6.unreadable").is_dir()
    assert (tmp_path / "m.6.unreadable-2").is_dir()


def large_files(folder: Path) -> list[Path]:
    """Those that hold the arrays' values."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if path.stat().st_size and "/d/" in str(path)]


@pytest.mark.parametrize("damage", ["truncated", "overwritten", "removed"])
def test_damaged_files(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    with CheckpointFolder(tmp_path / "m", keep=2) as folder:
        folder.save(snapshot_of(step=4, width=3))
        folder.save(snapshot_of(step=5, width=3))
    damaged = [
        file for step in (4, 5) for file in large_files(tmp_path / "m" / str(step))
    ]
    assert len(damaged) > 1
    for path in damaged:
        content = path.read_bytes()
        if damage == "truncated":
            path.write_bytes(content[: len(content) // 2])
        elif damage == "overwritten":
            path.write_bytes(bytes(byte ^ 0xFF for byte in content))
        else:
            path.unlink()
    with CheckpointFolder(tmp_path / "m", keep=2) as folder:
        with pytest.raises(UserError) as caught:
            folder.restore(template())
        one_line(caught.value, tmp_path / "m" / "5")
    # Orbax drops reads that go on; what asyncio says of them would follow that line.
    del caught
    gc.collect()
    assert not [record for record in caplog.records if record.name == "asyncio"]
