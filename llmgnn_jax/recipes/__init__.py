"""Named runs, and the options that change them."""

from llmgnn_jax.recipes.catalogue import RECIPES, recipe
from llmgnn_jax.recipes.overrides import with_overrides

__all__ = ["RECIPES", "recipe", "with_overrides"]
