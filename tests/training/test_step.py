"""The step: against NumPy, pinned, and the same however it is cut into calls."""

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from llmgnn_jax.graph.native import library
from llmgnn_jax.graph.placement import OneDevice
from llmgnn_jax.training import batch as streams
from llmgnn_jax.training.batch import Batch, draw_batch
from llmgnn_jax.training.draws import (
    draw_examples,
    draw_items,
    draw_of_users,
    keep_mask,
)
from llmgnn_jax.training.sides import Sides
from llmgnn_jax.training.state import TrainState
from llmgnn_jax.training.step import Program, batch_loss

# Loss and gradient norm of the first two steps, softmax over all items.
GOLDEN = ((2.206534, 0.3928831), (2.244561, 0.1131093))
COMBINATIONS = [
    ("sampled_softmax", "all"),
    ("sampled_softmax", "uniform"),
    ("sampled_softmax", "in_batch"),
    ("bpr", "uniform"),
    ("bpr", "in_batch"),
]
MORE_COMBINATIONS = [
    ("alignment_uniformity", "in_batch"),
    ("sampled_softmax", "popularity"),
    ("bpr", "hard"),
    pytest.param("bpr", "popularity", marks=pytest.mark.slow),
]


class Reference:
    """One step's loss in float64, by loops, from the step's own draws."""

    def __init__(self, small: Any, *, step: int) -> None:
        self.small, self.step, config = small, step, small.config
        self.params = jax.tree.map(lambda p: np.asarray(p, np.float64), small.params)
        example_key, noise_key = jax.random.split(jax.random.key(config.seed))
        self.step_key = jax.random.fold_in(noise_key, step)
        batch = config.train.batch_size
        self.rows = np.arange(batch)
        history = small.prepared.history
        self.history = [
            set(history.row(user).tolist()) for user in range(history.num_rows)
        ]
        if config.train.examples == "users":
            self.users, self.positives = map(
                np.asarray,
                draw_of_users(
                    jax.random.fold_in(self.step_key, streams.USERS),
                    jax.random.fold_in(self.step_key, streams.POSITIVES),
                    jnp.arange(batch),
                    active_users_A=jnp.asarray(
                        [user for user, items in enumerate(self.history) if items]
                    ),
                    known=small.data.known,
                    num_active=sum(map(bool, self.history)),
                    placement=OneDevice(backend="segment"),
                ),
            )
        else:
            examples = np.asarray(
                draw_examples(
                    example_key,
                    jnp.int32(step),
                    jnp.arange(batch),
                    num_examples=small.data.num_examples,
                    batch=batch,
                )
            )
            self.users = np.asarray(small.data.users_E)[examples]
            self.positives = np.asarray(small.data.items_E)[examples]
        self.graph = self._propagate()
        # Numbers are rows of the batch or items.
        numbers = jnp.arange(max(batch, small.spec.item_capacity))
        self.keep = {
            stream: np.asarray(
                keep_mask(
                    jax.random.fold_in(self.step_key, stream),
                    numbers,
                    dropout=config.fusion.modality_dropout,
                )
            )
            for stream in (
                streams.USER_GRAPH,
                streams.USER_TEXT,
                streams.ITEM_GRAPH,
                streams.ITEM_TEXT,
            )
        }

    def _propagate(self) -> np.ndarray:
        """LightGCN over a dense matrix; nobody is unconnected here."""
        graph = self.small.prepared.graph
        matrix = np.zeros((graph.num_nodes, graph.num_nodes))
        for user, items in enumerate(self.history):
            for item in items:
                likers = sum(item in other for other in self.history)
                weight = (len(items) * likers) ** -0.5
                node = graph.user_capacity + item
                matrix[user, node] = matrix[node, user] = weight
        start = self.params["node_embedding"]
        return (start + matrix @ start + matrix @ matrix @ start) / 3

    def fuse(self, graph: np.ndarray, text: np.ndarray) -> np.ndarray:
        fusion = self.params["fusion"]
        hidden = np.concatenate([graph, text]) @ fusion["kernel"] + fusion["bias"]
        hidden = np.where(hidden > 0, hidden, 0.2 * hidden)
        return hidden @ fusion["output_kernel"] + fusion["output_bias"]

    def user(self, row: int) -> np.ndarray:
        user, target = self.users[row], self.positives[row]
        item_texts = np.asarray(self.small.data.features.text.item_IT, np.float64)
        others = sorted(self.history[user] - {target})
        graph, text = self.params["null_graph"], self.params["null_text"]
        if self.keep[streams.USER_GRAPH][row]:
            graph = self.graph[user]
        if others and self.keep[streams.USER_TEXT][row]:
            mean = item_texts[others].mean(axis=0)
            text = mean / np.linalg.norm(mean) @ self.params["text_projection"]
        return self.fuse(graph, text)

    def item(self, item: int) -> np.ndarray:
        graph, text = self.params["null_graph"], self.params["null_text"]
        if self.keep[streams.ITEM_GRAPH][item]:
            graph = self.graph[self.small.spec.user_capacity + item]
        if self.keep[streams.ITEM_TEXT][item]:
            stored = np.asarray(self.small.data.features.text.item_IT[item], np.float64)
            text = stored @ self.params["text_projection"]
        return self.fuse(graph, text)

    def negatives(self, row: int) -> list[tuple[int, float]]:
        """The negatives of a row that are not known, and how often each is expected."""
        train, num_items = self.small.config.train, self.small.prepared.train.num_items
        if train.negatives == "all":
            drawn = [(item, 1.0) for item in range(num_items)]
        elif train.negatives == "in_batch":
            others = train.batch_size - 1
            drawn = [(item, others * self.share(item)) for item in self.positives]
        else:
            shares = [1 / num_items] * num_items
            if train.negatives == "popularity":
                counts = [
                    sum(i in had for had in self.history) for i in range(num_items)
                ]
                weights = [count**train.popularity_power for count in counts]
                shares = [weight / sum(weights) for weight in weights]
            drawn = [
                (item, train.num_negatives * shares[item]) for item in self.drawn(row)
            ]
        known = self.history[self.users[row]]
        return [(item, expected) for item, expected in drawn if item not in known]

    def share(self, item: int) -> float:
        """How likely an item is the positive of a row."""
        sizes = [len(items) for items in self.history if item in items]
        if self.small.config.train.examples == "users":
            active = sum(bool(items) for items in self.history)
            return sum(1 / size for size in sizes) / active
        return len(sizes) / sum(map(len, self.history))

    def drawn(self, row: int) -> list[int]:
        """The draws of a row."""
        train, num_items = self.small.config.train, self.small.prepared.train.num_items
        first = row * train.num_negatives if train.loss == "bpr" else 0
        places = jnp.arange(first, first + train.num_negatives)
        key = jax.random.fold_in(self.step_key, streams.NEGATIVES)
        if train.negatives == "popularity":
            table = self.small.data.popularity
            drawn = table.draw(key, places, take=lambda rows, numbers: rows[numbers])
            return np.asarray(drawn).tolist()
        return np.asarray(draw_items(key, places, num_items=num_items)).tolist()

    def loss(self) -> float:
        config = self.small.config
        items = [self.item(i) for i in range(self.small.prepared.train.num_items)]
        batch, total = config.train.batch_size, 0.0
        penalty = config.train.l2 * 0.5 * self.squares(items) / batch
        if config.train.loss == "alignment_uniformity":
            return self.alignment_uniformity(items) / batch + penalty
        for row in self.rows:
            user = self.user(row)
            positive = user @ items[self.positives[row]]
            negatives = self.negatives(row)
            if config.train.negatives == "hard":
                negatives = self.hardest(negatives, user, items)
            if config.train.loss == "bpr":
                pairs = [
                    np.log1p(np.exp(user @ items[i] - positive)) for i, _ in negatives
                ]
                total += sum(pairs) / max(len(pairs), 1)
            else:
                rest = sum(np.exp(user @ items[i]) / n for i, n in negatives)
                total += np.log(np.exp(positive) + rest) - positive
        return total / batch + penalty

    def alignment_uniformity(self, items: list[np.ndarray]) -> float:
        """Over the rows: squared distances, and how near rows are to one another."""
        users = np.stack([self.user(row) for row in self.rows])
        positives = np.stack([items[item] for item in self.positives])
        total, spread = 0.0, 0.0
        users, positives = (
            # Whose sides are both dropped has no direction.
            side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-12)
            for side in (users, positives)
        )
        for user, positive in zip(users, positives, strict=True):
            total += ((user - positive) ** 2).sum()
        for side in (users, positives):
            near = [
                np.exp(-2 * ((side[one] - side[other]) ** 2).sum())
                for one in self.rows
                for other in range(one)
            ]
            spread += np.log(np.mean(near)) / 2
        return total + len(users) * self.small.config.train.uniformity * spread

    def hardest(
        self,
        negatives: list[tuple[int, float]],
        user: np.ndarray,
        items: list[np.ndarray],
    ) -> list[tuple[int, float]]:
        """The one that the model scores highest, if there is any."""
        return sorted(negatives, key=lambda pair: user @ items[pair[0]])[-1:]

    def squares(self, items: list[np.ndarray]) -> float:
        """Of the id vectors of each row, its own negatives among them."""
        train, first_item = self.small.config.train, self.small.spec.user_capacity
        nodes = [*self.users, *(first_item + item for item in self.positives)]
        if train.negatives == "hard":
            for row in self.rows:
                kept = self.hardest(self.negatives(row), self.user(row), items)
                nodes += [first_item + item for item, _ in kept]
        elif train.loss == "bpr" and train.negatives != "in_batch":
            nodes += [
                first_item + item for row in self.rows for item in self.drawn(row)
            ]
        return sum((self.params["node_embedding"][node] ** 2).sum() for node in nodes)


