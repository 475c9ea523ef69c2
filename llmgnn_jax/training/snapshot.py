"""All of a model at a step, and the plain dicts of arrays that files hold of it."""

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from llmgnn_jax.models.features import TextFeatures
from llmgnn_jax.training.state import TrainState


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["best_value", "best_step", "worse", "end_value", "seconds"],
    meta_fields=[],
)
@dataclass(frozen=True, kw_only=True)
class Progress:
    """Early stopping and the clock, as they stand at a step.

    Attributes:
        best_value: Best validation metric so far, an error's negative (`as_gain`): the
            larger, the better; -inf before the first.
        best_step: The step that it was measured at.
        worse: Validations since then.
        end_value: The same at this very step, where the run ends between two
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


def to_tree(snapshot: Snapshot) -> dict[str, Any]:
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


def abstract_tree(snapshot: Snapshot) -> dict[str, Any]:
    """The same with shapes, types and placements in place of arrays."""
    return jax.tree.map(_abstract, to_tree(snapshot))


def from_tree(tree: dict[str, Any], template: Snapshot) -> Snapshot:
    """Back from those dicts; the optimizer's classes are the template's."""
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
