"""The split of a run: its data read, filtered, split and dealt over groups."""

import logging

import numpy as np

from llmgnn_jax.config import Config, replace
from llmgnn_jax.data import catalog
from llmgnn_jax.data.attributes import with_attributes
from llmgnn_jax.data.dataset import Csr, Dataset
from llmgnn_jax.data.filters import filter_interactions
from llmgnn_jax.data.memory import Held
from llmgnn_jax.data.splits import HeldOutPart, Split, split_by_rule
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.question import question_of
from llmgnn_jax.graph.node_layout import NodeLayout, balanced_order
from llmgnn_jax.parallel.mesh import device_mesh

logger = logging.getLogger(__name__)


def read_split(config: Config, *, dataset: Held | None = None) -> tuple[Config, Split]:
    """Reads and splits; the configuration with what `parallel.groups` comes to.

    Args:
        config: Of the run.
        dataset: What is in memory, where its source says so (`data.memory`).

    Raises:
        UserError: For an unknown source, or data that do not hold together or are too
            few to learn from and to judge by.
    """
    kept = filter_interactions(
        catalog.load(
            config.data.source,
            columns=config.data.columns,
            target=config.data.target,
            dataset=dataset,
        ),
        min_value=config.data.min_value,
        min_per_user=config.data.min_per_user,
        min_per_item=config.data.min_per_item,
    )
    split = _split(config, with_attributes(kept, config.graph.relations))
    config, split = _dealt(config, split)
    _check_parts(config, split)
    logger.info(
        "%s: %d users, %d items, %d interactions (%d to train on)",
        split.dataset.name,
        split.dataset.num_users,
        split.dataset.num_items,
        split.dataset.num_interactions,
        len(split.train),
    )
    return config, split


def _split(config: Config, dataset: Dataset) -> Split:
    return split_by_rule(
        dataset,
        rule=config.data.split,
        seed=config.seed,
        valid_share=config.data.valid_share,
        cold_share=config.data.cold_share,
        folds=config.data.folds,
        fold=config.data.fold,
        warm_share=config.data.warm_share,
    )


def _dealt(config: Config, split: Split) -> tuple[Config, Split]:
    """Users and items numbered so that groups of them have about as many edges."""
    groups = config.parallel.groups or _groups(
        device_mesh(config.parallel).devices.size
    )
    config = replace(config, **{"parallel.groups": groups})
    if groups == 1:
        return config, split
    dataset = split.dataset
    history = split.training().csr()
    people = dataset.people != "none"
    layout = NodeLayout.holding(
        users=dataset.num_users + config.graph.spare_users,
        items=dataset.num_items + config.graph.spare_items,
        groups=groups,
        people=people,
    )
    popularity = np.bincount(history.indices, minlength=dataset.num_items)
    users = balanced_order(
        history.counts(), capacity=layout.user_capacity, groups=groups
    )
    items = balanced_order(popularity, capacity=layout.item_capacity, groups=groups)
    dealt = dataset.taken(
        rows=np.arange(dataset.num_interactions),
        users=users,
        items=users if people else items,
    )
    again = _split(config, dealt)
    assert again.split_hash == split.split_hash, "a split knows no numbers"
    return config, again


def _groups(devices: int) -> int:
    """A multiple of the devices, and of their likely other numbers."""
    if devices == 1:
        return 1
    likely = 64 if devices <= 64 else 1024
    return -(-likely // devices) * devices


def _check_parts(config: Config, split: Split) -> None:
    """What would end the run after hours of training ends it here."""
    # A share of 0 says that nothing is to be validated on.
    on_valid = question_of(split, "valid").positives
    # Of test its size is enough: it is read once, when all is trained.
    if not (on_valid.nnz or split.valid_share == 0) or not len(split.test):
        raise UserError.field(
            f"data.split {config.data.split!r}",
            expected="interactions to validate and to test on",
            got=f"none in {split.dataset.num_interactions} interactions of "
            f"{split.dataset.num_users} users",
            fix="use more data or another --data.split",
        )
    if config.task == "ranking":
        warn_of_repeats(split, "valid", on_valid)


def warn_of_repeats(split: Split, part: HeldOutPart, positives: Csr) -> None:
    """Counts interactions of a part that ask nothing, where there are any.

    What was met before is never recommended, so that it cannot be found again.

    Args:
        split: Whose.
        part: Which.
        positives: (U x I) the pairs of the part that are to be found.
    """
    rows = len(split.valid if part == "valid" else split.test)
    # By the rules of cold parts others ask nothing too, and are meant not to.
    if split.cold is None and positives.nnz < rows:
        # Whoever serves from the run reads valid too, and has been told.
        logger.log(
            logging.INFO if part == "valid" else logging.WARNING,
            "%s: %d of %d interactions are to be found: the others repeat pairs of a "
            "user and an item, of this part or of what was met before",
            part,
            positives.nnz,
            rows,
        )
