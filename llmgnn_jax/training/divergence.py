"""Steps whose numbers are none: nothing of them is kept, and the user is told."""

import logging
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from llmgnn_jax.config import Config
from llmgnn_jax.errors import UserError
from llmgnn_jax.training.checkpoint import CheckpointFolder
from llmgnn_jax.training.state import NODE_TABLE, TEXT_ENCODER

logger = logging.getLogger(__name__)


class TrainingDiverged(UserError):
    """The loss is no longer a number; the last good checkpoint is kept."""


def check_finite(
    losses: np.ndarray,
    norms: np.ndarray,
    params: Any,
    step: int,
    name: str,
    config: Config,
    checkpoints: CheckpointFolder,
) -> None:
    """Before anything of these steps is kept: `step` is the one before them.

    A finite loss is not enough: its gradient, and with it the parameters that the next
    checkpoint would hold, may be none.
    """
    wrong = np.flatnonzero(~(np.isfinite(losses) & np.isfinite(norms)))
    if len(wrong):
        step, loss = step + int(wrong[0]) + 1, losses[wrong[0]]
        what, got = (
            ("gradient norm", norms[wrong[0]]) if np.isfinite(loss) else ("loss", loss)
        )
    elif not _all_finite(params):
        step, what, got = step + len(losses), "parameters", "nan or inf"
    else:
        return
    raise diverged(f"{name}: {what} at step {step}", got, params, config, checkpoints)


def diverged(
    what: str, got: object, params: Any, config: Config, checkpoints: CheckpointFolder
) -> UserError:
    try:
        steps = checkpoints.steps()
    except UserError as error:
        logger.warning("%s", error)
        steps = checkpoints.steps()
    kept = f"the checkpoint of step {steps[-1]} is good" if steps else "no checkpoint"
    fix = f"lower --train.learning-rate, now {config.train.learning_rate}"
    if NODE_TABLE in params and config.train.table_optimizer != "adam":
        fix += (
            f", or --train.table-learning-rate, now {config.train.table_learning_rate}"
        )
    if TEXT_ENCODER in params:
        fix += f", or --text.learning-rate, now {config.text.learning_rate}"
    return TrainingDiverged.field(
        what, expected="finite numbers", got=f"{got} ({kept})", fix=fix
    )


@jax.jit
def _all_finite(params: Any) -> jax.Array:
    leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(params)]
    return jnp.all(jnp.stack(leaves))
