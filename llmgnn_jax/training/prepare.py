"""From a configuration to what lies on the device: data, split, graph, text vectors."""

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmgnn_jax.config import Config, replace
from llmgnn_jax.data.dataset import Csr, Dataset
from llmgnn_jax.data.hashing import ContentHasher
from llmgnn_jax.data.memory import Held
from llmgnn_jax.data.relations import Relation, feed_relations
from llmgnn_jax.data.splits import Split, TrainSplit
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.question import Question, question_of
from llmgnn_jax.graph import structure
from llmgnn_jax.graph.aggregate import (
    BACKENDS,
    Backend,
    checked_backend,
    resolve_backend,
)
from llmgnn_jax.graph.plan import with_buckets
from llmgnn_jax.models.features import Features
from llmgnn_jax.models.text_to_filter import TextToFilter
from llmgnn_jax.parallel.choice import choose_exchange
from llmgnn_jax.parallel.processes import choice_of_first
from llmgnn_jax.parallel.strategy import (
    Meshed,
    Strategy,
    chosen_exchange,
    strategy_of,
)
from llmgnn_jax.text.interface import Encoder
from llmgnn_jax.text.store import (
    EncodeReport,
)
from llmgnn_jax.training.encoder_parts import take_apart
from llmgnn_jax.training.filters import prepared_filter
from llmgnn_jax.training.node_texts import (
    check_texts,
    encoded_features,
    encoding_records,
    node_texts,
    run_encoder,
)
from llmgnn_jax.training.run_split import read_split

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """A run's data, ready to train on or to serve from.

    Attributes:
        config: With `auto` replaced by what it chose.
        dataset: What the split was made from.
        split: Its parts.
        train: The train part, all that `features` is made from.
        history: Users x items of the train part.
        on_valid: What the validation part asks; nothing is to be found where all of
            the train part is trained on.
        graph: Of the train part.
        features: The graph and text vectors, on the device.
        encoder: Reads texts; None where no model has a text side.
        encoded: What encoding took; None likewise.
        text_to_filter: What the filter says of an item by its text; None where there is
            no filter, or no text.
        held: The data set that was given in place of a source, as it was given.
    """

    config: Config
    dataset: Dataset
    split: Split
    train: TrainSplit
    history: Csr
    on_valid: Question
    graph: structure.InteractionGraph
    features: Features
    encoder: Encoder | None
    encoded: EncodeReport | None
    text_to_filter: TextToFilter | None = None
    held: Held | None = None

    @property
    def backend(self) -> Backend:
        """The aggregation kernel that the run uses."""
        return checked_backend(self.config.graph.backend)

    @property
    def data_hash(self) -> str:
        """Of all that it is trained on: the split's, and that of the graph's links."""
        dataset, split_hash = self.dataset, self.split.split_hash
        if not self.config.graph.relations:
            return split_hash
        hasher = ContentHasher("run-data-1").strings([split_hash])
        feed_relations(hasher, dataset.relations, dataset.ids)
        return hasher.hexdigest()

    @property
    def strategy(self) -> Strategy:
        """How the run is laid over devices."""
        return strategy_of(self.config, backend=self.backend)

    @property
    def text_dim(self) -> int:
        """Width of the text vectors; 0 where no model reads text."""
        text = self.features.text
        return 0 if text is None else text.item_IT.shape[1]

    def records(self) -> list[dict[str, Any]]:
        """What preparing took, as lines of `metrics.jsonl`."""
        return encoding_records(self.encoded)


def prepare(config: Config, *, dataset: Held | None = None) -> Prepared:
    """Reads, splits, encodes and builds; writes only to the cache of text vectors.

    Args:
        config: Of the run.
        dataset: What is in memory, where its source says so (`data.memory`).

    Raises:
        UserError: For an unknown source, data that do not hold together or are too few
            to learn from and to judge by, or an encoder that cannot be read.
    """
    prepared = prepare_split(*read_split(config, dataset=dataset))
    return dataclasses.replace(prepared, held=dataset)