def leaves(state: TrainState) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(state)]


def assert_same(left: TrainState, right: TrainState) -> None:
    for one, other in zip(leaves(left), leaves(right), strict=True):
        np.testing.assert_array_equal(one, other)


@functools.cache
def ready(small: Callable[..., Any], loss: str, negatives: str) -> tuple[Any, Program]:
    """A fused model and its program, compiled at most once for all tests."""
    made = small(**{"train.loss": loss, "train.negatives": negatives})
    return made, made.program()


@pytest.mark.parametrize(("loss", "negatives"), [*COMBINATIONS, *MORE_COMBINATIONS])
def test_each_combination(small: Callable[..., Any], loss: str, negatives: str) -> None:
    made, program = ready(small, loss, negatives)
    state, metrics = program(made.state(), made.data, jnp.int32(1))
    # The first step's loss is that of a slow computation. The fusion is where it
    # starts, so its penalty is 0.
    assert float(metrics.loss[0]) == pytest.approx(
        Reference(made, step=0).loss(), rel=1e-5
    )
    assert metrics.loss.shape == metrics.gradient_norm.shape == (4,)
    assert not metrics.loss[1:].any()  # one step was asked for
    losses = [float(metrics.loss[0])]
    for count in (3, 2, *[4] * 20):
        state, metrics = program(state, made.data, jnp.int32(count))
        losses += metrics.loss[:count].tolist()
        assert not metrics.loss[count:].any()
    assert len(losses) == int(state.step) == 86
    # The clusters are found.
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10])
    # Nobody is in the spare slots, and nothing was learned of them.
    graph = made.prepared.graph
    users, items = graph.split_nodes(state.params["node_embedding"])
    assert users[:18].all()
    assert items[:15].all()
    assert not users[18:].any()
    assert not items[15:].any()
    assert not state.params["node_embedding"][-1].any()
    # Whatever the count, there was one compilation.
    assert program._cache_size() == 1  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "negatives"), COMBINATIONS[1:])
