"""One training step of a node classifier: all nodes at once.

Shapes: N nodes, T nodes of the train part, C classes.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from llmgnn_jax.config import Config
from llmgnn_jax.models.node_tasks import NodeClassifier
from llmgnn_jax.training.node_data import NodeTrainData
from llmgnn_jax.training.program import Program, compile_steps


def node_loss(
    params: Any,
    definition: nnx.GraphDef[NodeClassifier],
    data: NodeTrainData,
    *,
    key: jax.Array,
    step: jax.Array,
    config: Config,
) -> jax.Array:
    """Cross-entropy over the train part and the penalty of step `step`, a () float32.

    Kipf and Welling 2017, eq. 10, as a mean. What is dropped follows from key and step.
    A fusion is pulled to where it starts, as in ranking.
    """
    model = nnx.merge(definition, params)
    logits_NC = model(data.graph, dropout_key=jax.random.fold_in(key, step))
    losses_T = optax.softmax_cross_entropy_with_integer_labels(
        logits_NC[data.nodes_T], data.labels_T
    )
    loss = jnp.sum(losses_T) / len(losses_T)
    loss += config.train.l2 * model.penalty()
    if model.spec.sides == "fused":
        loss += config.fusion.anchor * model.fusion.distance_from_start()
    return loss


def build_node_program(
    definition: nnx.GraphDef[NodeClassifier],
    optimizer: optax.GradientTransformation,
    config: Config,
) -> Program:
    """The program of a node classifier, see `compile_steps`."""

    def loss(
        params: Any, data: NodeTrainData, *, key: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        loss = node_loss(params, definition, data, key=key, step=step, config=config)
        return loss, jnp.zeros((), jnp.int32)  # All nodes are at hand.

    return compile_steps(loss, optimizer, capacity=config.train.steps_per_call)
