"""A few users' lists, to look at."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from llmgnn_jax.data.dataset import Csr
from llmgnn_jax.evaluation.ranking import Rankings
from llmgnn_jax.evaluation.results import Example, Explanation, Recommendation
from llmgnn_jax.training.lists import EXAMPLE_ITEMS, latest_items
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
    explain: Callable[[int, int], Explanation],
    show_ids: bool = False,
) -> list[Example]:
    """A few users with their latest train items, told by a letter.

    Only with `show_ids` by their id too: results and reports are meant to be shared.
    None where items are people, whom their lists would name. Of the first user's list,
    as the last of the models has it, the first item is explained, by `explain` from
    their slots.
    """
    if prepared.train.people:
        return []
    dataset = prepared.dataset
    # A table knows items by their ids alone.
    titles = [
        title or id_
        for title, id_ in zip(dataset.item_titles, dataset.item_ids, strict=True)
    ]
    # A list can only show hits where there are some: five, or as many as anyone has.
    counts = test.counts()
    with_targets = np.flatnonzero(counts >= np.clip(counts.max(), 1, _EXAMPLE_TARGETS))
    chosen = np.random.default_rng(0).permutation(with_targets)[:_EXAMPLES]
    examples = []
    for number, user in enumerate(chosen.tolist()):
        targets = set(test.row(user).tolist())
        latest = latest_items(user, prepared)
        first = int(lists[names[-1]].items[user, 0])
        explanation = explain(user, first) if not number and first >= 0 else None
        examples.append(
            Example(
                label=f"User {chr(ord('A') + number)}"
                + (f" (id {dataset.user_ids[user]})" if show_ids else ""),
                history=[titles[item] for item in latest[:_EXAMPLE_HISTORY]],
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
                explanation=explanation,
            )
        )
    return examples
