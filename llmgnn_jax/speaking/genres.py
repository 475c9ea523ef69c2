"""How genres are called: spelling variants, and the usual ones in Chinese."""

VARIANTS: dict[str, tuple[str, ...]] = {
    "sci-fi": ("science-fiction", "science fiction", "sci fi", "scifi", "SF"),
    "film-noir": ("film noir", "noir"),
    "children's": ("children", "childrens", "kids", "family"),
    "children": ("children's", "kids"),
    "animation": ("animated", "cartoon"),
    "romance": ("romantic", "love story"),
    "comedy": ("comedic", "funny", "humorous"),
    "drama": ("dramatic",),
    "musical": ("musicals",),
    "documentary": ("documentaries", "non-fiction"),
    "horror": ("scary",),
    "thriller": ("thrilling",),
    "mystery": ("mysterious",),
    "adventure": ("adventurous",),
    "fantasy": ("fantastical",),
    "western": ("westerns",),
}
"""Value in lower case -> what else means it."""

ZH_GENRES: dict[str, tuple[str, ...]] = {
    "action": ("动作",),
    "adventure": ("冒险",),
    "animation": ("动画",),
    "children's": ("儿童",),
    "children": ("儿童",),
    "comedy": ("喜剧",),
    "crime": ("犯罪",),
    "documentary": ("纪录",),
    "drama": ("剧情",),
    "fantasy": ("奇幻",),
    "film-noir": ("黑色电影", "黑色"),
    "horror": ("恐怖",),
    "musical": ("音乐", "歌舞"),
    "mystery": ("悬疑",),
    "romance": ("爱情", "浪漫"),
    "sci-fi": ("科幻",),
    "thriller": ("惊悚",),
    "war": ("战争",),
    "western": ("西部",),
}
"""Value in lower case -> its names in Chinese, the usual one first."""


def inflected(word: str) -> tuple[str, ...]:
    """A word and its plural."""
    if not word.isascii() or not word[-1:].isalpha():
        return (word,)
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return word, f"{word[:-1]}ies"
    if word.endswith(("s", "x", "ch", "sh")):
        return word, f"{word}es"
    return word, f"{word}s"


def in_chinese(value: str) -> str:
    """The usual Chinese name of a genre, or its own."""
    return ZH_GENRES.get(value.lower(), (value,))[0]
