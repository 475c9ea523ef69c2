"""A seeded dataset with planted taste clusters, for tests and first steps."""

from dataclasses import dataclass

import numpy as np

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.relations import Relation
from llmgnn_jax.errors import UserError

_MIN_PER_USER = 3
_MAX_PAIRS = 50_000_000


@dataclass(frozen=True)
class _Theme:
    english: str
    words: tuple[str, ...]
    chinese: str
    chinese_words: tuple[str, ...]


_THEMES = (
    _Theme(
        "space robots",
        ("android", "starship", "orbit", "laser", "colony"),
        "太空机器人",
        ("仿生人", "星舰", "轨道", "激光", "殖民地"),
    ),
    _Theme(
        "country cooking",
        ("kitchen", "harvest", "recipe", "bakery", "orchard"),
        "乡村美食",
        ("厨房", "丰收", "食谱", "面包店", "果园"),
    ),
    _Theme(
        "bank heist",
        ("vault", "getaway", "alarm", "safecracker", "ransom"),
        "银行劫案",
        ("金库", "逃亡", "警报", "撬锁贼", "赎金"),
    ),
    _Theme(
        "summer romance",
        ("letter", "kiss", "wedding", "beach", "sunset"),
        "夏日恋情",
        ("情书", "亲吻", "婚礼", "海滩", "日落"),
    ),
    _Theme(
        "football season",
        ("goalkeeper", "stadium", "penalty", "coach", "league"),
        "足球赛季",
        ("守门员", "球场", "点球", "教练", "联赛"),
    ),
    _Theme(
        "jazz music",
        ("trumpet", "rehearsal", "nightclub", "melody", "encore"),
        "爵士音乐",
        ("小号", "排练", "夜总会", "旋律", "返场"),
    ),
    _Theme(
        "deep ocean",
        ("whale", "submarine", "reef", "current", "diver"),
        "深海",
        ("鲸鱼", "潜艇", "珊瑚礁", "洋流", "潜水员"),
    ),
    _Theme(
        "medieval war",
        ("castle", "knight", "siege", "banner", "archer"),
        "中世纪战争",
        ("城堡", "骑士", "围城", "旗帜", "弓箭手"),
    ),
)


