"""Full-catalogue ranking: each user's 20 best items, those of its train part left out.

    python -m benchmarks.ranking --json benchmarks/results/ranking.json

From vectors of users and items to lists on the host: products, masks, the best 20.
Gowalla: all 29,858 users against all 40,981 items, 810,128 pairs masked. Catalogues:
8,192 users, 50 seen items each, 10,000 to 1,000,000 items. Parity is that of the scores
in the lists, and of recall and ndcg at 20 to 1e-6 where there is a test part.

Ours is `evaluation.ranker.rank_factors`: where native kernels can be had, bytes with
bounds say which items may be among the best, and only those are scored in float32; the
lists are exact. "no native kernels" is the program that other devices run. The peers
differ in how they mask (`lists`: Python lists of rows and columns, as in LightGCN's
published code; `slices`: NumPy slices of the same sorted pairs that ours reads), in the
users of a chunk, and in how the best are found (`torch.topk`, or the best of the best
blocks, as our program does). Vectors of Gowalla are noise that was propagated three
times, of about one length: the bounds say less of them than of vectors of a trained
model, whose lengths differ.
"""

import functools
from collections.abc import Callable

import numpy as np
import scipy.sparse

from benchmarks import graphs
from benchmarks.harness import Case, System, main
from benchmarks.harness.allocator import KEEPS_MEMORY
from benchmarks.harness.system import Inputs
from benchmarks.work import of_ranking
from llmgnn_jax.data import catalog
from llmgnn_jax.data.splits import split_published

WIDTH = 64
K = 20
# Variant -> options of `torch_baseline.ranking.setup`.
PEERS = {
    "as LightGCN's code: lists, sigmoid, 100 a chunk": {
        "mask": "lists",
        "sigmoid": True,
        "chunk": 100,
    },
    "slices, 128 a chunk": {"chunk": 128},
    "slices, 512 a chunk": {"chunk": 512},
    "slices, 2048 a chunk": {"chunk": 2048},
    "slices, 128 a chunk, torch.compile": {"chunk": 128, "compiled": True},
    "slices, 128 a chunk, one buffer": {"chunk": 128, "buffer": True},
    "slices, 128 a chunk, one buffer, blocks": {
        "chunk": 128,
        "buffer": True,
        "top": "blocks",
    },
}


def gowalla() -> Inputs:
    """Noise that was propagated three times, who saw what, and the test part."""
    pairs = graphs.gowalla()
    edges = pairs.edges()
    matrix = scipy.sparse.csr_array(
        (edges.weights, edges.senders, edges.indptr), shape=(edges.num_nodes,) * 2
    )
    layers = [graphs.feature_table(edges.num_nodes, WIDTH, seed=1)]
    for _ in range(3):
        layers.append(matrix @ layers[-1])
    vectors = np.mean(layers, axis=0, dtype=np.float32)
    dataset = catalog.load("gowalla")
    test = split_published(dataset, seed=0, valid_share=0.0).test
    return {
        "user_vectors": vectors[: pairs.num_users],
        "item_vectors": vectors[pairs.num_users :],
        **_seen(pairs.users, pairs.items, pairs.num_users),
        "test_users": dataset.users[test],
        "test_items": dataset.items[test],
    }


def catalogue(
    num_items: int, *, num_users: int, seen: int = 50
) -> Callable[[], Inputs]:
    """Random vectors, and `seen` different random items of each user."""

    def made() -> Inputs:
        random = np.random.default_rng(0)
        # One of each stretch: different ones without a draw of all items.
        stretch = num_items // seen
        items = random.integers(stretch, size=(num_users, seen))
        items += stretch * np.arange(seen)
        users = np.repeat(np.arange(num_users), seen)
        return {
            "user_vectors": graphs.feature_table(num_users, WIDTH, seed=1),
            "item_vectors": graphs.feature_table(num_items, WIDTH, seed=2),
            **_seen(users, items.reshape(-1), num_users),
        }

    return made


def _seen(users: np.ndarray, items: np.ndarray, num_users: int) -> Inputs:
    """Pairs that are sorted by user, as a compressed matrix."""
    counts = np.bincount(users, minlength=num_users)
    return {
        "seen_indptr": np.concatenate([[0], np.cumsum(counts)]),
        "seen_items": items.astype(np.int32),
    }


def about(inputs: Inputs) -> str:
    """How much is ranked."""
    users, items = len(inputs["user_vectors"]), len(inputs["item_vectors"])
    return f"{users:,} users, {items:,} items, {len(inputs['seen_items']):,} pairs seen"


def systems(peers: tuple[str, ...] = tuple(PEERS)) -> tuple[System, ...]:
    """Ours and the peers, with the default allocator and with one that keeps memory."""
    rows = [_ours("rank_factors"), _ours("rank_factors, no native kernels", "0")]
    for suffix, environment in (("", {}), (", tuned malloc", KEEPS_MEMORY)):
        rows += [
            System(
                system="pytorch",
                variant=name + suffix,
                setup="benchmarks.torch_baseline.ranking:setup",
                options={"k": K, **PEERS[name]},
                environment=environment,
            )
            for name in peers
            # A kept buffer, and small chunks of lists, leave malloc nothing to keep.
            if not (suffix and (PEERS[name].keys() & {"buffer", "mask"}))
        ]
    return tuple(rows)


def _ours(variant: str, native: str = "1") -> System:
    return System(
        system="llmgnn_jax",
        variant=variant,
        setup="benchmarks.ours.ranking:setup",
        options={"k": K},
        environment={"LLMGNN_NATIVE": native},
    )


# Where a row takes long: the reference and those that came near ours on Gowalla.
_FEW = tuple(name for name in PEERS if "128" in name and "compile" not in name)


def cases(quick: bool) -> list[Case]:
    """Gowalla, and catalogues of growing size."""
    sizes = (10_000,) if quick else (10_000, 100_000, 1_000_000)
    num_users = 512 if quick else 8_192
    ranked = [("gowalla", gowalla, systems())]
    ranked += [
        (
            f"{num_items:,} items",
            catalogue(num_items, num_users=num_users),
            systems(_FEW),
        )
        for num_items in sizes
    ]
    return [
        Case(
            size=size,
            precision="float32",
            unit="users/s",
            inputs=inputs,
            systems=rows,
            tolerance=1e-5,
            about=about,
            work=functools.partial(of_ranking, k=K),
        )
        for size, inputs, rows in ranked
    ]


if __name__ == "__main__":
    main("ranking", cases, description=__doc__ or "")