def test_rows_drawn_by_user(
    small: Callable[..., Any], loss: str, negatives: str
) -> None:
    made = small(
        **{
            "train.loss": loss,
            "train.negatives": negatives,
            "train.examples": "users",
        }
    )
    program = made.program()
    state, metrics = program(made.state(), made.data, jnp.int32(1))
    assert float(metrics.loss[0]) == pytest.approx(
        Reference(made, step=0).loss(), rel=1e-5
    )
    state, metrics = program(state, made.data, jnp.int32(3))
    for count in [4] * 20:
        state, metrics = program(state, made.data, jnp.int32(count))
    assert np.isfinite(metrics.loss).all()
    assert int(state.step) == 84
    assert program._cache_size() == 1  # type: ignore[attr-defined]


BACKENDS = ("segment", "csr", "bucketed", "native")


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("negatives", ["all", "uniform"])
def test_each_backend_takes_the_same_steps(
    small: Callable[..., Any], backend: str, negatives: str
) -> None:
    if backend == "native" and (reason := library.unavailable_because()):
        pytest.skip(f"native kernels: {reason}")
    made = small("graph", **{"train.negatives": negatives, "graph.backend": backend})
    assert made.spec.backend == backend
    program = made.program()
    state, metrics = program(made.state(), made.data, jnp.int32(1))
    state, more = program(state, made.data, jnp.int32(3))
    assert program._cache_size() == 1  # type: ignore[attr-defined]
    got = [*metrics.loss[:1].tolist(), *more.loss[:3].tolist()]
    expected = _losses(small, negatives)
    assert got == pytest.approx(expected, rel=1e-5)
    # To the last bit when it is run again, and cut another way.
    again, _ = program(made.state(), made.data, jnp.int32(4))
    assert_same(again, state)


