"""The configuration of a run: frozen dataclasses that import neither jax nor flax.

Every field is an option of the command line: `--train.learning-rate 0.01`.
"""

import dataclasses
import json
import math
import re
import types
import typing
from dataclasses import dataclass, field
from typing import Any, Literal

from llmgnn_jax.errors import UserError

TaskName = Literal["ranking", "node_classification"]
ModelName = Literal["graph", "text", "fused"]


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What is learned from, and what is held out."""

    source: str = "ml-100k"
    """An asset's name, `synthetic`, or a folder in a known layout."""
    split: Literal["random", "leave_last_out", "temporal", "published"] = "random"
    """How interactions are held out; `random` is 8:1:1 within each user, `published`
    tests on what the data come with."""
    valid_share: float = 0.1
    """How much of each user's published train part is validated on, for `published`; at
    0 all of it is trained on, nothing is tuned, and the last parameters are kept."""


@dataclass(frozen=True, kw_only=True)
class GraphConfig:
    """The message passing over who interacted with what."""

    layer: Literal["lightgcn", "gcn"] = "lightgcn"
    """`lightgcn`: weighted sums alone; `gcn`: self-loops, a matrix and ReLU."""
    num_layers: int = 3
    """Rounds of message passing, at least 1."""
    embedding_dim: int = 64
    """Width D of node vectors and of the fused vectors that are ranked by; of hidden
    layers, where nodes have features."""
    init: Literal["normal", "xavier"] = "normal"
    """Of the node vectors: normal, or uniform with Glorot and Bengio's bound for each
    side's table, sqrt(6 / (rows + width))."""
    init_scale: float = 0.1
    """Standard deviation of the initial node vectors, for `normal`."""
    backend: Literal["auto", "segment", "csr", "bucketed", "native"] = "auto"
    """Kernel of the aggregation; `auto` measures them on the run's own graph, and what
    it chose is written into the run."""
    spare_users: int = 64
    """Empty user slots, for users that come after training."""
    spare_items: int = 64
    """Empty item slots, for items that come after training."""
    spare_edges: int = 8192
    """Empty directed edges, for interactions that come after training."""


@dataclass(frozen=True, kw_only=True)
class NodeConfig:
    """Nodes with features, for the tasks that are about them."""

    normalisation: Literal["rows", "none"] = "rows"
    """`rows`: each node's features are divided by the sum of their magnitudes."""
    dropout: float = 0.5
    """Share of each layer's input that is dropped in training."""


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """The language model that reads what is said of items and users."""

    encoder: str = "minilm-l6"
    """An asset's name or a Hugging Face folder."""
    pooling: Literal["mean", "cls", "last"] = "mean"
    """How token vectors become one vector."""
    max_length: int = 256
    """Longest text in tokens; what is longer is cut."""


