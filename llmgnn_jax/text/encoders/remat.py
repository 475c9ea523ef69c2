"""What the backward pass finds kept, and what it computes anew.

| | kept of each layer |
|---|---|
| `none` | all that its gradient reads |
| `dots` | its input, and what products with parameters gave |
| `layers` | its input |

Products of attention (scores, and what is mixed by them) have texts and heads as batch
axes: `dots` computes them anew, and with them the arrays that grow as the square of a
text's length (`jax.checkpoint_policies.dots_with_no_batch_dims_saveable`). Kernels of
ours are foreign functions, of which a policy knows nothing but a name: they give it to
what stands in a product's place (`as_product`).

Chen et al. 2016, "Training deep nets with sublinear memory cost",
https://arxiv.org/abs/1604.06174.
"""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import jax
from jax.ad_checkpoint import checkpoint_name

from llmgnn_jax.text.encoders.pieces import brought_together

Remat: TypeAlias = Literal["none", "dots", "layers"]

_PRODUCT = "product"


def _all_but_parameters(primitive: Any, *_: Any, **__: Any) -> bool:
    """Keeps all but what was brought together from several devices for a layer.

    Nor what is made of it by mere copying: queries, keys and values side by side, or
    numbers of fewer bits.
    """
    copies = ("sharding_constraint", "concatenate", "convert_element_type")
    return primitive.name not in copies


_POLICIES: dict[Remat, Callable[..., Any]] = {
    "none": _all_but_parameters,
    "dots": jax.checkpoint_policies.save_from_both_policies(
        jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
        jax.checkpoint_policies.save_only_these_names(_PRODUCT),
    ),
    "layers": jax.checkpoint_policies.nothing_saveable,
}


def rematerialised(
    function: Callable[..., Any],
    remat: Remat,
    *,
    static_argnums: tuple[int, ...] = (),
) -> Callable[..., Any]:
    """The same function, of which the backward pass keeps what `remat` says.

    Args:
        function: Pure; its arrays are arguments.
        remat: What is kept.
        static_argnums: Arguments that are no arrays.
    """
    if remat == "none" and not brought_together():
        return function
    return jax.checkpoint(
        function, policy=_POLICIES[remat], static_argnums=static_argnums
    )


def as_product(x: jax.Array) -> jax.Array:
    """x, kept wherever products are."""
    return checkpoint_name(x, _PRODUCT)