def prepare_split(config: Config, split: Split) -> Prepared:
    """Encodes and builds what `read_split` gave, with the test part or without.

    Raises:
        UserError: As `prepare`, for texts and encoders.
    """
    train = split.training()
    history = train.csr()
    _check_texts(config, train)
    config, graph = _graph(config, train)
    # What cannot be laid over the devices is refused before anything long is begun.
    strategy = strategy_of(config, backend=checked_backend(config.graph.backend))
    _check_sampling(config, train, shares=strategy.placement.shares)
    if isinstance(strategy, Meshed) and config.parallel.exchange == "auto":
        config = _exchanging(config, graph, strategy)
    text, encoder, encoded = None, None, None
    if any(model != "graph" for model in config.models):
        encoder = run_encoder(config, node_texts(train))
        if config.text.mode != "frozen":
            take_apart(encoder, config)  # What it refuses is refused here.
        text, encoded = encoded_features(train, history, encoder, graph)
    of_filter, text_to_filter = prepared_filter(config, train, graph, text)
    return Prepared(
        config=config,
        dataset=split.dataset,
        split=split,
        train=train,
        history=history,
        on_valid=question_of(split, "valid"),
        graph=graph,
        features=Features(graph=graph, text=text, filter=of_filter),
        text_to_filter=text_to_filter,
        encoder=encoder,
        encoded=encoded,
    )


def _graph(
    config: Config, train: TrainSplit
) -> tuple[Config, structure.InteractionGraph]:
    """The graph, and the configuration with the backend that its edges go through."""
    graph = structure.build(
        train,
        self_loops=config.graph.layer == "gcn",
        spare_users=config.graph.spare_users,
        spare_items=config.graph.spare_items,
        spare_edges=config.graph.spare_edges,
        groups=config.parallel.groups,
        relations=dict.fromkeys(
            _relations(config, train), config.graph.relation_weight
        ),
    )
    backend = resolve_backend(
        config.graph.backend, graph.plan, width=config.graph.embedding_dim
    )
    backend = checked_backend(choice_of_first(BACKENDS, backend))
    if backend == "bucketed":
        graph = dataclasses.replace(graph, plan=with_buckets(graph.plan))
    return replace(config, **{"graph.backend": backend}), graph


def _relations(config: Config, train: TrainSplit) -> Mapping[str, Relation]:
    """Those that messages go along; `with_attributes` has left no others."""
    return train.relations if config.graph.relations else {}


def _check_sampling(config: Config, train: TrainSplit, *, shares: int) -> None:
    """Sampled neighbours are drawn evenly, and asked for by users' and items' edges."""
    if not config.graph.fanouts:
        return
    weighted = config.graph.relation_weight != 1 or any(
        (one.weights != 1).any() for one in _relations(config, train).values()
    )
    if config.graph.relations and weighted:
        raise UserError.field(
            "graph.fanouts",
            expected="none with links of other weights than 1",
            got=" ".join(map(str, config.graph.fanouts)),
            fix="set --graph.relation-weight 1, or hear all neighbours",
        )
    if shares > 1 and (config.graph.relations or train.people):
        raise UserError.field(
            "graph.fanouts",
            expected="none with relations, or people, on several devices",
            got=" ".join(map(str, config.graph.fanouts)),
            fix="hear all neighbours, or run on one device",
        )


def _exchanging(
    config: Config, graph: structure.InteractionGraph, strategy: Meshed
) -> Config:
    """The configuration with what `parallel.exchange auto` is on this graph."""
    exchange = chosen_exchange(config.parallel)
    # Steps that draw neighbours, or read texts alone, propagate nothing.
    if not config.graph.fanouts and config.models != ("text",):
        exchange = choose_exchange(
            graph, strategy=strategy, width=config.graph.embedding_dim
        )
    return replace(config, **{"parallel.exchange": exchange})


def _check_texts(config: Config, train: TrainSplit) -> None:
    """There are texts where a model reads them, and an encoder that can."""
    if config.models == ("graph",):
        return
    check_texts(config, node_texts(train), of="items")
    if config.text.mode != "frozen" and not any(map(str.strip, train.item_texts)):
        raise UserError.field(
            "text.mode",
            expected="frozen, for data whose items have no texts",
            got=config.text.mode,
            fix="add texts of the items",
        )
