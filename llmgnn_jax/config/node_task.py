"""What node classification can do of what the sections of a configuration offer."""

from llmgnn_jax.config.sections import NodeConfig
from llmgnn_jax.errors import UserError


def check_node_task(
    *,
    reads_texts: bool,
    split: str,
    layer: str,
    node: NodeConfig,
    text_mode: str,
    baselines: bool,
) -> None:
    """Passes only if the task node_classification has what is asked for.

    Args:
        reads_texts: Whether a model does.
        split: `data.split`.
        layer: `graph.layer`.
        node: The section of that name.
        text_mode: `text.mode`; read where a model reads texts.
        baselines: `evaluation.baselines`.

    Raises:
        UserError: Naming the first field that it has not.
    """
    # Encoders that are trained with a model read the items of a batch.
    mode = text_mode if reads_texts else "frozen"
    for name, there_is, held, value in (
        ("data.split", "published or random", split in ("published", "random"), split),
        ("graph.layer", "gcn, sage or gat", layer in ("gcn", "sage", "gat"), layer),
        ("text.mode", "frozen", mode == "frozen", mode),
        ("evaluation.baselines", "False", not baselines, baselines),
    ):
        if not held:
            raise UserError.field(
                name,
                expected=f"{there_is} in the task node_classification",
                got=value,
            )
    for name in ("valid_size", "test_size"):
        size = getattr(node, name)
        if size > 1 and size != int(size):
            raise UserError.field(
                f"node.{name}",
                expected="a share below 1, or a whole number of nodes",
                got=size,
            )
