"""What `llmgnn_jax.training.prepare` makes of a data set, from arrays.

Shapes: I items, T width of a text vector.
"""

import numpy as np

from benchmarks.harness.system import Inputs
from benchmarks.texts import unpack_texts
from llmgnn_jax.config import Config
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.parts import Split
from llmgnn_jax.evaluation.question import question_of
from llmgnn_jax.graph import structure
from llmgnn_jax.models.features import Features, build_text_features
from llmgnn_jax.text.interface import Encoder
from llmgnn_jax.training.prepare import Prepared


def prepared_of(
    config: Config, inputs: Inputs, *, encoder: Encoder | None = None
) -> Prepared:
    """All pairs are trained on.

    Args:
        config: Of the run.
        inputs: `num_users`, `num_items`, `users` and `items` of the pairs; (I, T)
            `item_texts` of unit length, if there are texts; what the items say, as
            `texts.pack_texts` has it, for an encoder.
        encoder: Where it is trained.
    """
    dataset = _dataset(inputs)
    none, rows = np.zeros(0, np.int64), np.arange(dataset.num_interactions)
    split = Split(dataset, "random", config.seed, rows, none, none)
    train = split.training()
    graph = structure.build(
        train,
        spare_users=config.graph.spare_users,
        spare_items=config.graph.spare_items,
        spare_edges=config.graph.spare_edges,
        buckets=config.graph.backend == "bucketed",
    )
    text = None
    if "item_texts" in inputs:
        text = build_text_features(
            item_vectors=np.asarray(inputs["item_texts"]),
            item_texts=dataset.item_texts,
            history=train.csr(),
            user_vectors=None,
            user_texts=None,
            user_capacity=graph.user_capacity,
            item_capacity=graph.item_capacity,
        )
    return Prepared(
        config=config,
        dataset=dataset,
        split=split,
        train=train,
        history=train.csr(),
        on_valid=question_of(split, "valid"),
        graph=graph,
        features=Features(graph=graph, text=text),
        encoder=encoder,
        encoded=None,
    )


def _dataset(inputs: Inputs) -> Dataset:
    num_users, num_items = int(inputs["num_users"]), int(inputs["num_items"])
    num_pairs = len(inputs["users"])
    texts = ("a text" if "item_texts" in inputs else "",) * num_items
    if "text_bytes" in inputs:
        texts = tuple(unpack_texts(inputs))
    return Dataset(
        name="pairs",
        user_ids=tuple(f"u{number}" for number in range(num_users)),
        item_ids=tuple(f"i{number}" for number in range(num_items)),
        users=np.array(inputs["users"]),
        items=np.array(inputs["items"]),
        values=np.ones(num_pairs, np.float32),
        timestamps=np.zeros(num_pairs, np.int64),
        item_titles=("",) * num_items,
        item_texts=texts,
    )
