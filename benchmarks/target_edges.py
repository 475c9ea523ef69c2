"""Does the edge of the rating that is predicted hurt, while it is in the graph?

    python -m benchmarks.target_edges

While a rating is trained on, its user and its item are neighbours; on test they are
not. A stand-in for the model `graph` of the recipe `ml-100k-rating`, on dense matrices,
so that a step can take the edges of its batch out: LightGCN of one layer with biases,
by squared errors, on MovieLens-100K, seed 0. Printed is the best rmse on the validation
part, for edges that are all alike and for edges weighed by what the biases leave of
their ratings, which tell a target's value unless they are taken out.

Shapes: U users, I items, E train ratings, B rows, D width.
"""

import argparse
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from llmgnn_jax.data import catalog
from llmgnn_jax.data.splits import Split, split_by_rule
from llmgnn_jax.evaluation.baselines.rated import Rated, user_item_bias

_BATCH, _WIDTH, _EVERY, _PATIENCE = 2048, 64, 100, 8
_LEARNING_RATE, _HALF_LIFE, _BIAS_L2 = 5e-3, 1000, 3e-3


class Edges(NamedTuple):
    """(U, I) of each train pair: LightGCN's weight, and times its centred rating."""

    alike_UI: jax.Array
    centred_UI: jax.Array


def edges_of(split: Split) -> tuple[Edges, float]:
    """The train part as dense matrices, and its mean."""
    train = split.training()
    rated = Rated(
        users=train.users,
        items=train.items,
        values=train.values.astype(np.float64),
        num_users=train.num_users,
        num_items=train.num_items,
    )
    biases = user_item_bias(rated, l2_users=5.0, l2_items=2.0)
    pairs = train.csr()
    users, items = pairs.pairs()
    counts_I = np.bincount(items, minlength=train.num_items)
    weights = (pairs.counts()[users] * counts_I[items]) ** -0.5
    alike = np.zeros((train.num_users, train.num_items), np.float32)
    alike[users, items] = weights
    left = rated.matrix(rated.values - biases(rated.users, rated.items)).toarray()
    centred = (alike * left).astype(np.float32)
    return Edges(jnp.asarray(alike), jnp.asarray(centred)), rated.mean


def best_on_valid(
    split: Split, *, centred: bool, left_out: bool, l2: float, steps: int
) -> float:
    """Trains until it stops getting better.

    Args:
        split: MovieLens-100K's.
        centred: Whether edges are weighed by centred ratings.
        left_out: Whether a step takes the edges of its batch out.
        l2: Half of `train.l2`: the loss is half the squared error.
        steps: Most of them.
    """
    data, train = split.dataset, split.training()
    edges, mean = edges_of(split)
    weights_UI = edges.centred_UI if centred else edges.alike_UI
    keys = jax.random.split(jax.random.key(0), 2)
    params: dict[str, Any] = {
        "users": 0.05 * jax.random.normal(keys[0], (data.num_users, _WIDTH)),
        "items": 0.05 * jax.random.normal(keys[1], (data.num_items, _WIDTH)),
        "user_bias": jnp.zeros(data.num_users),
        "item_bias": jnp.zeros(data.num_items),
    }
    users_E, items_E, values_E = map(
        jnp.asarray, (train.users, train.items, train.values)
    )

    def predicted(
        params: Any, weights_UI: jax.Array, users_B: jax.Array, items_B: jax.Array
    ) -> jax.Array:
        user_UD = (params["users"] + weights_UI @ params["items"]) / 2
        item_ID = (params["items"] + weights_UI.T @ params["users"]) / 2
        biases_B = params["user_bias"][users_B] + params["item_bias"][items_B]
        return mean + biases_B + jnp.sum(user_UD[users_B] * item_ID[items_B], axis=-1)

    def loss(params: Any, rows_B: jax.Array) -> jax.Array:
        users_B, items_B = users_E[rows_B], items_E[rows_B]
        heard_UI = weights_UI
        if left_out:
            heard_UI = weights_UI.at[users_B, items_B].set(0.0)
        errors_B = predicted(params, heard_UI, users_B, items_B) - values_E[rows_B]
        ids = jnp.sum(params["users"][users_B] ** 2 + params["items"][items_B] ** 2)
        biases = jnp.sum(
            params["user_bias"][users_B] ** 2 + params["item_bias"][items_B] ** 2
        )
        penalty = 0.5 * (l2 * ids + _BIAS_L2 * biases) / _BATCH
        return 0.5 * jnp.mean(errors_B**2) + penalty

    optimizer = optax.adam(optax.exponential_decay(_LEARNING_RATE, _HALF_LIFE, 0.5))

    @jax.jit
    def many(params: Any, state: Any, key: jax.Array) -> tuple[Any, Any]:
        def one(carry: tuple[Any, Any], key: jax.Array) -> tuple[tuple[Any, Any], None]:
            params, state = carry
            rows_B = jax.random.randint(key, (_BATCH,), 0, len(values_E))
            updates, state = optimizer.update(jax.grad(loss)(params, rows_B), state)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(one, (params, state), jax.random.split(key, _EVERY))[0]

    rows = split.valid
    asked = jnp.asarray(data.users[rows]), jnp.asarray(data.items[rows])
    judged = jax.jit(lambda params: predicted(params, weights_UI, *asked))
    low, high = train.values.min(), train.values.max()
    state, best, worse = optimizer.init(params), np.inf, 0
    for call in range(steps // _EVERY):
        key = jax.random.fold_in(jax.random.key(1), call)
        params, state = many(params, state, key)
        errors = np.clip(np.asarray(judged(params)), low, high) - data.values[rows]
        error = float(np.sqrt(np.mean(errors**2)))
        best, worse = (error, 0) if error < best else (best, worse + 1)
        if worse == _PATIENCE:
            break
    return best


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.target_edges",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--l2", type=float, default=0.02, help="half of train.l2")
    parser.add_argument("--steps", type=int, default=1500)
    options = parser.parse_args()
    split = split_by_rule(catalog.load("ml-100k"), rule="random", seed=0)
    for centred in (False, True):
        for left_out in (False, True):
            start = time.perf_counter()
            error = best_on_valid(
                split,
                centred=centred,
                left_out=left_out,
                l2=options.l2,
                steps=options.steps,
            )
            print(
                f"edges {'centred' if centred else 'alike':8} targets "
                f"{'left out' if left_out else 'in':9} valid rmse {error:.4f}, "
                f"{time.perf_counter() - start:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