@functools.cache
def _losses(small: Callable[..., Any], negatives: str) -> list[float]:
    """Of four steps over the sorted segment sum, not compiled into one program."""
    made = small("graph", **{"train.negatives": negatives, "graph.backend": "segment"})
    state, found = made.state(), []
    value_and_gradient = jax.jit(jax.value_and_grad(loss_of(made)))
    for step in range(4):
        loss, gradient = value_and_gradient(state.params, made.data, jnp.int32(step))
        found.append(float(loss))
        updates, opt_state = made.optimizer.update(
            gradient, state.opt_state, state.params
        )
        state = replace(
            state,
            params=optax.apply_updates(state.params, updates),
            opt_state=opt_state,
        )
    return found


@pytest.mark.parametrize("examples", ["interactions", "users"])
def test_how_often_an_item_is_a_positive(
    small: Callable[..., Any], examples: str
) -> None:
    # 6,400 rows of draws against what the correction of in-batch negatives goes by.
    made = small("graph", **{"train.examples": examples})
    train = replace(made.config.train, negatives="in_batch", batch_size=64)
    draw = jax.jit(
        lambda step: (
            draw_batch(
                made.data, key=jax.random.key(0), step=step, train=train
            ).positives_B
        )
    )
    drawn = np.concatenate([np.asarray(draw(step)) for step in range(100)])
    counts = np.asarray(made.data.item_counts_I, np.float64)
    pairs = made.data.num_examples
    assert counts.sum() == pytest.approx(pairs, rel=1e-6)
    expected = counts / pairs * len(drawn)
    found = np.bincount(drawn, minlength=len(counts))
    assert not found[expected == 0].any()
    assert np.abs(found - expected).max() < 5 * np.sqrt(expected.max())
    reference = Reference(made, step=0)
    shares = [reference.share(item) for item in range(15)]
    np.testing.assert_allclose(counts[:15] / pairs, shares, rtol=1e-6)


def test_golden_steps_and_donation(small: Callable[..., Any]) -> None:
    made, program = ready(small, "sampled_softmax", "all")
    state = made.state()
    after, metrics = program(state, made.data, jnp.int32(2))
    for number, (loss, norm) in enumerate(GOLDEN):
        assert float(metrics.loss[number]) == pytest.approx(loss, rel=1e-4)
        assert float(metrics.gradient_norm[number]) == pytest.approx(norm, rel=1e-4)
    assert int(after.step) == 2
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))
    for kept in (after, made.data, made.params):
        assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(kept))


def test_cut_into_calls_in_any_way(small: Callable[..., Any]) -> None:
    made, program = ready(small, "sampled_softmax", "all")
    at_once, whole = program(made.state(), made.data, jnp.int32(4))
    halves, first = program(made.state(), made.data, jnp.int32(2))
    halves, second = program(halves, made.data, jnp.int32(2))
    assert_same(at_once, halves)
    assert whole.loss.tolist() == [*first.loss[:2].tolist(), *second.loss[:2].tolist()]
    again, _ = program(made.state(), made.data, jnp.int32(4))
    assert_same(at_once, again)
    assert program._cache_size() == 1  # type: ignore[attr-defined]

    # And so with a program that runs two steps a call.
    pairs = small(**{"train.steps_per_call": 2})
    program = pairs.program()
    halves, _ = program(pairs.state(), pairs.data, jnp.int32(2))
    halves, _ = program(halves, pairs.data, jnp.int32(2))
    assert_same(at_once, halves)


