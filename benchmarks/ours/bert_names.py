"""A BERT's arrays by our names and by those that the peers have."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from llmgnn_jax.text.encoders.bert_config import BertConfig
from llmgnn_jax.text.pretrained.bert_names import bert_names
from llmgnn_jax.text.pretrained.load import transposed


def our_adapters(given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Adapters of `bert_weights.random_adapters` by our names."""
    found = {}
    for name, array in given.items():
        number, target, which = name.split(".")
        found[f"layer_{number}.attention.{target}.lora_{which}"] = array
    return found


def peers_names(gradients: Mapping[str, Any], config: Any) -> dict[str, np.ndarray]:
    """Arrays that are laid out as our parameters, by Hugging Face's names and in its
    layout; those of adapters as `bert_weights.random_adapters` has them, after
    "adapter."."""
    assert isinstance(config, BertConfig)
    theirs = bert_names(config)
    found = {}
    for name, array in gradients.items():
        if name in theirs:
            found[theirs[name]] = transposed(name, np.asarray(array))
        else:
            layer, _, target, leaf = name.split(".")
            number, which = layer.removeprefix("layer_"), leaf.removeprefix("lora_")
            found[f"adapter.{number}.{target}.{which}"] = np.asarray(array)
    return found
