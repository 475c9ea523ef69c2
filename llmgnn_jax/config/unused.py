"""Fields that a run does not read: whoever sets one is told."""

from collections.abc import Callable

from llmgnn_jax.config.document import flatten
from llmgnn_jax.config.run import Config
from llmgnn_jax.config.sections import DRAWN_NEGATIVES

# What node classification reads of the sections that it shares with ranking.
_OF_NODES = {
    "graph": ("layer", "num_layers", "embedding_dim", "backend"),
    "train": (
        "l2",
        "learning_rate",
        "half_life",
        "steps",
        "steps_per_call",
        "validate_every",
        "patience",
        "checkpoint_every",
        "keep_checkpoints",
    ),
    "evaluation": ("metric", "baselines"),
    "text": ("encoder", "pooling", "head", "max_length", "dtype", "mode"),
    "fusion": ("kind", "activation", "anchor", "learning_rate_scale"),
    "parallel": (),
}

# What compares an item with others, in the sections of rating.
_OF_RANKING = [
    *(f"train.{name}" for name in ("loss", "uniformity", "negatives", "examples")),
    *("train.num_negatives", "train.popularity_power"),
    *("evaluation.ks", "evaluation.new_places", "evaluation.memory_limit_mb"),
]

_OF_COLD = ["data.cold_share", "data.folds", "data.fold", "data.warm_share"]

_OF_INTERACTIONS = [
    "data.columns",
    "data.min_value",
    "data.min_per_user",
    "data.min_per_item",
]

_OF_FILTER_TEXT = ["graph.filter_text_l2", "graph.filter_text_sharpness"]

_OF_FILTER = (
    *("filter_weight", "filter_l2", "filter_rank", "rating_power"),
    *("filter_text_l2", "filter_text_sharpness"),
)

_OF_MESSAGES = ["parallel.slack", "parallel.row_slack"]


