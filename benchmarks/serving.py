"""Serving: from a user's number to its 20 best items, those of its train part left out.

    python -m benchmarks.serving --json benchmarks/results/serving.json

Trained vectors and what was seen lie in memory; a run ends with item numbers and scores
on the host. One user at a time: a run is the request of the next user of a fixed random
sequence, in ms, p99 beside the median. Batches: a run is 1,024 users, in users/s.
Gowalla (40,981 items), catalogues of 2,000 and of 1,000,000 items, 50 seen items each.
Parity is that of the scores in the lists, and of the products of the items that they
name.

Ours is what `serving.Recommender` asks: `evaluation.user_lists.UserLists` for one user,
`evaluation.ranker.Ranker` for many; a row without native kernels beside it. The kernel
reads a copy of the table in bytes and then few rows of the table, exactly; peers read
the whole table in float32, as PyTorch's operators do. They differ in the layout of the
table (`mv`: rows of items; `mm`: one column each), in whether scores have a buffer that
is kept, and in how the best are found (`torch.topk`, or the best of the best blocks).
"""

from collections.abc import Callable

import numpy as np

from benchmarks import ranking
from benchmarks.harness import Case, System, main
from benchmarks.harness.system import Inputs

K = 20
BATCH = 1_024
# Variant -> options of `torch_baseline.serving.setup`.
ONE_BY_ONE = {
    "mv": {},
    "mv, one buffer": {"buffer": True},
    "mm, one buffer": {"layout": "columns", "buffer": True},
    "mv, one buffer, blocks": {"buffer": True, "top": "blocks"},
    "mm, one buffer, blocks": {"layout": "columns", "buffer": True, "top": "blocks"},
    "mv, torch.compile": {"compiled": True},
    "mm, torch.compile": {"layout": "columns", "compiled": True},
}
BATCHES = {
    "chunks of 128": {"chunk": 128},
    "chunks of 128, one buffer": {"chunk": 128, "buffer": True},
    "one chunk, one buffer": {"chunk": BATCH, "buffer": True},
    "chunks of 32, one buffer": {"chunk": 32, "buffer": True},
    "chunks of 128, one buffer, blocks": {
        "chunk": 128,
        "buffer": True,
        "top": "blocks",
    },
    "chunks of 128, torch.compile": {"chunk": 128, "compiled": True},
}


def requests(inputs: Callable[[], Inputs]) -> Callable[[], Inputs]:
    """The inputs, and the users that ask, in the order in which they do."""

    def made() -> Inputs:
        arrays = {name: array for name, array in inputs().items() if "test" not in name}
        random = np.random.default_rng(7)
        users = random.integers(len(arrays["user_vectors"]), size=8 * BATCH)
        return {**arrays, "requests": users}

    return made


def systems(batch: int) -> tuple[System, ...]:
    """Ours and the peers.

    Args:
        batch: Users of a run.
    """
    peers = ONE_BY_ONE if batch == 1 else BATCHES
    name = "UserLists" if batch == 1 else "Ranker"
    options = {"k": K, "batch": batch}
    ours = "benchmarks.ours.serving:setup"
    rows = [
        System(system="llmgnn_jax", variant=name, setup=ours, options=options),
        System(
            system="llmgnn_jax",
            variant=f"{name}, no native kernels",
            setup=ours,
            options=options,
            environment={"LLMGNN_NATIVE": "0"},
        ),
    ]
    rows += [
        System(
            system="pytorch",
            variant=variant,
            setup="benchmarks.torch_baseline.serving:setup",
            options={**options, **chosen},
        )
        for variant, chosen in peers.items()
    ]
    if batch == 1:
        rows.append(
            System(
                system="numpy",
                variant="argpartition",
                setup="benchmarks.numpy_baseline.serving:setup",
                options={"k": K},
            )
        )
    else:
        # More users than the kernel takes one by one: it has no part in this.
        del rows[1]
    return tuple(rows)


def cases(quick: bool) -> list[Case]:
    """One user of each catalogue, and batches of Gowalla's."""
    small = ranking.catalogue(2_000, num_users=8_192)
    large = ranking.catalogue(1_000_000, num_users=8_192)
    chosen = [
        ("one user, 2,000 items", small, 1),
        ("one user, gowalla", ranking.gowalla, 1),
        *([] if quick else [("one user, 1,000,000 items", large, 1)]),
        ("1,024 users, gowalla", ranking.gowalla, BATCH),
    ]
    return [
        Case(
            size=size,
            precision="float32",
            unit="ms" if batch == 1 else "users/s",
            inputs=requests(inputs),
            systems=systems(batch),
            tolerance=1e-5,
            about=ranking.about,
        )
        for size, inputs, batch in chosen
    ]


if __name__ == "__main__":
    main("serving", cases, description=__doc__ or "")