def loss_of(made: Any) -> Callable[..., jax.Array]:
    """(params, data, step) -> loss, compiled."""

    def loss(params: Any, data: Any, step: jax.Array) -> jax.Array:
        return batch_loss(
            params,
            made.definition,
            data,
            key=jax.random.key(made.config.seed),
            step=step,
            config=made.config,
        )[0]

    return loss


def test_dropout_differs_between_steps_and_repeats(small: Callable[..., Any]) -> None:
    # A batch is the whole train part: without dropout every step is the same.
    whole = {"train.batch_size": len(small().data.users_E)}
    losses = {}
    for dropout in (0.0, 0.5):
        made = small(**whole, **{"fusion.modality_dropout": dropout})
        loss = jax.jit(loss_of(made))
        losses[dropout] = [
            float(loss(made.params, made.data, jnp.int32(step))) for step in (0, 1, 0)
        ]
    first, second, again = losses[0.0]
    assert first == again
    assert first == pytest.approx(second, rel=1e-5)
    first, second, again = losses[0.5]
    assert first == again
    assert first != pytest.approx(second, rel=1e-4)


def test_spare_room_changes_nothing(small: Callable[..., Any]) -> None:
    losses = []
    for room in ((0, 0, 0), (4, 9, 50)):
        names = ("graph.spare_users", "graph.spare_items", "graph.spare_edges")
        made = small(**dict(zip(names, room, strict=True)))
        losses.append(float(jax.jit(loss_of(made))(made.params, made.data, 3)))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_the_targets_text_does_not_reach_its_user(small: Callable[..., Any]) -> None:
    # Each item's text is a dimension of its own, and nothing mixes them.
    made = small("text", item_vectors=np.eye(15), **{"graph.embedding_dim": 15})
    params = made.params | {"text_projection": jnp.eye(15)}
    model = nnx.merge(made.definition, params)
    users, targets = np.asarray(made.data.users_E), np.asarray(made.data.items_E)
    rows = jnp.arange(len(users))
    batch = Batch(jax.random.key(0), rows, made.data.users_E, made.data.items_E, None)
    sides = Sides(model, made.data, batch, dropout=0.0, whole=False)
    vectors = np.asarray(sides.vectors()[0])
    for user, target, vector in zip(users, targets, vectors, strict=True):
        others = set(made.prepared.history.row(user).tolist()) - {target}
        assert set(np.flatnonzero(np.abs(vector) > 1e-6).tolist()) == others


@pytest.mark.parametrize(("sides", "share"), [("graph", 0.8), ("text", 0.96)])
def test_one_side_alone_learns(
    small: Callable[..., Any], sides: str, share: float
) -> None:
    made = small(sides, **{"graph.layer": "gcn"})
    program, state = made.program(), made.state()
    losses = []
    for _ in range(20):
        state, metrics = program(state, made.data, jnp.int32(4))
        losses += metrics.loss.tolist()
    assert np.mean(losses[-10:]) < share * np.mean(losses[:10])
    assert (made.data.features.text is None) == (sides == "graph")


@pytest.mark.slow
@pytest.mark.parametrize("negatives", ["all", "uniform"])
def test_a_batch_in_parts_is_the_same_batch(
    small: Callable[..., Any], negatives: str
) -> None:
    """The same draws, and so the same losses and parameters up to rounding."""
    found = []
    for parts in (1, 4):
        changes = {"train.negatives": negatives, "train.accumulate": parts}
        made = small("fused", **changes)
        state, metrics = made.program()(made.state(), made.data, jnp.int32(4))
        found.append((state.params, metrics))
    for one, other in zip(*map(jax.tree.leaves, found), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("kind", ["concat", "sum", "gate", "attention"])
def test_every_fusion_learns(small: Callable[..., Any], kind: str) -> None:
    made = small("fused", **{"fusion.kind": kind, "fusion.anchor": 0.01})
    program, state = made.program(), made.state()
    before = jax.tree.map(np.array, state.params)
    losses = []
    for _ in range(20):
        state, metrics = program(state, made.data, jnp.int32(4))
        losses += metrics.loss.tolist()
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10])
    for path, old in jax.tree_util.tree_leaves_with_path(before):
        new = functools.reduce(lambda tree, key: tree[key.key], path, state.params)
        assert (np.asarray(new) != old).any(), jax.tree_util.keystr(path)
