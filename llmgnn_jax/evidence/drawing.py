"""An explanation as an SVG document: a row for each path, from the user to the item."""

import unicodedata
from collections.abc import Mapping, Sequence

from llmgnn_jax.evaluation.report.markup import Markup, element
from llmgnn_jax.evidence.explanation import Evidence, EvidenceEdge, EvidencePath
from llmgnn_jax.evidence.labels import Language, label_of, plain
from llmgnn_jax.evidence.template import cites, signed
from llmgnn_jax.evidence.told import told

_WIDTH, _ROW, _TOP, _BOTTOM = 1040, 66, 62, 44
_BOX = 34
# Left and right of the boxes of each column.
_USER, _FIRST, _SECOND, _ITEM = (16, 136), (290, 530), (625, 775), (904, 1024)
_FOR, _AGAINST, _QUIET = "#2b7a4b", "#b3402f", "#8d979e"
_FILLS = {"end": "#1b6ca8", "item": "#f3e3dc", "people": "#dfeaf3", "other": "#f2ead2"}

_WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "title": "Why {item} for {user}",
        "both": "{people} had both",
        "had": "{people} had it",
        "friends": "{people} linked with both",
        "similar": "like histories",
        "linked": "those linked with",
        "text": "texts",
        "sum": "score {score} = cited {cited}, other edges {others}, without any edge "
        "{without}",
    },
    "zh": {
        "title": "为什么向{user}推荐《{item}》",
        "both": "{people}人两者都有过",
        "had": "{people}人有过它",
        "friends": "{people}人与两者相连",
        "similar": "相似的历史",
        "linked": "与之相连的人",
        "text": "文字",
        "sum": "得分{score} = 引用的边{cited}，其余的边{others}，没有边时{without}",
    },
}


def drawing(evidence: Evidence, *, language: Language = "en") -> str:
    """The document; it needs no network, font file or style sheet."""
    words = _WORDS[language]
    user = label_of(evidence, evidence.user, language)
    item = label_of(evidence, evidence.item, language)
    rows = max(len(evidence.paths), 1)
    height = _TOP + rows * _ROW + _BOTTOM
    middle = _TOP + rows * _ROW / 2
    title = words["title"].format(user=user, item=item)
    largest = max(
        (abs(told(evidence, path).amount) for path in evidence.paths), default=1.0
    )
    parts: list[Markup] = []
    for number, path in enumerate(evidence.paths):
        parts += _path(
            evidence,
            path,
            language,
            down=_TOP + (number + 0.5) * _ROW,
            middle=middle,
            largest=largest or 1.0,
        )
    cited = sum(edge.attribution for edge in evidence.edges)
    return element(
        "svg",
        element("rect", width=_WIDTH, height=height, style="fill:#fff"),
        _text(16, 26, _short(title, 110), size=15),
        *parts,
        _box(_USER, middle, user, "end"),
        _box(_ITEM, middle, item, "end"),
        _text(
            16,
            height - 16,
            words["sum"].format(
                score=f"{evidence.score:.2f}",
                cited=signed(cited),
                others=signed(evidence.other_edges),
                without=signed(evidence.score_without_edges),
            ),
        ),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH} {height}",
        width=_WIDTH,
        height=height,
        role="img",
        aria_label=title,
    )


def _path(
    evidence: Evidence,
    path: EvidencePath,
    language: Language,
    *,
    down: float,
    middle: float,
    largest: float,
) -> list[Markup]:
    """The boxes of a path, and the lines between them."""
    words, parts = _WORDS[language], told(evidence, path)
    first, second = "", ""
    kinds = ["item", "people"]
    if path.kind == "text":
        shared = ", ".join(evidence.text.words) if evidence.text else ""
        first, kinds[0] = ": ".join(filter(None, [words["text"], shared])), "other"
    elif parts.about is not None:
        first = label_of(evidence, parts.about, language)
        if path.kind == "attribute":
            kinds[0] = "other"
            if parts.about.label:
                first = f"{plain(parts.about.relation_kind)}: {first}"
    told_by = {"liked item": "both", "neighbour": "had", "friend": "friends"}
    if path.people:
        second = words[told_by[path.kind]].format(people=path.people)
    elif path.kind in ("neighbour", "friend"):
        second = words["similar" if path.kind == "neighbour" else "linked"]
    stops: list[tuple[tuple[int, int], str, str]] = []
    if first:
        stops.append((_FIRST, first, kinds[0]))
    if second:
        stops.append((_SECOND, second, kinds[1]))
    segments = _segments(parts.from_user, parts.between, parts.to_item, len(stops))
    lefts = [(_USER[1], middle), *((place[1], down) for place, _, _ in stops)]
    rights = [*((place[0], down) for place, _, _ in stops), (_ITEM[0], middle)]
    drawn: list[Markup] = []
    for edges, start, end in zip(segments, lefts, rights, strict=True):
        drawn += _line(edges, start, end, down=down, largest=largest)
    if path.kind == "text":
        place = (_FIRST[1] + 8, down - 6)
        drawn.append(
            _text(*place, signed(parts.amount), color=_color(parts.amount), size=11)
        )
    drawn += [_box(place, down, label, kind) for place, label, kind in stops]
    return drawn


