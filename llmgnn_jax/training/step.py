"""One training step, and the compiled program that runs many of them.

Shapes: B rows, K negatives, U user slots, I item slots, D width of a ranked vector.
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
from llmgnn_jax.training.draws import draw_examples, draw_items, keep_mask
from llmgnn_jax.training.state import TrainData, TrainState

# What is drawn from a step's key: one number each, so that none shares its stream.
_USER_GRAPH, _USER_TEXT, _ITEM_GRAPH, _ITEM_TEXT, _NEGATIVES = range(5)


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
    rows_B = jnp.arange(train.batch_size, dtype=jnp.int32)
    example_key, noise_key = jax.random.split(key)
    step_key = jax.random.fold_in(noise_key, step)
    examples_B = draw_examples(
        example_key,
        step,
        rows_B,
        num_examples=len(data.users_E),
        batch=train.batch_size,
    )
    users_B, positives_B = data.users_E[examples_B], data.items_E[examples_B]

    model = nnx.merge(definition, params)
    sides = _Sides(model, data, step_key, config.fusion.modality_dropout)
    user_BD = sides.users(users_B, rows_B, positives_B)
    if train.negatives == "all":
        item_ID = sides.items(jnp.arange(model.spec.item_capacity))
        positive_BD = item_ID[positives_B]
        negative_BK = user_BD @ item_ID.T
        keep_BK = ~data.known.rows(users_B)
        keep_BK &= (jnp.arange(keep_BK.shape[1]) < data.num_items)[None, :]
        log_expected_K = jnp.zeros(keep_BK.shape[1])
    elif train.negatives == "in_batch":
        positive_BD = sides.items(positives_B)
        negative_BK = user_BD @ positive_BD.T
        keep_BK = ~data.known.contain(
            users_B, jnp.broadcast_to(positives_B[None, :], negative_BK.shape)
        )
        # The other rows' positives: drawn by popularity.
        log_expected_K = jnp.log(
            data.item_counts_I[positives_B]
            * ((train.batch_size - 1) / len(data.users_E))
        )
    elif train.loss == "sampled_softmax":
        positive_BD = sides.items(positives_B)
        places_K = jnp.arange(train.num_negatives, dtype=jnp.int32)
        negatives_K = draw_items(
            jax.random.fold_in(step_key, _NEGATIVES), places_K, num_items=data.num_items
        )
        negative_BK = user_BD @ sides.items(negatives_K).T
        keep_BK = ~data.known.contain(
            users_B, jnp.broadcast_to(negatives_K[None, :], negative_BK.shape)
        )
        log_expected_K = jnp.full(
            train.num_negatives, jnp.log(train.num_negatives / data.num_items)
        )
    else:
        positive_BD = sides.items(positives_B)
        places_BK = (
            rows_B[:, None] * train.num_negatives
            + jnp.arange(train.num_negatives, dtype=jnp.int32)[None, :]
        )
        negatives_BK = draw_items(
            jax.random.fold_in(step_key, _NEGATIVES),
            places_BK,
            num_items=data.num_items,
        )
        negative_BKD = sides.items(negatives_BK.reshape(-1)).reshape(
            *negatives_BK.shape, -1
        )
        negative_BK = jnp.einsum("bd,bkd->bk", user_BD, negative_BKD)
        keep_BK = ~data.known.contain(users_B, negatives_BK)
        log_expected_K = jnp.zeros(train.num_negatives)

    positive_B = jnp.sum(user_BD * positive_BD, axis=-1)
    if train.loss == "bpr":
        loss_B = losses.bpr(positive_B, negative_BK, keep_BK=keep_BK)
    else:
        loss_B = losses.sampled_softmax(
            positive_B, negative_BK, keep_BK=keep_BK, log_expected_K=log_expected_K
        )
    loss = jnp.sum(loss_B) / train.batch_size
    loss += train.l2 * _id_penalty(params, users_B, positives_B)
    if model.spec.sides == "fused":
        loss += config.fusion.anchor * model.fusion.distance_from_start()
    return loss


def _id_penalty(params: Any, users_B: jax.Array, positives_B: jax.Array) -> jax.Array:
    """Half the mean squared norm of the rows' id vectors (He et al. 2020, eq. 15)."""
    if "user_embedding" not in params:
        return jnp.zeros(())
    squares = jnp.sum(params["user_embedding"][users_B] ** 2)
    squares += jnp.sum(params["item_embedding"][positives_B] ** 2)
    return 0.5 * squares / len(users_B)


class _Sides:
    """The vectors of a batch's users and items in one step, dropout included."""

    def __init__(
        self, model: RecommenderModel, data: TrainData, key: jax.Array, dropout: float
    ) -> None:
        self.model, self.data, self.key = model, data, key
        # Only where there are two sides can one of them be missing.
        self.dropout = dropout if model.spec.sides == "fused" else 0.0
        graph = data.features.graph
        if model.spec.uses_graph:
            self.user_graph, self.item_graph = model.propagate(graph)
            self.user_known, self.item_known = graph.split_nodes(graph.connected)

    def _keep(self, stream: int, numbers_B: jax.Array) -> jax.Array:
        if not self.dropout:
            return jnp.ones(len(numbers_B), bool)
        key = jax.random.fold_in(self.key, stream)
        return keep_mask(key, numbers_B, dropout=self.dropout)

    def users(
        self, users_B: jax.Array, rows_B: jax.Array, positives_B: jax.Array
    ) -> jax.Array:
        """(B, D): each row's user, its target left out of its text."""
        graph_BD = graph_known_B = text_BT = text_known_B = None
        if self.model.spec.uses_graph:
            graph_BD = self.user_graph[users_B]
            graph_known_B = self.user_known[users_B] & self._keep(_USER_GRAPH, rows_B)
        if self.model.spec.uses_text:
            assert self.data.features.text is not None
            text_BT, text_known_B = self.data.features.text.of_users(
                users_B, left_out_B=positives_B
            )
            text_known_B &= self._keep(_USER_TEXT, rows_B)
        return self.model.merge(
            graph_BD=graph_BD,
            graph_known_B=graph_known_B,
            text_BT=text_BT,
            text_known_B=text_known_B,
        )

    def items(self, items_B: jax.Array) -> jax.Array:
        """(B, D): items, each dropped or kept alike wherever it stands in the step."""
        graph_BD = graph_known_B = text_BT = text_known_B = None
        if self.model.spec.uses_graph:
            graph_BD = self.item_graph[items_B]
            graph_known_B = self.item_known[items_B] & self._keep(_ITEM_GRAPH, items_B)
        if self.model.spec.uses_text:
            text = self.data.features.text
            assert text is not None
            text_BT = text.item_IT[items_B]
            text_known_B = text.item_known_I[items_B]
            text_known_B = text_known_B & self._keep(_ITEM_TEXT, items_B)
        return self.model.merge(
            graph_BD=graph_BD,
            graph_known_B=graph_known_B,
            text_BT=text_BT,
            text_known_B=text_known_B,
        )


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
