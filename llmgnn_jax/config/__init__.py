"""The configuration of a run: frozen dataclasses that import neither jax nor flax."""

from llmgnn_jax.config.document import (
    field_type,
    flatten,
    from_json,
    replace,
    to_json,
    typed_value,
)
from llmgnn_jax.config.run import Config, ModelName, TaskName
from llmgnn_jax.config.sections import (
    DRAWN_NEGATIVES,
    DataConfig,
    EvaluationConfig,
    FusionConfig,
    GraphConfig,
    NodeConfig,
    ParallelConfig,
    RatingConfig,
    TextConfig,
    TrainConfig,
)
from llmgnn_jax.config.unused import unused_fields

__all__ = [
    "DRAWN_NEGATIVES",
    "Config",
    "DataConfig",
    "EvaluationConfig",
    "FusionConfig",
    "GraphConfig",
    "ModelName",
    "NodeConfig",
    "ParallelConfig",
    "RatingConfig",
    "TaskName",
    "TextConfig",
    "TrainConfig",
    "field_type",
    "flatten",
    "from_json",
    "replace",
    "to_json",
    "typed_value",
    "unused_fields",
]