def _segments(
    from_user: Sequence[EvidenceEdge],
    between: Sequence[EvidenceEdge],
    to_item: Sequence[EvidenceEdge],
    stops: int,
) -> list[list[EvidenceEdge]]:
    """The cited edges of each line of a row."""
    if stops == 0:
        return [[*from_user, *between, *to_item]]
    if stops == 1:
        return [[*from_user], [*between, *to_item]]
    return [[*from_user], [*between], [*to_item]]


def _line(
    edges: Sequence[EvidenceEdge],
    start: tuple[float, float],
    end: tuple[float, float],
    *,
    down: float,
    largest: float,
) -> list[Markup]:
    """As thick as what its edges add; thin and broken where none is cited.

    It bends where it leaves the row, and past the boxes of other rows.
    """
    amount = sum(edge.attribution for edge in edges)
    width = 1.0 + 5.0 * min(abs(amount) / largest, 1.0) if edges else 1.0
    color = _color(amount) if edges else _QUIET
    (left, top), (right, bottom) = start, end
    first = max(left, min(_SECOND[1], right)) if top == down != bottom else left
    middle = (first + right) / 2
    line = element(
        "path",
        d=f"M{left:g} {top:.1f} H{first:g} "
        f"C{middle:g} {top:.1f} {middle:g} {bottom:.1f} {right:g} {bottom:.1f}",
        style=f"fill:none;stroke:{color};stroke-width:{width:.1f}",
        stroke_dasharray=None if edges else "4 4",
    )
    if not edges:
        return [line]
    # Over the part of it that lies in the row.
    at_end = bottom == down
    place = (right - 6, down - 6) if at_end else (left + 8, down - 6)
    anchor = "end" if at_end else "start"
    told_ = f"{_few(edges)} {signed(amount)}"
    return [line, _text(*place, told_, anchor=anchor, color=color, size=11)]


def _few(edges: Sequence[EvidenceEdge]) -> str:
    numbers = tuple(edge.number for edge in edges)
    return cites(numbers[:3]) + ("…" if len(numbers) > 3 else "")


def _color(amount: float) -> str:
    return _FOR if amount >= 0 else _AGAINST


def _box(place: tuple[int, int], down: float, label: str, kind: str) -> Markup:
    left, right = place
    return element(
        "g",
        element("title", label),
        element(
            "rect",
            x=left,
            y=round(down - _BOX / 2, 1),
            width=right - left,
            height=_BOX,
            rx=6,
            style=f"fill:{_FILLS[kind]}",
        ),
        _text(
            (left + right) / 2,
            down + 4,
            _short(label, (right - left) // 7),
            anchor="middle",
            color="#fff" if kind == "end" else "#222",
        ),
    )


def _short(text: str, columns: int) -> str:
    """At most so wide; characters of Chinese take two columns."""
    wide = 0
    for place, one in enumerate(text):
        wide += 1 + (unicodedata.east_asian_width(one) in "WF")
        if wide > columns:
            return text[: max(place - 1, 1)] + "…"
    return text


def _text(
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "start",
    color: str = "#222",
    size: int = 12,
) -> Markup:
    return element(
        "text",
        text,
        x=round(x, 1),
        y=round(y, 1),
        text_anchor=anchor,
        # A style, not attributes: that of a page around it would win over them.
        style=f"fill:{color};font-size:{size}px;font-family:system-ui,sans-serif",
    )