@dataclass(frozen=True, kw_only=True)
class FusionConfig:
    """How the two vectors of a node become one: sigma(W [h_graph ; h_text])."""

    kind: Literal["concat"] = "concat"
    """`concat` is the formula above."""
    activation: Literal["relu", "leaky_relu", "tanh", "gelu", "sigmoid", "identity"] = (
        "relu"
    )
    """sigma."""
    anchor: float = 1.0
    """L2 pull of W, W_y and their biases to where they start, the sum of both sides."""
    learning_rate_scale: float = 0.1
    """Times `train.learning_rate`, for the fusion's parameters: at the full rate they
    fit the train part before the node vectors are learned."""
    modality_dropout: float = 0.1
    """How often a side is replaced by its learned null vector in training."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How the models are trained."""

    loss: Literal["bpr", "sampled_softmax"] = "sampled_softmax"
    """Pairwise or over the positive and its negatives."""
    negatives: Literal["uniform", "in_batch", "all"] = "all"
    """Drawn uniformly, the other rows' positives, or every item that is not known."""
    num_negatives: int = 256
    """K, for `uniform`; shared by a batch under `sampled_softmax`, per row in `bpr`."""
    examples: Literal["interactions", "users"] = "interactions"
    """Rows are drawn among the interactions, shuffled anew each epoch; or a user is
    drawn, then one of its items."""
    batch_size: int = 1024
    """B interactions a step, over all devices."""
    learning_rate: float = 1.5e-2
    """Adam's step size at the first step."""
    half_life: int = 500
    """Steps in which the step size halves; 0 keeps it. No part of it depends on how
    long a run is, so a run may be made longer."""
    l2: float = 3e-3
    """L2 on the id vectors of the batch, as LightGCN counts it; on the first layer, for
    node classification."""
    weight_decay: float = 0.0
    """Decoupled weight decay of the text projection."""
    steps: int = 600
    """Most steps a model is trained for."""
    steps_per_call: int = 40
    """Steps that one call of the compiled program runs."""
    validate_every: int = 40
    """Steps between two rankings of the validation part."""
    patience: int = 6
    """Validations without a better result after which training stops; 0 is never."""
    checkpoint_every: int = 200
    """Steps between two checkpoints."""
    keep_checkpoints: int = 2
    """How many of a model's newest checkpoints are kept."""


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """How models are judged."""

    ks: tuple[int, ...] = (10, 20)
    """Cut-offs of rankings."""
    metric: str = "ndcg@10"
    """What early stopping and the best checkpoint go by, on the validation part."""
    memory_limit_mb: int = 256
    """Cap of the score matrix and its temporaries."""
    baselines: bool = True
    """Whether popularity, ItemKNN and EASE run on the same split."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """One run: data, models, training and evaluation."""

    recipe: str
    """The recipe's name."""
    task: TaskName = "ranking"
    """What is learned: which items a user likes, or the classes of a graph's nodes."""
    seed: int = 0
    """Of the split, the initial parameters and every draw."""
    models: tuple[ModelName, ...] = ("graph", "text", "fused")
    """Which models are trained, in this order; the last one recommends."""
    data: DataConfig = field(default_factory=DataConfig)
    graph: GraphConfig = field(default_factory=GraphConfig)
    node: NodeConfig = field(default_factory=NodeConfig)
    text: TextConfig = field(default_factory=TextConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w[\w.-]*", self.recipe):
            # It names a folder below runs/.
            raise UserError.field(
                "recipe",
                expected="letters, digits, '.', '_' and '-'",
                got=repr(self.recipe),
            )
        positive = {
            "graph.num_layers": self.graph.num_layers,
            "graph.embedding_dim": self.graph.embedding_dim,
            "text.max_length": self.text.max_length,
            "train.num_negatives": self.train.num_negatives,
            "train.batch_size": self.train.batch_size,
            "train.learning_rate": self.train.learning_rate,
            "train.steps": self.train.steps,
            "train.steps_per_call": self.train.steps_per_call,
            "train.validate_every": self.train.validate_every,
            "train.checkpoint_every": self.train.checkpoint_every,
            "train.keep_checkpoints": self.train.keep_checkpoints,
            "evaluation.memory_limit_mb": self.evaluation.memory_limit_mb,
        }
        for name, value in positive.items():
            if not 0 < value < math.inf:
                raise UserError.field(name, expected="a number above 0", got=value)
        not_negative = {
            "seed": self.seed,
            "graph.init_scale": self.graph.init_scale,
            "graph.spare_users": self.graph.spare_users,
            "graph.spare_items": self.graph.spare_items,
            "graph.spare_edges": self.graph.spare_edges,
            "fusion.anchor": self.fusion.anchor,
            "fusion.learning_rate_scale": self.fusion.learning_rate_scale,
            "train.half_life": self.train.half_life,
            "train.l2": self.train.l2,
            "train.weight_decay": self.train.weight_decay,
            "train.patience": self.train.patience,
        }
        for name, value in not_negative.items():
            if not 0 <= value < math.inf:
                raise UserError.field(name, expected="0 or a number above", got=value)
        if self.seed >= 2**32:
            # JAX would drop the upper bits: another number, the same draws.
            raise UserError.field("seed", expected="below 2**32", got=self.seed)
        shares = {
            "data.valid_share": self.data.valid_share,
            "node.dropout": self.node.dropout,
            "fusion.modality_dropout": self.fusion.modality_dropout,
        }
        for name, value in shares.items():
            if not 0 <= value < 1:
                raise UserError.field(name, expected="a share in [0, 1)", got=value)
        if not self.models or len(set(self.models)) != len(self.models):
            raise UserError.field(
                "models",
                expected="different ones of graph, text, fused",
                got=" ".join(self.models) or "none",
            )
        if not self.evaluation.ks or min(self.evaluation.ks) < 1:
            raise UserError.field(
                "evaluation.ks", expected="cut-offs from 1 on", got=self.evaluation.ks
            )
        names = ("recall", "ndcg", "mrr", "map", "hit", "precision")
        metrics = [f"{name}@{k}" for name in names for k in self.evaluation.ks]
        if self.task == "node_classification":
            metrics = ["accuracy", "macro_f1"]
            self._check_node_classification()
        if self.evaluation.metric not in metrics:
            raise UserError.field(
                "evaluation.metric",
                expected="one of " + ", ".join(metrics),
                got=repr(self.evaluation.metric),
            )
        if self.train.loss == "bpr" and self.train.negatives == "all":
            raise UserError.field(
                "train.negatives",
                expected="uniform or in_batch with the loss bpr",
                got="'all'",
                fix="choose one of these or --train.loss sampled_softmax",
            )

    def _check_node_classification(self) -> None:
        only: dict[str, tuple[Any, Any]] = {
            "models": (self.models, ("graph",)),
            "data.split": (self.data.split, "published"),
            "graph.layer": (self.graph.layer, "gcn"),
            "evaluation.baselines": (self.evaluation.baselines, False),
        }
        for name, (value, there_is) in only.items():
            if value != there_is:
                raise UserError.field(
                    name,
                    expected=f"{_typed(there_is)} in the task node_classification",
                    got=_typed(value),
                )


def _typed(value: Any) -> str:
    """A value as it is typed after its option."""
    return " ".join(value) if isinstance(value, tuple) else str(value)


def replace(config: Config, **changes: Any) -> Config:
    """A copy with dotted or plain fields changed: `replace(c, **{"train.steps": 2})`.

    Raises:
        UserError: For an unknown field.
    """
    changed: dict[str, Any] = {}
    sections: dict[str, dict[str, Any]] = {}
    for name, value in changes.items():
        section, dot, leaf = name.rpartition(".")
        owner = getattr(config, section, None) if dot else config
        known = dataclasses.is_dataclass(owner) and dataclasses.fields(owner)
        if leaf not in {item.name for item in known or ()}:
            raise UserError.field(
                name, expected="a field of the configuration", got="an unknown one"
            )
        (sections.setdefault(section, {}) if dot else changed)[leaf] = value
    for section, values in sections.items():
        changed[section] = dataclasses.replace(getattr(config, section), **values)
    # At once: two changes may be valid together alone.
    return dataclasses.replace(config, **changed)


def flatten(config: Config) -> dict[str, Any]:
    """Dotted field name -> value, in order of declaration."""
    flat: dict[str, Any] = {}

    def walk(prefix: str, node: Any) -> None:
        for item in dataclasses.fields(node):
            value = getattr(node, item.name)
            name = f"{prefix}{item.name}"
            if dataclasses.is_dataclass(value):
                walk(f"{name}.", value)
            else:
                flat[name] = value

    walk("", config)
    return flat


def to_json(config: Config) -> str:
    """The content of a run's `config.json`."""
    return json.dumps(dataclasses.asdict(config), indent=2, ensure_ascii=False) + "\n"


def from_json(text: str, *, origin: str = "config.json") -> Config:
    """Reads what `to_json` wrote.

    Raises:
        UserError: For broken JSON, an unknown or missing field, or a wrong type.
    """
    try:
        tree = json.loads(text)
    except ValueError as error:
        raise UserError(f"{origin}: not valid JSON ({error})") from None
    return _build(Config, tree, origin)


def _build(cls: type, tree: Any, where: str) -> Any:
    if not isinstance(tree, dict):
        raise UserError.field(where, expected="an object", got=type(tree).__name__)
    hints = typing.get_type_hints(cls)
    known = {item.name for item in dataclasses.fields(cls)}
    if unknown := sorted(set(tree) - known):
        raise UserError.field(
            f"{where}: {unknown[0]}",
            expected="a known field",
            got="an unknown one",
            fix="was the run made by another version?",
        )
    values = {}
    for item in dataclasses.fields(cls):
        if item.name not in tree:
            continue
        hint, value = hints[item.name], tree[item.name]
        if dataclasses.is_dataclass(hint):
            values[item.name] = _build(hint, value, f"{where}: {item.name}")  # type: ignore[arg-type]
        else:
            values[item.name] = _checked(hint, value, f"{where}: {item.name}")
    try:
        return cls(**values)
    except TypeError as error:
        raise UserError(f"{where}: {error}") from None


def _checked(hint: Any, value: Any, where: str) -> Any:
    """A JSON value as the declared type."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        hint = next(a for a in arguments if a is not type(None))
        return _checked(hint, value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_checked(arguments[0], entry, where) for entry in value)
    if origin is Literal and value in arguments:
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and type(value) is hint:
        return value
    expected = " | ".join(map(str, arguments)) if origin is Literal else str(hint)
    raise UserError.field(where, expected=expected, got=repr(value))
