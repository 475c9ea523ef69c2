"""Pretrained encoders: Hugging Face's folders to our parameters, and back.

Only safetensors and GGUF files are read: a pickle (pytorch_model.bin) is never opened.
"""

from llmgnn_jax.text.pretrained.load import (
    load_encoder,
    load_language_model,
    read_config,
)
from llmgnn_jax.text.pretrained.save import save_encoder
from llmgnn_jax.text.pretrained.tensors import weights_hash

__all__ = [
    "load_encoder",
    "load_language_model",
    "read_config",
    "save_encoder",
    "weights_hash",
]
