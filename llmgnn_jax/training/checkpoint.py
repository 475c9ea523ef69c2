"""Checkpoints: the only file that knows orbax's v1 API.

A model's checkpoints lie in `checkpoints/<model>/<step>`. Each is whole in itself:
state, the best parameters so far and the progress of early stopping. They are written
while training goes on. Orbax writes to a temporary folder and renames it when all is
there (in a bucket it leaves a mark instead), and only then removes older ones: a run
that is killed in between keeps the last whole checkpoint.
"""

import contextlib
import dataclasses
import gc
import logging
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from orbax.checkpoint import v1 as ocp

from llmgnn_jax.assets.bucket import is_url, reaching, remove_tree
from llmgnn_jax.errors import UserError, in_a_line
from llmgnn_jax.parallel import processes
from llmgnn_jax.training.closing import close_after
from llmgnn_jax.training.orbax_log import (
    OrbaxSilence,
    without_tracebacks,
    without_warnings,
)
from llmgnn_jax.training.snapshot import Snapshot, abstract_tree, from_tree, to_tree
from llmgnn_jax.training.state import TrainState, copy_params

logger = logging.getLogger(__name__)


# What orbax calls a step that is not complete yet.
_UNFINISHED = ".orbax-checkpoint-tmp"


class CheckpointFolder:
    """The checkpoints of one model, newest last, written one at a time.

    `save` returns before the files are there. What goes wrong after that is raised by
    the next call, at the latest by `close`.

    Args:
        folder: `checkpoints/<model>`; made at once.
        keep: How many of the newest are kept.
    """

    def __init__(self, folder: Path, *, keep: int) -> None:
        self._folder = folder if is_url(folder) else folder.absolute()
        self._unreadable: set[int] = set()
        self._begun = self._failed = False
        self._writing: tuple[int, Any] | None = None
        # For as long as orbax has threads, not only while it is called.
        self._silence = OrbaxSilence()
        self._silence.begin()
        context = ocp.Context()
        # Made in a thread, a folder that is refused is waited for: minutes of silence.
        context.asynchronous.create_directories_asynchronously = False
        with without_warnings(), reaching(self._folder):
            self._checkpointer = ocp.training.Checkpointer(
                self._folder,
                context=context,
                preservation_policy=ocp.training.preservation_policies.LatestN(keep),
            )

    def save(self, snapshot: Snapshot) -> None:
        """Begins to write a snapshot under its step; nothing if that step is there.

        Waits for the one before it. The snapshot's arrays may be donated as soon as
        this returns. In a run of several processes each of them calls it.

        Those that could not be read are moved out of the way first, to
        `checkpoints/<model>.<step>.unreadable`, and those that were never completed
        are removed.

        Raises:
            UserError: If the one before it could not be written, or this one cannot.
        """
        self.wait()
        self._clear_away()
        step = int(snapshot.state.step)
        if step in self.steps():
            return
        state, best = _apart(snapshot.state), snapshot.best_params
        if best is snapshot.state.params:
            best = state.params
        tree = to_tree(dataclasses.replace(snapshot, state=state, best_params=best))
        with without_warnings():
            try:
                # Forced: when to save is decided here, not by a policy of orbax.
                response = self._checkpointer.save_async(step, tree, force=True)
            except Exception as error:
                raise self._unwritable(step, error) from error
        self._writing = (step, response)

    def wait(self) -> None:
        """Waits until what was saved is complete.

        Raises:
            UserError: If it could not be written; once.
        """
        if self._writing is None:
            return
        (step, response), self._writing = self._writing, None
        with without_warnings():
            try:
                self._checkpointer.wait()
            except Exception as error:
                self._failed = True
                with contextlib.suppress(Exception):
                    # It has dropped those that the failed one was to replace.
                    self._checkpointer.reload()
                raise self._unwritable(step, error) from error
            finally:
                # Ends the thread that orbax keeps for it; an error is the same.
                with contextlib.suppress(Exception):
                    response.result()

    def steps(self) -> list[int]:
        """Steps with a complete checkpoint, ascending; waits for the newest.

        Raises:
            UserError: If that could not be written.
        """
        self.wait()
        return sorted(int(one.step) for one in self._checkpointer.checkpoints)

    def restore(self, template: Snapshot) -> Snapshot | None:
        """The newest snapshot that can be read, or None where there is none yet.

        One that cannot, or was never completed, is skipped with a warning.

        Args:
            template: A snapshot of the same shapes and types; its placement is taken,
                whatever that of the run that saved it.

        Raises:
            UserError: If none of them can be read, or they are of another model.
        """
        newest: UserError | None = None
        skipped: set[int] = set()
        steps = self.steps()
        for step in reversed(self._unfinished()):
            if not steps or step > steps[-1]:
                logger.warning(
                    "%s: step %d is not complete and is skipped", self._folder, step
                )
        for step in reversed(steps):
            found, failed = None, None
            try:
                found = self._load(step, template)
            except UserError as error:
                failed = error
            # What one process cannot read none takes: they go on from one step.
            if processes.any_of_them(failed is not None):
                newest = newest or failed or self._unreadable_elsewhere(step)
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
        target = abstract_tree(template)
        with without_warnings(), without_tracebacks():
            try:
                return from_tree(self._checkpointer.load(step, target), template)
            except Exception as error:
                got = in_a_line(error)
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

    def _unreadable_elsewhere(self, step: int) -> UserError:
        return UserError.field(
            str(self._folder / str(step)),
            expected="a checkpoint that all processes can read",
            got="one that another process cannot",
            fix="see its log; train again with --overwrite",
        )

    def close(self) -> None:
        """Waits for what is being written.

        Raises:
            UserError: If it could not be written.
        """
        try:
            self.wait()
        finally:
            with without_warnings():
                self._checkpointer.close()
            # Threads of a write that failed may go on for a while.
            if not self._failed:
                self._silence.end()

    def __enter__(self) -> "CheckpointFolder":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        close_after(self.close, error)

    def _clear_away(self) -> None:
        """What earlier runs left that is of no use."""
        if self._begun and not self._unreadable:
            return
        # Later on, what is not complete is of this run.
        unfinished = {} if self._begun else self._unfinished()
        self._begun = True
        # All have looked before the first one changes anything.
        processes.meet("checkpoints looked at")
        if processes.is_first():
            for step in sorted(self._unreadable):
                self._move_away(step)
            for path in unfinished.values():
                remove_tree(path)
        processes.meet("checkpoints cleared away")
        if self._unreadable:
            self._checkpointer.reload()
            self._unreadable.clear()

    def _move_away(self, step: int) -> None:
        """To a name that is free: it may have been unreadable before."""
        name = f"{self._folder.name}.{step}.unreadable"
        there = self._folder.with_name(name)
        again = 1
        while there.exists():
            again += 1
            there = self._folder.with_name(f"{name}-{again}")
        try:
            (self._folder / str(step)).rename(there)
        except OSError as error:
            raise self._unwritable(step, error) from error

    def _unfinished(self) -> dict[int, Path]:
        """Steps that are being written, or whose writing ended early; ascending."""
        complete = {int(one.step) for one in self._checkpointer.checkpoints}
        found = {}
        with reaching(self._folder):
            # In a bucket there is no folder before there is something in it.
            here = self._folder.iterdir() if self._folder.is_dir() else ()
            for path in here:
                name = path.name.removesuffix(_UNFINISHED)
                # Nor is anything renamed there: what orbax has not marked as complete
                # has the name of what is.
                if name.isdigit() and (
                    name != path.name
                    or (is_url(self._folder) and int(name) not in complete)
                ):
                    found[int(name)] = path
        return dict(sorted(found.items()))

    def _unwritable(self, step: int, error: Exception) -> UserError:
        return UserError.field(
            str(self._folder / str(step)),
            expected="a checkpoint that can be written",
            got=in_a_line(error),
            fix="mend that, then go on with --resume",
        )


def _apart(state: TrainState) -> TrainState:
    """The state in memory that the next steps, which it is given away to, leave alone.

    Arrays of other devices are on the host before orbax returns. On a CPU what it
    writes from are views of the arrays themselves.
    """
    device = next(iter(state.step.devices()))
    return copy_params(state) if device.platform == "cpu" else state
