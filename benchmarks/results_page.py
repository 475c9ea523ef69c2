"""Renders `docs/results.md` from the committed documents in `docs/results/`.

python -m benchmarks.results_page
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import explanations, fusion_by_loss, spoken_explanations
from benchmarks.quality_cora_text import BY_PAPERS, BY_SPLITS
from benchmarks.quality_tables import (
    Document,
    by_quality,
    families,
    kinds_table,
    models_table,
    pairs_table,
    ratings_table,
    table,
)
from benchmarks.quality_words import words_table

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = DOCS / "results.md"

_HEAD = """# Results

Rendered from the documents in [results/](results/) by `python -m
benchmarks.results_page`. Every choice was made on the validation part. Test was read
by the command that stands under a table, once, or more often where a section says so.
All models rank every candidate, what was seen in train and valid is masked, but where
ratings are predicted. 95 % intervals and p-values go by users (paired permutation, a
user of several seeds or folds is one). Each p is corrected by Holm for the others that
were asked with it: those of its table, or, in a second table of pairs, these pairs
alone, so that a pair that stands in both has two. Intervals hold each by itself and
are not corrected. Seconds are of one run, of a baseline with its whole grid, but for
Gowalla, on the device that is named; those of MovieLens latest-small, of the gift
cards and of Last.fm were taken beside other work.
`random` orders items by chance; baselines that know items by their ids alone are
there too where all of them are new to them. `graph` and `text` are no baselines:
their ties are not broken by chance. What is not fetched by name is read from the
folder that `LLMGNN_SHARED` names, or from `../shared/data`.
"""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page.

    Attributes:
        title: Its heading.
        file: The document's name, without `.json`.
        metric: What rows are ordered by.
        says: What the table is of, and what is to be read in it.
        body: The document as tables and where they come from; None for `results.json`.
    """

    title: str
    file: str
    metric: str
    says: str
    body: "Callable[[Document, Section], str] | None" = None


def _origin(document: Document, section: Section, what: str) -> str:
    return (
        f"`{document['command']}` ({what}; {document['device']}, "
        f"{document['date'][:10]}; [all numbers](results/{section.file}.json))\n"
    )


def _ranked(document: Document, section: Section) -> str:
    """Of a `results.json` document."""
    protocol = document["protocol"]
    parts = [models_table(document, section.metric), ""]
    if any("family" in one for one in document["comparisons"]):
        parts += [families(document), "", pairs_table(document), ""]
    if any(row.get("kinds") for row in document["models"].values()):
        parts += [kinds_table(document, section.metric), ""]
    ranked = protocol.get("candidates")
    what = protocol["split_name"] + (f"; {ranked}" if ranked else "")
    return "\n".join([*parts, _origin(document, section, what)])


def _rated(document: Document, section: Section) -> str:
    """Of a `results.json` document of the task rating."""
    what = document["protocol"]["split_name"]
    return f"{ratings_table(document)}\n\n{_origin(document, section, what)}"


def _classified(document: Document, section: Section) -> str:
    """Of labelled nodes, in several splits."""
    p_values = {
        (one["b"], one["method"]): f"{one['p']:.4f}" for one in document["comparisons"]
    }
    heads = ["model", "accuracy", "over splits", "95 %", "macro F1", "valid"]
    heads += ["p by splits", "p by papers"]
    rows = []
    for name in by_quality(document, section.metric):
        row = document["models"][name]
        spread = np.std([one[section.metric] for one in row["per_seed"].values()])
        low, high = row["ci95"][section.metric]
        rows.append(
            [
                f"{name} (baseline)" if row["baseline"] else name,
                f"{row['test'][section.metric]:.4f}",
                f"+- {spread:.4f}",
                f"{low:.4f} to {high:.4f}",
                f"{row['test']['macro_f1']:.4f}",
                f"{row['valid'][section.metric]:.4f}",
                *(
                    p_values.get((name, method), "")
                    for method in (BY_SPLITS, BY_PAPERS)
                ),
            ]
        )
    what = document["protocol"]["split_name"]
    return "\n".join([table(heads, rows), "", _origin(document, section, what)])


