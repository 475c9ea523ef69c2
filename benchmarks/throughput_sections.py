"""What the page of throughput says of each benchmark, in the order of the page."""

import textwrap
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import devices, scale
from benchmarks.harness.system import OURS
from benchmarks.outcomes import parts_table
from benchmarks.ratios import Document


@dataclass(frozen=True, kw_only=True)
class Section:
    """A benchmark on the page.

    Attributes:
        name: Of the benchmark.
        title: Its heading.
        says: What is measured, and what is to be known of the rows.
        picture: Of the document, relative to the page; in place of a curve of medians.
        more: What else a document says, in Markdown.
        command: What makes its documents, where `benchmarks.suite` does not know.
    """

    name: str
    title: str
    says: str
    picture: str = ""
    more: Callable[[Document], str] | None = None
    command: str = ""


def _million_users(document: Document) -> str:
    """What the largest catalogue would take for as many users, which nobody ran."""
    rows = [
        row
        for row in document["rows"]
        if row["size"] == "1,000,000 items" and row["system"] == OURS
    ]
    if not rows:
        return ""
    best = max(rows, key=lambda row: row["median"])
    return textwrap.fill(
        f"1,000,000 users by 1,000,000 items, extrapolated from 8,192 users and not "
        f"run: {1e6 / best['median'] / 60:.0f} minutes at {best['median']:.0f} users/s "
        f"({best['variant']}, {best['peak_mb']:.0f} MB).",
        88,
    )