def synthetic(
    *,
    num_users: int = 60,
    num_items: int = 40,
    num_interactions: int = 900,
    num_clusters: int = 4,
    seed: int = 0,
    reviews: bool = False,
    bilingual: bool = True,
    affinity: float = 6.0,
) -> Dataset:
    """Draws a dataset in which users like the items of their own cluster.

    User u and item i belong to the clusters `u % num_clusters` and `i % num_clusters`.
    Pairs (user, item) become interactions one after the other, with a chance that is
    the item's popularity (0.5-1.5), times `affinity` within a cluster; each pair at
    most once, at least 3 for each user. They are rated 4-5 within and 1-3 across
    clusters, at distinct times. Item texts name their cluster's theme, in English and
    (`bilingual`) in Chinese. Reviews name it too. Users make friends, most of them
    within their cluster: the relation "friends".

    Args:
        num_users: U.
        num_items: I.
        num_interactions: E, between 3 U and U I.
        num_clusters: At most 8.
        seed: Of every draw.
        reviews: Whether each interaction has a text.
        bilingual: Whether the Chinese half of the item texts is there.
        affinity: How much more likely an interaction within a cluster is.

    Raises:
        UserError: If a size is out of range; the draw needs memory for U I numbers.
    """
    _check(num_users, num_items, num_interactions, num_clusters)
    rng = np.random.default_rng(seed)
    user_cluster = np.arange(num_users) % num_clusters
    item_cluster = np.arange(num_items) % num_clusters
    same_UI = user_cluster[:, None] == item_cluster[None, :]
    popularity_I = 0.5 + rng.random(num_items)
    weights_UI = popularity_I[None, :] * np.where(same_UI, affinity, 1.0)
    # r / (1 - r) is small like an exponential draw, and has no logarithm whose last
    # bit depends on the platform.
    draws_UI = rng.random((num_users, num_items))
    waits_UI = draws_UI / (1.0 - draws_UI) / weights_UI
    first_UK = np.argsort(waits_UI, axis=1, kind="stable")[:, :_MIN_PER_USER]
    np.put_along_axis(waits_UI, first_UK, -1.0, axis=1)
    chosen = np.argsort(waits_UI, axis=None, kind="stable")[:num_interactions]
    users, items = np.divmod(np.sort(chosen), num_items)
    liked = same_UI[users, items]
    values = np.where(
        liked, rng.integers(4, 6, len(users)), rng.integers(1, 4, len(users))
    )
    order = np.argsort(rng.random(len(users)), kind="stable")
    timestamps = 1_600_000_000 + 60 * order

    words_IW = np.argsort(rng.random((num_items, 5)), axis=1)[:, :3]
    titles = tuple(
        " ".join(_THEMES[c].words[w] for w in words[:2]).title() + f" {i}"
        for i, (c, words) in enumerate(zip(item_cluster, words_IW, strict=True))
    )
    return Dataset(
        name="synthetic",
        user_ids=tuple(f"u{u}" for u in range(num_users)),
        item_ids=tuple(f"i{i}" for i in range(num_items)),
        users=users,
        items=items,
        values=values,
        timestamps=timestamps,
        item_titles=titles,
        item_texts=tuple(
            _item_text(title, _THEMES[c], words, bilingual)
            for title, c, words in zip(titles, item_cluster, words_IW, strict=True)
        ),
        interaction_texts=_reviews(rng, item_cluster[items], liked)
        if reviews
        else None,
        item_categorical={"genre": tuple((_THEMES[c].english,) for c in item_cluster)},
        item_numeric={"release_year": 1980.0 + rng.integers(0, 40, num_items)},
        user_numeric={"age": 18.0 + rng.integers(0, 60, num_users)},
        relations={"friends": _friends(user_cluster, seed)},
    )


def _friends(user_cluster: np.ndarray, seed: int) -> Relation:
    """Each user befriends four of their own cluster and one of anywhere."""
    # Draws of their own: what is drawn elsewhere stays what it was.
    rng = np.random.default_rng([seed, 1])
    users = np.repeat(np.arange(len(user_cluster)), 5)
    others = rng.integers(0, len(user_cluster), len(users))
    near = np.arange(len(users)) % 5 < 4
    inside = others - user_cluster[others] + user_cluster[users]
    others = np.where(near & (inside < len(user_cluster)), inside, others)
    return Relation.merged(heads_of="user", tails_of="user", heads=users, tails=others)


def _item_text(title: str, theme: _Theme, words: np.ndarray, bilingual: bool) -> str:
    english = ", ".join(theme.words[w] for w in words)
    text = f"{title}. A story of {theme.english}: {english}."
    if bilingual:
        chinese = "、".join(theme.chinese_words[w] for w in words)
        text += f" {theme.chinese}的故事：{chinese}。"
    return text


def _reviews(
    rng: np.random.Generator, clusters: np.ndarray, liked: np.ndarray
) -> tuple[str, ...]:
    """One sentence an interaction: a word of the theme, and whether it was liked."""
    words = rng.integers(0, 5, len(clusters))
    return tuple(
        f"{'Loved' if like else 'Did not like'} the {_THEMES[c].words[w]}."
        for c, w, like in zip(clusters, words, liked, strict=True)
    )


def _check(
    num_users: int, num_items: int, num_interactions: int, num_clusters: int
) -> None:
    for name, value, low, high in (
        ("num_users", num_users, 1, _MAX_PAIRS),
        ("num_items", num_items, _MIN_PER_USER, _MAX_PAIRS // max(num_users, 1)),
        (
            "num_interactions",
            num_interactions,
            _MIN_PER_USER * num_users,
            num_users * num_items,
        ),
        ("num_clusters", num_clusters, 1, len(_THEMES)),
    ):
        if not low <= value <= high:
            raise UserError.field(
                f"synthetic: {name}", expected=f"{low} to {high}", got=value
            )
