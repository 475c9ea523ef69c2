"""`llmgnn data describe`: what a data set is like, and a picture of a part of it."""

import argparse
import dataclasses
from typing import Any

from llmgnn_jax.assets.named_path import named_path
from llmgnn_jax.cli.output import print_json
from llmgnn_jax.cli.pictures import check_picture, write_picture
from llmgnn_jax.data import catalog
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.describe.description import describe as describe_dataset
from llmgnn_jax.data.describe.neighbourhood import neighbourhood
from llmgnn_jax.data.describe.node_neighbourhood import node_neighbourhood
from llmgnn_jax.data.describe.nodes import describe_nodes
from llmgnn_jax.data.describe.page import node_page, page
from llmgnn_jax.evaluation.report.network import network


def describe(options: argparse.Namespace) -> int:
    """Prints the description; writes the picture if one is asked for."""
    out = None if options.out is None else named_path(options.out)
    if out is not None:
        check_picture(out)
    data = catalog.load_any(options.source, columns=options.columns, seed=options.seed)
    if isinstance(data, Dataset):
        description: Any = describe_dataset(data, seed=options.seed)
        told: str = page(description)
    else:
        description = describe_nodes(data)
        told = node_page(description)
    if out is not None:
        if isinstance(data, Dataset):
            around = neighbourhood(data, show_ids=options.show_ids)
        else:
            around = node_neighbourhood(data)
        write_picture(out, network(around))
    if options.json:
        print_json({**dataclasses.asdict(description), "picture": options.out})
        return 0
    print(told)
    if out is not None:
        print(f"\npicture  {out}")
    return 0
