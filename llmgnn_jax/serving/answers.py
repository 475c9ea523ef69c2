"""What a `Recommender` answers with."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RecommendedItem:
    """One item of a list.

    Attributes:
        id: The item's external id.
        title: For people, "" where unknown.
        score: The dot product that it was ranked by; comparable within a list only. In
            a run of the task rating, the predicted rating before it is clipped.
        rank: From 1.
    """

    id: str
    title: str
    score: float
    rank: int


@dataclass(frozen=True, kw_only=True)
class PredictedRating:
    """What a user is expected to give an item.

    Attributes:
        id: The item's external id.
        title: For people, "" where unknown.
        rating: Within the lowest and the highest rating of the train part.
    """

    id: str
    title: str
    rating: float