SECTIONS = (
    Section(
        name="propagation",
        title="Propagation",
        says="One propagation A X, forward, width 64: over Gowalla's bipartite graph "
        "in both directions, and over a power law of its size. The peers' matrices "
        "are made and normalised beforehand, but for PyG's LGConv on an `edge_index`, "
        "which normalises in each call as it does in a model.",
    ),
    Section(
        name="lightgcn_step",
        title="A training step of LightGCN",
        says="Propagation, BPR, backward and Adam on Gowalla, in the published "
        "setting: 3 layers, width 64, batch 2,048. Ours draws its batches and "
        "negatives within the step, and checks that negatives are unknown; the peers' "
        "batches are drawn beforehand and cost them nothing. Rows of RecBole, of a run "
        "that had it, are its own model, loss and penalty; jraph's its stock layers.",
    ),
    Section(
        name="fused_step",
        title="A training step of the fused model",
        says="LightGCN of 3 layers beside a projection of stored text vectors, their "
        "fusion, softmax, all penalties and Adam, width 64, on MovieLens-100K and "
        "Gowalla, with random text vectors. Ours draws its batches within the step, "
        "looks up what a user is known to like, and drops sides of nodes; the peers "
        "are given all of that as arrays, which favours them. A trace of ten steps on "
        "Gowalla by `jax.profiler`, 38 ms each with it, has six propagations in 15, "
        "products and the softmax between them in 15, Adam and the norm of its "
        "gradients in 3; it is in no document. None of these can be left out.",
    ),
    Section(
        name="sampled_fused",
        title="A training step of the fused model on sampled neighbours",
        says="As the fused step, with LightGCN of 2 layers over 15 x 10 neighbours "
        "that are drawn within the step, 1,024 rows against one another's items: "
        "Gowalla with Adam, and a power law of a million nodes with row-wise "
        "Adagrad. The peers draw neighbours alone; pairs, known items and dropped "
        "sides are given to them as arrays, which favours them. Rows with "
        "replacement do less work than ours, which draws without. Memory of a "
        "loader's worker processes is not counted.",
    ),
    Section(
        name="fused_text_step",
        title="A training step of the fused model and its text encoder",
        says="The same model with MiniLM inside the step, all of it trained (`full`) "
        "or adapters of rank 8 (`lora`), on MovieLens-100K's films: 256 rows, about "
        "200 different titles and genres of 14 tokens each, half of them padding were "
        "each padded to the longest. Ours lays texts one after another; "
        'so does a peer written for this ("no padding"), which pads '
        "within attention alone. In bfloat16 it is the encoder that is.",
    ),
    Section(
        name="batch_sizes",
        title="A training step by the size of its batch",
        says="LightGCN on Gowalla and the fused model on MovieLens-100K, with 256 to "
        "16,384 rows in a batch. LightGCN propagates the whole graph whatever the "
        "batch is; the fused model compares each row with every item.",
    ),
    Section(
        name="devices",
        title="A training step by number of devices",
        says="LightGCN on Gowalla, the same step on 1, 2, 4 and 8 devices of one CPU, "
        "which share its cores: this is what cutting a step into pieces costs, not a "
        "speed-up, which no number of such devices can give. Losses and the first "
        "gradient are the same on any number of them. No peer is compared.",
        picture="../benchmarks/results/devices.svg",
        more=devices.table,
    ),
    Section(
        name="sampled_sage",
        title="Sampled GraphSAGE",
        says="Sampling, forward, backward and Adam, in seeds a second: 1,024 seeds a "
        "batch, 15 x 10 neighbours, two layers of the mean aggregator, width 64, on a "
        "power law of 200,000 nodes. Memory of a loader's worker processes is not "
        "counted. The peers are loaders and what follows them: trees drawn by hand, "
        "the strongest rows of the fused step on sampled neighbours, are not among "
        "them yet.",
    ),
    Section(
        name="ranking",
        title="Ranking the whole catalogue",
        says="Each user's 20 best items by dot product, those of its train part left "
        "out, from vectors to lists on the host: Gowalla, and catalogues of growing "
        "size, 8,192 users each. Ours reads a copy of the table in bytes, whose bounds "
        "say which items may be among the best, and scores only those in float32; the "
        "lists are exact. The strongest peers multiply everything in float32 and find "
        "the best in the best blocks, as our program does where there are no native "
        "kernels; nobody's code that we know of has that in PyTorch.",
        more=_million_users,
    ),
    Section(
        name="serving",
        title="Serving",
        says="Lists of the 20 best of a user, those of its train part left out, from "
        "vectors in memory to items and scores on the host: one user at a time, with "
        "the 99th percentile, and batches of 1,024. Ours ranks as above. The peers "
        "read the whole table in float32.",
    ),
    Section(
        name="end_to_end",
        title="LightGCN from files to metrics",
        says="The same algorithm and steps on both sides: Gowalla's raw files are "
        "read, the graph is built, 1,980 steps are trained in the published setting, "
        "every user is ranked, recall@20 and ndcg@20 are computed. Compilation counts. "
        "The first losses from the same table and batches agree; the metrics are held "
        "to 3 %.",
    ),
    Section(
        name="gat",
        title="A GAT layer",
        says="Forward and backward over Gowalla with self-loops.",
    ),
    Section(
        name="scale",
        title="Propagation by size",
        says="One propagation, width 64, float32, on power laws of growing size, "
        "beside the bandwidth at which rows are read at random, which is measured in "
        "the same rounds: the rows in GB/s, which have no ratio. More than 100 % of it "
        "is reached where a graph's order is kinder to the cache than the probe's. On "
        "the largest graphs, whose table is read from memory, `embedding_bag` is "
        "faster than our kernel; why is not yet known.",
        picture="../benchmarks/results/scale.svg",
        more=scale.table,
    ),
    Section(
        name="text_train",
        title="Fine-tuning a text encoder",
        says="A training step of MiniLM's shape, all of it (`full`) or adapters of "
        "rank 8 (`lora`). In bfloat16 ours has the products alone in it, and keeps "
        "activations in float32. The strongest peer there is PyTorch's autocast with "
        "its eager attention; with PyTorch's default attention it takes longer. The "
        "EPYC has AVX-512 with bfloat16 products, and no matrix registers. Ragged "
        "reviews were not yet run: all peers at once need more than 23 GB; choose some "
        "with `--only` and `--size reviews`.",
    ),
    Section(
        name="text_lengths",
        title="Encoding texts of one length",
        says="Nobody pads: strings of so many tokens to unit vectors with MiniLM, "
        "float32, 16,384 tokens a run.",
    ),
    Section(
        name="text_encode",
        title="Encoding texts",
        says="MiniLM on real ragged texts, titles and genres of movies and reviews of "
        "gift cards: strings in, unit vectors out, in texts a second, tokenising "
        "included. `padding` is the share of padding in a side's batches; `cosine` the "
        "mean cosine of its vectors to those of float32. Where some of the texts were "
        "taken, those of like length are fewer, and every peer pads more.",
    ),
    Section(
        name="generation",
        title="Generating text",
        says="64 greedy tokens of SmolLM2-135M after prompts of 32, one row and eight "
        "at once, prompts included. A step reads all matrices, whatever the number of "
        "rows: the rows in GB/s say how fast this machine reads at most, and "
        "`share_of_reads` which part of that the weights alone make of a row. Peers "
        "are transformers' `generate` and loops written by hand for this decoder. In "
        "bfloat16 ours keeps matrices in it and multiplies in float32; the peers are "
        "bfloat16 throughout.",
    ),
    Section(
        name="ceilings",
        title="What a device can do at most",
        says="A large product in each precision, a copy, and rows of 256 bytes read at "
        "random, by JAX and by PyTorch; of each kind the best is a line of the "
        "roofline. There a disk is our best row of a size and precision and a ring its "
        "strongest peer: operations a second by operations a byte, both of the model "
        "(`benchmarks/work.py`), so that of one size all lie above one another. Rows "
        "of documents that do not name their work are not drawn.",
    ),
    Section(
        name="accelerator",
        title="A run on a GPU",
        says="What one command measured within its budget, and what did not fit. Its "
        "rows stand in the sections of the benchmarks, with their share of the "
        "ceilings: `MFU` of the product's at the row's precision, `of copy` of the "
        "copy's bandwidth, by the bytes of the model, so that caches can bring it "
        "above 100 %.",
        more=parts_table,
        command="make bench-gpu",
    ),
    Section(
        name="hot_rows",
        title="What devices send one another",
        says="Counted, not timed, and beside no peer: [scale.md](scale.md) has the "
        "tables.",
    ),
)
