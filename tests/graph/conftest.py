"""Small graphs, and slow references to compare with."""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
import jraph
import numpy as np
import pytest

from llmgnn_jax.data.splits import TrainSplit
from llmgnn_jax.graph.aggregate import BACKENDS, Backend
from llmgnn_jax.graph.native import library
from llmgnn_jax.graph.plan import EdgePlan, plan_edges
from llmgnn_jax.graph.structure import InteractionGraph

# 5 users, 6 items; user 3 and item 4 are alone, (0, 1) is repeated.
USERS = (0, 0, 0, 1, 1, 2, 4, 4, 4, 4)
ITEMS = (1, 0, 1, 0, 5, 2, 0, 1, 2, 3)


def _train_split(
    users: Sequence[int], items: Sequence[int], num_users: int, num_items: int
) -> TrainSplit:
    return TrainSplit(
        num_users=num_users,
        num_items=num_items,
        users=np.asarray(users, np.int32),
        items=np.asarray(items, np.int32),
        values=np.ones(len(users), np.float32),
        timestamps=np.zeros(len(users), np.int64),
        item_texts=("",) * num_items,
        user_texts=None,
    )


@pytest.fixture
def train_split() -> Callable[..., TrainSplit]:
    """(users, items, num_users, num_items) -> the train part."""
    return _train_split


@pytest.fixture
def small() -> TrainSplit:
    return _train_split(USERS, ITEMS, 5, 6)


def _dense(graph: InteractionGraph) -> np.ndarray:
    matrix = np.zeros((graph.num_nodes, graph.num_nodes))
    for sender, receiver, weight in zip(
        np.asarray(graph.graph.senders).tolist(),
        np.asarray(graph.graph.receivers).tolist(),
        np.asarray(graph.graph.edges["weight"]).tolist(),
        strict=True,
    ):
        matrix[receiver, sender] += weight
    return matrix


@pytest.fixture
def dense_of() -> Callable[[InteractionGraph], np.ndarray]:
    """A graph's weights as a dense float64 matrix [receiver, sender]."""
    return _dense


def _normalised(
    train: TrainSplit, *, user_capacity: int, item_capacity: int, self_loops: bool
) -> tuple[np.ndarray, np.ndarray]:
    num_nodes = user_capacity + item_capacity + 1
    adjacency = np.zeros((num_nodes, num_nodes))
    for user, item in zip(train.users.tolist(), train.items.tolist(), strict=True):
        adjacency[user, user_capacity + item] = 1
        adjacency[user_capacity + item, user] = 1
    if self_loops:
        for user in range(train.num_users):
            adjacency[user, user] = 1
        for item in range(train.num_items):
            adjacency[user_capacity + item, user_capacity + item] = 1
    degrees = adjacency.sum(axis=1)
    scale = np.where(degrees > 0, np.maximum(degrees, 1) ** -0.5, 0.0)
    return scale[:, None] * adjacency * scale[None, :], degrees


@pytest.fixture
def normalised() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """D^-1/2 A D^-1/2 of a train part and its degrees, dense in float64."""
    return _normalised


def _digraph(
    senders: Sequence[int],
    receivers: Sequence[int],
    weights: Sequence[float],
    *,
    num_nodes: int,
    padding: int = 1,
) -> tuple[jraph.GraphsTuple, EdgePlan]:
    edges = sorted(zip(receivers, senders, weights, strict=True))
    edges += [(num_nodes - 1, num_nodes - 1, 0.0)] * padding
    receivers, senders, weights = (
        np.asarray([*part]) for part in zip(*edges, strict=True)
    )
    plan = plan_edges(
        senders.astype(np.int64),
        receivers.astype(np.int64),
        num_nodes,
        weights=weights,
        num_edges=len(edges) - padding,
        buckets=True,
    )
    graph = jraph.GraphsTuple(
        nodes=None,
        edges={"weight": jnp.asarray(weights, jnp.float32)},
        senders=jnp.asarray(senders, jnp.int32),
        receivers=jnp.asarray(receivers, jnp.int32),
        globals=None,
        n_node=jnp.asarray([num_nodes - 1, 1], jnp.int32),
        n_edge=jnp.asarray([len(edges) - padding, padding], jnp.int32),
    )
    return graph, plan


@pytest.fixture
def digraph() -> Callable[..., tuple[jraph.GraphsTuple, EdgePlan]]:
    """Any directed graph with its plan; the last node is the padding node."""
    return _digraph


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each kernel that can be had here."""
    if request.param == "native" and (reason := library.unavailable_because()):
        pytest.skip(f"native kernels: {reason}")
    return request.param


@pytest.fixture
def native() -> None:
    """Skips where the C++ kernels cannot be had."""
    if reason := library.unavailable_because():
        pytest.skip(f"native kernels: {reason}")
