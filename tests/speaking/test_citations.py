"""What an answer cites of an explanation, in words."""

import pytest

from llmgnn_jax.evidence.explanation import Entity, Evidence, EvidenceEdge
from llmgnn_jax.evidence.labels import Language
from llmgnn_jax.speaking.citations import Citations

USER = Entity(kind="user", slot=0, id="7")
ITEM = Entity(kind="item", slot=1, id="5", name="Fargo")


def rated(*weights: float) -> Evidence:
    edges = tuple(
        EvidenceEdge(
            number=number,
            head=USER,
            tail=Entity(
                kind="item", slot=1 + number, id=str(number), name=f"F{number}"
            ),
            relation="interaction",
            attribution=1.0,
            weight=weight,
        )
        for number, weight in enumerate(weights, start=1)
    )
    return Evidence(
        user=USER,
        item=ITEM,
        score=2.0,
        score_without_edges=0.0,
        edges=edges,
        other_edges=0.0,
        text=None,
        paths=(),
    )


@pytest.mark.parametrize(
    ("language", "weights", "says"),
    [
        ("en", (5, 1), ["user 7 -- interaction -- F1 (5)"]),
        ("en", (1, 5), ["user 7 -- interaction -- F1 (1)"]),
        ("en", (1, 1), ["user 7 -- interaction -- F1"]),
        ("zh", (1, 5), ["用户7 -- 交互 -- F1 (1)"]),
    ],
)
def test_a_rating_of_1_is_one_where_others_are(
    language: Language, weights: tuple[float, ...], says: list[str]
) -> None:
    made = Citations()
    assert made.renumbered("so [1].", rated(*weights), language) == "so [1]."
    assert [one.says for one in made.all] == says
