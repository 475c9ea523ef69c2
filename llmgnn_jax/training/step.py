"""One training step, and the compiled program that runs many of them.

Shapes: B rows, R items that a batch names, K negatives, D width of a ranked vector.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from llmgnn_jax.config import Config
from llmgnn_jax.models.recommender import RecommenderModel
from llmgnn_jax.training import losses
from llmgnn_jax.training.batch import draw_batch
from llmgnn_jax.training.sides import Sides
from llmgnn_jax.training.state import TrainData, TrainState


class StepMetrics(NamedTuple):
    """What a step reports: (K,) arrays for K steps of one call."""

    loss: jax.Array
    gradient_norm: jax.Array


Program = Callable[[TrainState, TrainData, jax.Array], tuple[TrainState, StepMetrics]]


def batch_loss(
    params: Any,
    definition: nnx.GraphDef[RecommenderModel],
    data: TrainData,
    *,
    key: jax.Array,
    step: jax.Array,
    config: Config,
) -> jax.Array:
    """The loss of step `step`, a () float32: every draw follows from key and step."""
    train = config.train
    batch = draw_batch(data, key=key, step=step, train=train)
    model = nnx.merge(definition, params)
    sides = Sides(
        model,
        data,
        batch,
        dropout=config.fusion.modality_dropout,
        whole=train.negatives == "all",
    )
    users_B, positives_B, sampled_BK = (
        batch.users_B,
        batch.positives_B,
        batch.sampled_BK,
    )
    user_BD, item_RD = sides.users(), sides.items()
    if train.negatives == "all":
        positive_BD = item_RD[positives_B]
        negative_BK = user_BD @ item_RD.T
        keep_BK = ~data.known.rows(users_B)
        keep_BK &= (jnp.arange(keep_BK.shape[1]) < data.num_items)[None, :]
        log_expected_K = jnp.zeros(keep_BK.shape[1])
    elif sampled_BK is None:
        positive_BD = item_RD
        negative_BK = user_BD @ positive_BD.T
        keep_BK = ~data.known.contain(
            users_B, jnp.broadcast_to(positives_B[None, :], negative_BK.shape)
        )
        # The other rows' positives: drawn by popularity.
        log_expected_K = jnp.log(
            data.item_counts_I[positives_B]
            * ((train.batch_size - 1) / len(data.users_E))
        )
    else:
        positive_BD, negative_RD = jnp.split(item_RD, [train.batch_size])
        if train.loss == "sampled_softmax":  # The draws are shared by all rows.
            negative_BK = user_BD @ negative_RD.T
            sampled_BK = jnp.broadcast_to(sampled_BK, negative_BK.shape)
        else:
            negative_BKD = negative_RD.reshape(*sampled_BK.shape, -1)
            negative_BK = jnp.einsum("bd,bkd->bk", user_BD, negative_BKD)
        keep_BK = ~data.known.contain(users_B, sampled_BK)
        log_expected_K = jnp.full(
            train.num_negatives, jnp.log(train.num_negatives / data.num_items)
        )

    positive_B = jnp.sum(user_BD * positive_BD, axis=-1)
    if train.loss == "bpr":
        loss_B = losses.bpr(positive_B, negative_BK, keep_BK=keep_BK)
    else:
        loss_B = losses.sampled_softmax(
            positive_B, negative_BK, keep_BK=keep_BK, log_expected_K=log_expected_K
        )
    loss = jnp.sum(loss_B) / train.batch_size
    loss += train.l2 * sides.id_penalty()
    if model.spec.sides == "fused":
        loss += config.fusion.anchor * model.fusion.distance_from_start()
    return loss


def build_program(
    definition: nnx.GraphDef[RecommenderModel],
    optimizer: optax.GradientTransformation,
    config: Config,
) -> Program:
    """Compiles, at its first call, a program that runs up to `steps_per_call` steps.

    `program(state, data, count)` takes `count` steps, a () int32 that is traced: a
    shorter last call, a resumed run and a full call share one compilation and one step
    body, and so give the same bits. The state is donated.

    Returns:
        The program: (state, data, count) -> (state, metrics with (steps_per_call,)
        arrays, of which the first `count` are filled in).
    """
    capacity = config.train.steps_per_call

    def one_step(state: TrainState, data: TrainData) -> tuple[TrainState, StepMetrics]:
        key = jax.random.wrap_key_data(state.key_data)
        loss, gradients = jax.value_and_grad(batch_loss)(
            state.params, definition, data, key=key, step=state.step, config=config
        )
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        state = TrainState(
            params=optax.apply_updates(state.params, updates),
            opt_state=opt_state,
            step=state.step + 1,
            key_data=state.key_data,
        )
        return state, StepMetrics(loss, optax.tree.norm(gradients))

    def run_steps(
        state: TrainState, data: TrainData, count: jax.Array
    ) -> tuple[TrainState, StepMetrics]:
        def body(
            number: jax.Array, carry: tuple[TrainState, StepMetrics]
        ) -> tuple[TrainState, StepMetrics]:
            state, metrics = carry
            state, new = one_step(state, data)
            return state, StepMetrics(
                loss=metrics.loss.at[number].set(new.loss),
                gradient_norm=metrics.gradient_norm.at[number].set(new.gradient_norm),
            )

        empty = StepMetrics(jnp.zeros(capacity), jnp.zeros(capacity))
        return jax.lax.fori_loop(0, count, body, (state, empty))

    return jax.jit(run_steps, donate_argnums=0)
