"""Checkpoints: the only file that knows orbax's v1 API.

A model's checkpoints lie in `checkpoints/<model>/<step>`. Each is whole in itself:
state, the best parameters so far and the progress of early stopping. Orbax writes to a
temporary folder and renames it, so a killed run leaves no half-written step behind.
"""

import contextlib
import dataclasses
import functools
import gc
import io
import logging
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from llmgnn_jax.errors import UserError
from llmgnn_jax.models.features import TextFeatures
from llmgnn_jax.training.state import TrainState

logger = logging.getLogger(__name__)


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["best_value", "best_step", "worse", "end_value", "seconds"],
    meta_fields=[],
)
@dataclass(frozen=True, kw_only=True)
class Progress:
    """Early stopping and the clock, as they stand at a step.

    Attributes:
        best_value: Best validation metric so far; -inf before the first.
        best_step: The step that it was measured at.
        worse: Validations since then.
        end_value: The metric at this very step, where the run ends between two
            validations; -inf elsewhere. A longer run would not have looked, so it
            counts for which parameters are best and not for early stopping.
        seconds: Of training, over all the times the run was resumed.
    """

    best_value: float = -np.inf
    best_step: int = 0
    worse: int = 0
    end_value: float = -np.inf
    seconds: float = 0.0


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["state", "best_params", "progress"],
    meta_fields=[],
)
@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """All that a checkpoint holds."""

    state: TrainState
    best_params: Any
    progress: Progress


class CheckpointFolder:
    """The checkpoints of one model, newest last.

    Args:
        folder: `checkpoints/<model>`; made at the first save.
        keep: How many of the newest are kept.
    """

    def __init__(self, folder: Path, *, keep: int) -> None:
        self._folder = folder.absolute()
        self._unreadable: set[int] = set()
        with _quiet():
            self._checkpointer = ocp.training.Checkpointer(
                self._folder,
                preservation_policy=ocp.training.preservation_policies.LatestN(keep),
            )

    def save(self, snapshot: Snapshot) -> None:
        """Writes a snapshot under its step; does nothing if that step is there.

        Those that could not be read are moved out of the way first, to
        `checkpoints/<model>.<step>.unreadable`.
        """
        for broken in sorted(self._unreadable):
            path = self._folder / str(broken)
            path.rename(
                self._folder.with_name(f"{self._folder.name}.{broken}.unreadable")
            )
        if self._unreadable:
            self._checkpointer.reload()
            self._unreadable.clear()
        step = int(snapshot.state.step)
        if step in self.steps():
            return
        with _quiet():
            self._checkpointer.save(step, _to_tree(snapshot))

    def steps(self) -> list[int]:
        """Steps with a complete checkpoint, ascending."""
        return sorted(int(one.step) for one in self._checkpointer.checkpoints)

    def restore(self, template: Snapshot) -> Snapshot | None:
        """The newest snapshot that can be read, or None where there is none yet.

        One that cannot is skipped with a warning.

        Args:
            template: A snapshot of the same shapes and types; its placement is taken,
                whatever that of the run that saved it.

        Raises:
            UserError: If none of them can be read, or they are of another model.
        """
        newest: UserError | None = None
        skipped: set[int] = set()
        for step in reversed(self.steps()):
            try:
                found = self._load(step, template)
            except UserError as error:
                newest = newest or error
                skipped.add(step)
                continue
            if newest is not None:
                logger.warning("%s; step %d is taken instead", newest, step)
                self._unreadable = skipped
            return found
        if newest is not None:
            raise newest
        return None

    def _load(self, step: int, template: Snapshot) -> Snapshot:
        target = jax.tree.map(_abstract, _to_tree(template))
        with _quiet(), _without_tracebacks():
            try:
                return _from_tree(self._checkpointer.load(step, target), template)
            except Exception as error:
                # Orbax, tensorstore and the file system each raise their own.
                reason = next(iter(str(error).splitlines()), "no reason given")
                got = f"{type(error).__name__} ({reason[:160]})"
            # Only now, without the error that holds them, can the reads be collected
            # that orbax abandoned; let them end first.
            time.sleep(0.3)
            gc.collect()
        raise UserError.field(
            str(self._folder / str(step)),
            expected="a readable checkpoint of this model",
            got=got,
            fix="train again with --overwrite",
        )

    def close(self) -> None:
        """Waits for what is being written."""
        with _quiet():
            self._checkpointer.close()

    def __enter__(self) -> "CheckpointFolder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _to_tree(snapshot: Snapshot) -> dict[str, Any]:
    """Plain dicts of arrays, so that the files do not depend on our classes.

    The optimizer's state is a list of leaves: its classes are optax's, and a dict with
    integer keys would come back in lexical order.
    """
    state, progress = snapshot.state, snapshot.progress
    leaves = jax.tree.leaves(state.opt_state)
    # Only where there are any: older checkpoints have no such entry.
    text = {"text": _fields(state.text)} if state.text is not None else {}
    return {
        **text,
        "params": state.params,
        "opt_state": {f"{i:04d}": leaf for i, leaf in enumerate(leaves)},
        "step": state.step,
        "key_data": state.key_data,
        "best_params": snapshot.best_params,
        "progress": {
            # Python's own numbers: a float32 of the best would be compared with
            # float64 metrics, and a resumed run could stop at another step.
            "best_value": float(progress.best_value),
            "best_step": int(progress.best_step),
            "worse": int(progress.worse),
            "end_value": float(progress.end_value),
            "seconds": float(progress.seconds),
        },
    }


def _from_tree(tree: dict[str, Any], template: Snapshot) -> Snapshot:
    structure = jax.tree.structure(template.state.opt_state)
    leaves = [leaf for _, leaf in sorted(tree["opt_state"].items())]
    progress = tree["progress"]
    return Snapshot(
        state=TrainState(
            params=tree["params"],
            opt_state=jax.tree.unflatten(structure, leaves),
            step=tree["step"],
            key_data=tree["key_data"],
            text=TextFeatures(**tree["text"]) if "text" in tree else None,
        ),
        best_params=tree["best_params"],
        progress=Progress(
            best_value=float(progress["best_value"]),
            best_step=int(progress["best_step"]),
            worse=int(progress["worse"]),
            end_value=float(progress["end_value"]),
            seconds=float(progress["seconds"]),
        ),
    )


def _fields(text: TextFeatures) -> dict[str, jax.Array]:
    names = [field.name for field in dataclasses.fields(text)]
    return {name: getattr(text, name) for name in names}


def _abstract(leaf: Any) -> Any:
    if not isinstance(leaf, jax.Array):
        return leaf
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)


@contextmanager
def _quiet() -> Iterator[None]:
    """Orbax logs each save at INFO and warns of its own internals."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def _without_tracebacks() -> Iterator[None]:
    """Orbax reads all arrays at once: when one fails, it raises, and the others print.

    Their tasks outlive the event loop and each leaves a traceback on stderr, now or
    when it is collected.
    """
    logger, hook = logging.getLogger("asyncio"), sys.unraisablehook
    disabled = logger.disabled
    with contextlib.redirect_stderr(io.StringIO()):
        logger.disabled, sys.unraisablehook = True, lambda _: None
        try:
            yield
        finally:
            logger.disabled, sys.unraisablehook = disabled, hook