def _fusions(document: Document, section: Section) -> str:
    tables = fusion_by_loss.markdown(document["means"])
    picture = "![By fusion and loss](results/fusion-by-loss.svg)"
    return f"{picture}\n\n{tables}\n\n{_origin(document, section, 'judged on valid')}"


def _worded(document: Document, section: Section) -> str:
    """Of decoders that foresee reviews."""
    what = document["protocol"]["split_name"]
    return f"{words_table(document)}\n\n{_origin(document, section, what)}"


def _removals(document: Document, section: Section) -> str:
    """Of the benchmark of explanations."""
    what = f"mean of {document['draws']} random draws a pair"
    tables = explanations.markdown(document)
    return f"{tables}\n{_origin(document, section, what)}"


def _spoken(document: Document, section: Section) -> str:
    """Of the benchmark of explanations in words."""
    tables = spoken_explanations.markdown(document)
    what = f"{document['words']}, up to {document['tries']} tries a sentence"
    return f"{tables}\n\n{_origin(document, section, what)}"


SECTIONS = (
    Section(
        title="MovieLens-100K",
        file="ml-100k",
        metric="ndcg@10",
        says="RecBole's protocol: random 8:1:1 within each user, three seeds. The "
        "fused model and the graph have a linear filter (`graph.filter item_item`) "
        "that is added to their scores. Test was read before there was a filter: the "
        "fused model had .3187 and, with other settings, .3197, below EASE, which is "
        "why the filter was built; its settings were chosen on valid. `bpr_mf`, "
        "`lightgcn` and `two_tower` were tuned on valid by eight random trials a seed, "
        "of up to 3,000 steps where the models have 600; with the trials that makes "
        "their seconds, taken beside other work.",
    ),
    Section(
        title="Gowalla",
        file="gowalla",
        metric="ndcg@20",
        says="The published split. Chosen on a tenth of each user's train part, "
        "fitted once more on all of it; seconds are from the files to the metrics, "
        "without the tuning, which is in the document. `degree_filter`: two steps of "
        "a walk whose powers of degrees are chosen, an ideal low-pass, sharpening; "
        "`graph`: LightGCN trained by in-batch softmax from a spectral start; "
        "`graph_filtered`: with a low-pass beside it; `combined`: `degree_filter` and "
        "`graph`. Published: LightGCN .1824 recall@20, .1547 ndcg@20; GF-CF .1849, "
        ".1518; BSPM-EM .1920, .1597.\n\n![Quality on the held-out tenth of train by "
        "seconds](results/gowalla.svg)",
    ),
    Section(
        title="MovieLens latest-small, warm",
        file="ml-latest-small-warm",
        metric="ndcg@10",
        says="610 users, 9,742 films with titles, genres and users' tags; random "
        "8:1:1 within each user. The fusion does not win here: on valid it is before "
        "the graph by .0015 and before EASE by .0023, on test behind both, and these "
        "users do not tell the four best rows from it. A guess why: the linear "
        "filter, which the graph has too, knows most of what 165 ratings a user say, "
        "and titles and genres add little to that.",
    ),
    Section(
        title="MovieLens latest-small, cold items",
        file="ml-latest-small-cold",
        metric="ndcg@10",
        says="A tenth of the films is hidden from training with all that was done "
        "with them, and ranked among themselves: of a film its title, year and genres "
        "are known. Three draws.",
    ),
    Section(
        title="MovieLens latest-small, warm and cold in one list",
        file="ml-latest-small-joint",
        metric="ndcg@10",
        says="The same, with a tenth of each user's other interactions held out too. "
        "Places 11 to 20 of each list are kept for films that no train pair is with"
        " (`evaluation.new_places`): 972 cold ones, and some 580 that are in the "
        "held-out parts alone. By scores alone next to no cold film would be shown "
        "(on valid recall@20 .0095 of .2445), since what texts say is a mean over "
        "films, below those that are known to be liked. What would be shown are "
        "some of the 580, in places where films with ratings are right more often: "
        "with places kept, the warm part is better than alone. Test was read three "
        "times here, for it was corrected which films places are kept for.",
    ),
    Section(
        title="Amazon gift cards, warm",
        file="gift-cards-warm",
        metric="ndcg@3",
        says="458 users, 148 cards with titles, descriptions and reviews, 2,965 "
        "pairs; random 8:1:1 within each user, three seeds. A first reading of test, "
        "with the settings of MovieLens-100K, had the fused model at 0.1207, below "
        "the text alone, as it was on valid too; a gate and a faster rate were then "
        "chosen on valid. It is not told apart from the text alone.",
    ),
    Section(
        title="Amazon gift cards, cold items",
        file="gift-cards-cold",
        metric="ndcg@3",
        says="Ten folds, so that each card is cold once: some fifteen are ranked "
        "among themselves, by title and description. A first reading of test, with "
        "the settings of MovieLens-100K, had the fused model at 0.3436, below nearest "
        "texts; the filter's L2 and sharpness and the modality dropout were then "
        "chosen on valid.",
    ),
    Section(
        title="Amazon gift cards, warm and cold in one list",
        file="gift-cards-joint",
        metric="ndcg@3",
        says="The same ten folds, with a tenth of each user's other interactions held "
        "out too; places 11 to 20 are kept for cold cards. Some fifteen cards are "
        "cold: of recall@20 alone that makes 1 for whatever order, and of that in the "
        "lists of all two thirds.",
    ),
    Section(
        title="Amazon gift cards, with the shop's links",
        file="gift-cards-links",
        metric="ndcg@10",
        says="What the page of a card names as bought or looked at too, 1,918 and "
        "1,497 links between the 148 cards, 2,407 pairs in all, as edges of the "
        "graph, or left out; random 8:1:1 within each user, three seeds. The "
        "graph's model was tuned with links and without by six trials each, on "
        "the validation parts of seeds 0 and 1 (`gift-cards-links-tuned.json`); "
        "the fused one has its values and a gate. The shop drew its links from "
        "all that its customers did, what is held out here included. They bring "
        "nothing, on valid (.2306 beside .2309 without) nor on test.",
    ),
    Section(
        title="Last.fm, warm",
        file="lastfm-warm",
        metric="ndcg@3",
        says="2,828 artists with five listeners or more, by name and users' tags; "
        "1,892 users, 11 of whom have none of them; random 8:1:1 within each user, "
        "three seeds. All that beats the baselines is in the graph and its filter: "
        "names add nothing to it.",
    ),
    Section(
        title="Last.fm, cold items",
        file="lastfm-cold",
        metric="ndcg@3",
        says="Ten folds, so that each artist is cold once: some 280 are ranked among "
        "themselves by their names, which is all that is known of an artist that "
        "nobody tagged yet. The fusion is not told apart from nearest texts. They "
        "add up many weak likenesses, so that names like those of popular artists are "
        "ranked first; the filter's map from texts comes as near with a sharp kernel, "
        "whose scores are small: the weight is large for that. Names say little else, "
        "and what is trained on them loses. The fold matters as much as the model, "
        "since a few popular artists are most of what is to be found. A first reading "
        "of test, with a weight at which what is trained outweighed the map, had the "
        "fused model at 0.0787; weight, sharpness and L2 were then chosen on valid, on "
        "five folds (on all ten valid has .164, for nearest texts .161).",
    ),
    Section(
        title="Last.fm, warm and cold in one list",
        file="lastfm-joint",
        metric="ndcg@3",
        says="The same ten folds, with a tenth of each user's other interactions held "
        "out too; places 11 to 20 are kept for cold artists.",
    ),
    Section(
        title="Last.fm, artists with friends",
        file="lastfm-content",
        metric="ndcg@10",
        says="Artists of five listeners or more for people, random 8:1:1 within each "
        "user, three seeds: the graph side without and with the 12,717 friendships as "
        "edges, without and with its linear filter. The settings are those of the "
        "recipe `lastfm`, the weight of a friendship that of an interaction, the first "
        "that was tried. Test was read once before, by a run whose variants without "
        "friends had them.",
    ),
    Section(
        title="Last.fm, people for people",
        file="lastfm-friends",
        metric="ndcg@10",
        says="A tenth of the friendships is to be found, a tenth is validated on, both "
        "directions of each in one part. Neither oneself nor a friend of train or "
        "valid is ranked. `links` propagates over friendships alone, `plays` over who "
        "played what too, at 0.3 of a friendship, chosen on valid; what it brings on "
        "valid is not seen on test. Test was read once before, without the filter.",
    ),
    Section(
        title="Last.fm, groups for people",
        file="lastfm-groups",
        metric="ndcg@10",
        says="Who used a tag is in its group; groups of five or more. `members` knows "
        "groups by their members alone, `plays` who played what too, at 0.3 of a "
        "membership, chosen on valid. `sum of members` and its kin are no vectors of "
        "groups but what their members' come to together in the model with plays; "
        "`popularity` is the largest groups. Test was read once before, without plays.",
    ),
    Section(
        title="MovieLens-100K with triples",
        file="ml-100k-triples",
        metric="ndcg@10",
        says="The model of the graph in the recipe `ml-100k`, without and with what "
        "Freebase says of films (actors, directors, awards, countries) as edges, at "
        "the weight of an interaction or a tenth of it (`light`), without and with the "
        "linear filter. RecBole's `ml-100k.link` numbers films as later MovieLens sets "
        "do: `as shipped` takes its numbers for those of MovieLens-100K, as whoever "
        "reads the two files together does, and `triples` go by title and year, which "
        "1,173 of the 1,598 linked films have here, two of them under the number that "
        "they were given. Beside the filter triples change nothing that is told "
        "apart; without it they lower the mean, the wrong ones more (no paired test). "
        "Random 8:1:1 within each "
        "user, three seeds. No setting was chosen; taken beside other work.",
    ),
    Section(
        title="MovieLens-100K with triples and texts",
        file="ml-100k-triples-fused",
        metric="ndcg@10",
        says="The same of the fused model, which reads titles and genres.",
    ),
    Section(
        title="MovieLens-100K, ratings",
        file="ml-100k-rating",
        metric="rmse",
        says="What a user gives a film, not which one it takes: random 8:1:1 within "
        "each user, three seeds, the recipe `ml-100k-rating`. Predictions are clipped "
        "to the range of the train ratings, those of baselines too. Intervals and "
        "p-values go by users, of their squared errors. The graph is LightGCN with "
        "biases; its layers, rate and L2, and that the fusion does without modality "
        "dropout, were chosen on the validation part of seed 0 in a handful of "
        "trainings.",
        body=_rated,
    ),
    Section(
        title="MovieLens latest-small, ratings",
        file="ml-latest-small-rating",
        metric="rmse",
        says="The same with the settings of MovieLens-100K, nothing chosen here. "
        "Ratings go from 0.5 to 5 by halves, and half of the films have three or "
        "fewer. The fused model is not told from the two best baselines here, which "
        "are before it. Seconds were taken beside much other work.",
        body=_rated,
    ),
    Section(
        title="Cora with abstracts",
        file="cora-text",
        metric="accuracy",
        says="Topics of papers (node classification): 2,277 papers with abstracts, 66 "
        "of them without a topic, 4,771 citations, seven topics. A random fifth of "
        "the labels is validated on, a fifth tested on, ten draws. `graph` is a GNN "
        "that knows papers by their number, `text` a perceptron over MiniLM vectors, "
        "`fused` a GNN over these vectors merged with the perceptron. Each was tuned "
        "by itself with as many trials, on the validation parts of the first two draws "
        "(`cora-text-tuned.json`), whose papers are in test parts of other draws: so "
        "is every random split's. Baselines are tuned on the validation part of each "
        "draw: label propagation, logistic regression on the vectors, and on the "
        "vectors beside their means over one and two rounds of neighbours. Accuracies "
        "are means over draws, intervals and p-values beside `fused` go by draws (a "
        "difference each) and by papers (the mean of the draws that test on it).",
        body=_classified,
    ),
    Section(
        title="Fusions and losses",
        file="fusion-by-loss",
        metric="ndcg@10",
        says="The fused model on MovieLens-100K, on the validation part: each fusion "
        "under each loss, without the linear filter, which would outweigh what is "
        "compared, and once with it; and what may be added to the default. All have"
        " the recipe's rates and 600 steps at most, which were chosen for the "
        "softmax over all items: of the others this is no best, and alignment and "
        "uniformity would want rates of its own. Seconds were taken beside other "
        "work. What is learned from matters more than how it is merged: under "
        "either softmax the four fusions are within 2.4 percent of one another, and"
        " the filter adds more than any of them.",
        body=_fusions,
    ),
    Section(
        title="Words",
        file="words",
        metric="bits_per_byte",
        says="How well reviews of gift cards are foreseen that nobody has read: the "
        "fused model of the warm split, seed 0, its reviews of train taught, the best "
        "step chosen on valid. `adapter`: a frozen language model with the evidence in "
        "words, and told the vectors of user and item by soft tokens; `smollm2`: the "
        "same without the adapter; `shuffled`: told the vectors of another pair; "
        "`untold`: taught without vectors; `encoder`: told the text encoder's. Fewer "
        "bits are better; perplexity goes by tokens, which differ. p-values go by "
        "reviews. Trials of a few steps, by which nothing was chosen, had read the "
        "test part before.",
        body=_worded,
    ),
    Section(
        title="Explanations",
        file="explanations",
        metric="drop",
        says="MovieLens-100K, users drawn at random with the item that stands first "
        "in their lists: how far its score falls when the twelve edges that the "
        "explanation cites are taken away, and when as many random ones are. What "
        "sums are divided by stays as it was, see "
        "[explanations.md](explanations.md). Of the user and the item themselves "
        "there are few edges to draw from, the cited ones among them. Seconds were "
        "taken beside other work.",
        body=_removals,
    ),
    Section(
        title="Explanations in words",
        file="spoken-explanations",
        metric="accepted",
        says="MovieLens-100K, the fused model: a decoder tells the two reasons that add"
        " most to a score, a sentence each, and a checker refuses what a small grammar"
        " does not understand and what the evidence does not say, see"
        " [questions.md](questions.md). What is cited is looked up by number and title,"
        " apart from the checker. A planted falsehood is found where the sentence is"
        " refused; verbs, roles, relations, dates and ordinals are planted in plain"
        " words. An accepted sentence that is the prompt's example with other names and"
        " numbers shows that the decoder copies well, not that it writes.",
        body=_spoken,
    ),
)


def render(folder: Path = DOCS / "results") -> str:
    """The page, of the documents that are there; the others are said to be missing."""
    parts = [_HEAD]
    for section in SECTIONS:
        parts.append(f"## {section.title}\n\n{section.says}\n")
        file = folder / f"{section.file}.json"
        if not file.exists():
            parts.append("Not yet run.\n")
            continue
        body = section.body or _ranked
        parts.append(body(json.loads(file.read_text("utf-8")), section))
    return "\n".join(parts)


def main() -> None:
    PAGE.write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
