"""Datasets of every kind of content, drawn by Hypothesis."""

import numpy as np
from hypothesis import strategies as st

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.relations import Relation

words = st.text(max_size=6)
# Names that mean something to the formats are names of features like any other.
names = st.sampled_from(
    ("genre", "age", "id", "kind", "title", "text", "bipartite", "numeric:x", "weight")
)
floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
positive = st.floats(0.001953125, 1000, width=32)


def _ids(draw, least=1):
    ids = st.text(min_size=1, max_size=3)
    return tuple(draw(st.lists(ids, min_size=least, max_size=4, unique=True)))


def _each(draw, elements, size):
    return draw(st.lists(elements, min_size=size, max_size=size))


def _features(draw, size):
    categories = st.lists(words, max_size=2).map(tuple)
    numbers = st.one_of(floats, st.just(float("nan")))
    chosen = st.lists(names, max_size=2, unique=True)
    return (
        {name: tuple(_each(draw, categories, size)) for name in draw(chosen)},
        {name: np.array(_each(draw, numbers, size)) for name in draw(chosen)},
    )


def _relation(draw, sizes):
    heads_of, tails_of = draw(st.sampled_from([(a, b) for a in sizes for b in sizes]))
    directed = draw(st.booleans())
    pairs = [
        (head, tail)
        for head in range(sizes[heads_of])
        for tail in range(sizes[tails_of])
        if heads_of != tails_of or head < tail or (directed and head != tail)
    ]
    links = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    ends = np.array(links, np.int64).reshape(-1, 2)
    return Relation(
        heads_of=heads_of,
        tails_of=tails_of,
        heads=ends[:, 0],
        tails=ends[:, 1],
        weights=np.array(_each(draw, positive, len(links)), np.float32),
        directed=directed,
    )


@st.composite
def datasets(draw):
    """Small ones; a pair may interact several times, ids may be those of others."""
    user_ids, item_ids = _ids(draw), _ids(draw)
    entities = {
        kind: _ids(draw)
        for kind in draw(st.lists(st.sampled_from(("tag", "genre")), unique=True))
    }
    sizes = {"user": len(user_ids), "item": len(item_ids)}
    sizes |= {kind: len(ids) for kind, ids in entities.items()}
    rows = draw(st.integers(1, 6))
    user_features, item_features = (
        _features(draw, len(ids)) for ids in (user_ids, item_ids)
    )
    relations = draw(st.lists(names, max_size=3, unique=True))
    return Dataset(
        name=draw(st.sampled_from(("few", "many"))),
        user_ids=user_ids,
        item_ids=item_ids,
        users=np.array(_each(draw, st.integers(0, len(user_ids) - 1), rows)),
        items=np.array(_each(draw, st.integers(0, len(item_ids) - 1), rows)),
        values=np.array(_each(draw, floats, rows)),
        timestamps=np.array(_each(draw, st.integers(0, 2**62), rows)),
        item_titles=tuple(_each(draw, words, len(item_ids))),
        item_texts=tuple(_each(draw, words, len(item_ids))),
        user_texts=draw(st.none() | st.just(tuple(_each(draw, words, len(user_ids))))),
        interaction_texts=draw(st.none() | st.just(tuple(_each(draw, words, rows)))),
        user_categorical=user_features[0],
        user_numeric=user_features[1],
        item_categorical=item_features[0],
        item_numeric=item_features[1],
        filters=draw(st.sampled_from(((), ("value >= 4",)))),
        published_test=draw(
            st.none() | st.just(np.array(_each(draw, st.booleans(), rows)))
        ),
        entities=entities,
        relations={name: _relation(draw, sizes) for name in relations},
    )