def unused_fields(config: Config) -> dict[str, str]:
    """Field, as `flatten` names it -> why the run does not read it."""
    found: dict[str, str] = {}

    def leave_out(names: list[str], why: str) -> None:
        for name in names:
            found.setdefault(name, why)

    every = list(flatten(config))
    if config.task == "node_classification":
        read = {f"{room}.{name}" for room, names in _OF_NODES.items() for name in names}
        rooms = tuple(f"{room}." for room in _OF_NODES)
        leave_out(
            [name for name in every if name.startswith(rooms) and name not in read],
            "the task is node_classification",
        )
        names = ["data.valid_share", "rating.bias_l2", *_OF_COLD, *_OF_INTERACTIONS]
        leave_out(names, "the task is node_classification")
        if config.data.split != "random":
            sizes = ("valid_size", "test_size", "train_per_class")
            why = f"data.split is {config.data.split}"
            leave_out([f"node.{name}" for name in sizes], why)
        models = "models are " + " ".join(config.models)
        if "fused" not in config.models:
            leave_out([name for name in every if name.startswith("fusion.")], models)
        if config.models == ("graph",):
            of_texts = [name for name in every if name.startswith("text.")]
            leave_out([*of_texts, "node.text_layers"], models)
        if config.models == ("text",):
            of_graph = ["graph.layer", "graph.num_layers", "graph.backend"]
            leave_out([*of_graph, "node.normalisation"], models)
        _leave_out_of_fusion(config, leave_out)
        return found
    of_others = ["node."] if config.task == "rating" else ["node.", "rating."]
    leave_out(
        [name for name in every if name.startswith(tuple(of_others))],
        f"the task is {config.task}",
    )
    if config.task == "rating":
        leave_out(_OF_RANKING, "the task is rating")
    why = f"data.split is {config.data.split}"
    if not config.data.is_cold:
        leave_out(_OF_COLD, why)
    elif config.data.folds:
        leave_out(["data.cold_share"], f"data.folds is {config.data.folds}")
    ranks_both = config.data.split == "cold_both" or config.data.warm_share
    if config.data.is_cold and not ranks_both:
        # Where items are new they are all that is ranked, and where users are, none is.
        leave_out(["evaluation.new_places"], why + " without data.warm_share")
    if not config.data.takes_valid_share:
        leave_out(["data.valid_share"], why)
    elif not config.data.valid_share:
        leave_out(["train.patience"], "data.valid_share is 0")
    models = "models are " + " ".join(config.models)
    if config.models == ("text",):
        leave_out(["graph.relations", "graph.relation_weight"], models)
    elif not config.graph.relations:
        leave_out(["graph.relation_weight"], "graph.relations is empty")
    if "fused" not in config.models:
        leave_out(["graph.text_pull"], models)
        leave_out([name for name in every if name.startswith("fusion.")], models)
        if "text" not in config.models:
            texts = [name for name in every if name.startswith("text.")]
            of_texts = ["train.weight_decay", "parallel.parameters"]
            leave_out([*texts, *of_texts, *_OF_FILTER_TEXT], models)
    if not config.fusion.alignment:
        leave_out(["fusion.alignment_temperature"], "fusion.alignment is 0")
    _leave_out_of_fusion(config, leave_out)
    if config.text.head != "dense":
        leave_out(["text.pooling"], f"text.head is {config.text.head}")
    why = f"text.mode is {config.text.mode}"
    if config.text.mode == "frozen":
        of_training = ("learning_rate", "texts_per_step", "refresh_every", "freeze")
        leave_out([f"text.{name}" for name in (*of_training, "remat")], why)
        leave_out(["parallel.parameters"], why)
    if config.text.mode != "lora":
        of_lora = ("lora_rank", "lora_alpha", "lora_targets")
        leave_out([f"text.{name}" for name in of_lora], why)
    if config.models == ("text",):
        of_nodes = (
            *("layer", "num_layers", "fanouts", "init", "init_scale", "temperature"),
            *("contrast", "contrast_noise", "contrast_temperature"),
            *("filter", *_OF_FILTER),
        )
        leave_out([*(f"graph.{name}" for name in of_nodes), "train.l2"], models)
        leave_out(["train.table_optimizer", "train.table_learning_rate"], models)
    if not config.graph.contrast:
        of_views = ["graph.contrast_noise", "graph.contrast_temperature"]
        leave_out(of_views, "graph.contrast is 0")
    if config.graph.filter == "none":
        names = [f"graph.{name}" for name in _OF_FILTER]
        leave_out(names, "graph.filter is none")
    if not config.graph.filter_text_l2:
        leave_out(["graph.filter_text_sharpness"], "graph.filter_text_l2 is 0")
    if config.graph.filter == "spectral":
        of_ridge = ["graph.filter_l2", "graph.rating_power"]
        leave_out(of_ridge, "graph.filter is spectral")
    why = f"train.negatives is {config.train.negatives}"
    if config.train.negatives not in DRAWN_NEGATIVES:
        leave_out(["train.num_negatives"], why)
    if config.train.negatives != "popularity":
        leave_out(["train.popularity_power"], why)
    if config.train.loss != "alignment_uniformity":
        leave_out(["train.uniformity"], f"train.loss is {config.train.loss}")
    if config.train.table_optimizer == "adam":
        leave_out(["train.table_learning_rate"], "train.table_optimizer is adam")
    if config.parallel.strategy == "pmap":
        of_mesh = ["parallel.exchange", *_OF_MESSAGES]
        leave_out(of_mesh, "parallel.strategy is pmap")
    if not config.graph.fanouts:
        leave_out(_OF_MESSAGES, "graph.fanouts is empty")
    if config.graph.init == "xavier":
        leave_out(["graph.init_scale"], f"graph.init is {config.graph.init}")
    return found


def _leave_out_of_fusion(
    config: Config, leave_out: Callable[[list[str], str], None]
) -> None:
    """What a kind of fusion has not."""
    if config.fusion.kind != "concat":
        leave_out(["fusion.activation"], f"fusion.kind is {config.fusion.kind}")
    if config.fusion.kind == "sum":
        of_learned = ["fusion.anchor", "fusion.learning_rate_scale"]
        leave_out(of_learned, "fusion.kind is sum")
