"""What explains the scores of a run's model."""

from collections.abc import Sequence
from dataclasses import replace

from llmgnn_jax.evaluation.results import Explanation
from llmgnn_jax.evidence.attribute import Explainer
from llmgnn_jax.evidence.drawing import drawing
from llmgnn_jax.evidence.template import sentence
from llmgnn_jax.models.features import Features
from llmgnn_jax.training.prepare import Prepared
from llmgnn_jax.training.trained import TrainedModel


def explainer_of(
    prepared: Prepared,
    model: TrainedModel,
    *,
    features: Features | None = None,
    item_ids: Sequence[str] | None = None,
    item_titles: Sequence[str] | None = None,
    item_texts: Sequence[str] | None = None,
) -> Explainer:
    """The explainer of a trained model.

    Args:
        prepared: The run's data.
        model: The model.
        features: What it reads, where that is more than in training.
        item_ids: Of all items, where some came after training.
        item_titles: Likewise.
        item_texts: Likewise.
    """
    graph = prepared.config.graph
    by_rating = graph.filter == "item_item"
    return Explainer(
        dataset=prepared.dataset,
        train=prepared.train,
        scorer=model.scorer,
        params=model.params,
        features=model.features if features is None else features,
        # Names that stand for several are spelled out there.
        relations=dict.fromkeys(
            prepared.train.relations if graph.relations else (), graph.relation_weight
        ),
        rating_power=graph.rating_power if by_rating else 0.0,
        item_ids=item_ids,
        item_titles=item_titles,
        item_texts=item_texts,
    )


def explained(
    model: TrainedModel, prepared: Prepared, show_ids: bool, user: int, item: int
) -> Explanation:
    """A score in words and as a picture, as a report has it.

    Args:
        model: The model.
        prepared: The run's data.
        show_ids: Whether users are named by their ids.
        user: A user slot.
        item: An item slot.
    """
    evidence = explainer_of(prepared, model).explain(
        user, item, ids="all" if show_ids else "none"
    )
    text = evidence.text
    if text is not None and not text.from_history and not show_ids:
        # A profile is the user's own words.
        evidence = replace(evidence, text=replace(text, words=()))
    return Explanation(sentences=sentence(evidence), drawing=drawing(evidence))
