"""A few users' lists, to look at."""

from collections.abc import Mapping, Sequence

import numpy as np

from llmgnn_jax.data.dataset import Csr
from llmgnn_jax.evaluation.ranking import Rankings
from llmgnn_jax.evaluation.results import Example, Recommendation
from llmgnn_jax.training.lists import EXAMPLE_ITEMS, latest_titles
from llmgnn_jax.training.prepare import Prepared

_EXAMPLES = 3
_EXAMPLE_HISTORY = 6
_EXAMPLE_TARGETS = 5


def examples_of(
    names: Sequence[str],
    lists: Mapping[str, Rankings],
    prepared: Prepared,
    test: Csr,
    *,
    show_ids: bool = False,
) -> list[Example]:
    """A few users with their latest train items, told by a letter.

    Only with `show_ids` by their id too: results and reports are meant to be shared.
    None where items are people, whom their lists would name.
    """
    if prepared.train.people:
        return []
    titles = prepared.dataset.item_titles
    # A list can only show hits where there are some: five, or as many as anyone has.
    counts = test.counts()
    with_targets = np.flatnonzero(counts >= np.clip(counts.max(), 1, _EXAMPLE_TARGETS))
    chosen = np.random.default_rng(0).permutation(with_targets)[:_EXAMPLES]
    examples = []
    for number, user in enumerate(chosen.tolist()):
        targets = set(test.row(user).tolist())
        examples.append(
            Example(
                label=f"User {chr(ord('A') + number)}"
                + (f" (id {prepared.dataset.user_ids[user]})" if show_ids else ""),
                history=latest_titles(user, prepared)[:_EXAMPLE_HISTORY],
                recommendations={
                    name: [
                        Recommendation(
                            rank=rank_ + 1,
                            title=titles[item],
                            score=float(score),
                            hit=item in targets,
                        )
                        for rank_, (item, score) in enumerate(
                            zip(
                                lists[name].items[user, :EXAMPLE_ITEMS].tolist(),
                                lists[name].scores[user, :EXAMPLE_ITEMS].tolist(),
                                strict=True,
                            )
                        )
                        if item >= 0
                    ]
                    for name in names
                },
            )
        )
    return examples
