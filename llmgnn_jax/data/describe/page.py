"""A description as text for a terminal."""

import datetime
import math
import textwrap
from collections.abc import Callable, Iterator, Sequence

from llmgnn_jax.data.describe.cold import Part, Parts
from llmgnn_jax.data.describe.description import Description
from llmgnn_jax.data.describe.interactions import Links
from llmgnn_jax.data.describe.leaks import Check
from llmgnn_jax.data.describe.nodes import NodeDescription
from llmgnn_jax.data.describe.sides import FEW, Feature, Side, Texts
from llmgnn_jax.data.describe.spread import Bin, Spread

_BAR = 40
_WIDTH = 88


def page(description: Description) -> str:
    """Lines of at most 88 columns, but for long names of relations and classes."""
    return "\n".join(_lines(description))


def node_page(description: NodeDescription) -> str:
    """The same of a graph of labelled nodes."""
    return "\n".join(_node_lines(description))


def _lines(one: Description) -> Iterator[str]:
    met = one.interactions
    yield f"{one.name}   content {one.content_hash[:16]}"
    yield ""
    yield f"users          {one.users.count:>12,}"
    yield f"items          {one.items.count:>12,}"
    for kind, count in one.entities.items():
        yield f"{kind:<14} {count:>12,}"
    yield f"interactions   {met.count:>12,}"
    repeated = f"{met.repeated:,} repeat a pair"
    if met.repeated:
        repeated += f", one of them {met.most_of_a_pair:,} times in all"
    yield f"pairs          {met.pairs:>12,}   {repeated}"
    yield f"density        {met.density:>12.4%}"
    yield from _spread("values", met.values, _between)
    if met.times is not None:
        times = met.times
        yield from _heading("times")
        yield f"  {times.first} to {times.last}, {times.days:,.1f} days"
        yield (
            f"  {times.missing:,} interactions without, {times.together:,} in the "
            + ("same second as another of their user")
        )
        yield from _bars(times.seconds.bins, _date)
    for name, side in (("user", one.users), ("item", one.items)):
        yield from _side(name, side)
    yield from _texts("texts of interactions", met.texts)
    if one.relations:
        yield from _heading("relations")
        for relation in one.relations:
            yield from _links(relation)
    yield from _heading("held-out parts, and what train has not of them")
    for part in one.splits:
        yield from _parts(part)
    yield from _checks(one.checks)
    yield from _warnings(one.warnings)


def _node_lines(one: NodeDescription) -> Iterator[str]:
    yield f"{one.name}   content {one.content_hash[:16]}"
    yield ""
    yield f"nodes          {one.nodes:>12,}   {one.unlabelled:,} without a class"
    yield f"edges          {one.edges:>12,}"
    yield f"features       {one.features:>12,}   {one.filled:.2%} of them not 0"
    yield f"components     {one.components:>12,}"
    yield f"without edges  {one.isolated:>12,}"
    if one.same_class is not None:
        yield f"same class     {one.same_class:>12.1%}   is at both ends of an edge"
    yield from _spread("edges of a node", one.degrees, _whole)
    yield from _heading("classes: nodes of train, valid, test; in all")
    width = max(map(len, one.classes))
    for name, counts in one.classes.items():
        train, valid, test, whole = (f"{count:>7,}" for count in counts)
        yield f"  {name:<{width}} {train} {valid} {test}; {whole}"
    yield f"  {'':<{width}} " + " ".join(f"{count:>7,}" for count in one.parts)
    yield from _checks(one.checks)
    yield from _warnings(one.warnings)


def _side(name: str, side: Side) -> Iterator[str]:
    other = "items" if name == "user" else "users"
    yield from _spread(f"different {other} of {_article(name)}", side.degrees, _whole)
    yield (
        f"  Gini {side.gini:.3f}; {side.without:,} have none, {side.below:,} fewer "
        + (f"than {FEW}")
    )
    yield from _texts(f"titles of {name}s", side.titles)
    yield from _texts(f"texts of {name}s", side.texts)
    if side.features:
        yield from _heading(f"features of {name}s")
        width = max(len(feature.name) for feature in side.features)
        for feature in side.features:
            told = _feature(feature, side.count)
            yield from _wrapped(f"  {feature.name:<{width}}  {told}")


def _article(name: str) -> str:
    return f"an {name}" if name == "item" else f"a {name}"


def _feature(one: Feature, count: int) -> str:
    told = f"{one.kind}, {one.filled / count:.0%} have one, {one.different:,} different"
    if one.range is not None:
        low, middle, high = one.range
        told += f", {low:g} to {high:g}, median {middle:g}"
    if one.most:
        told += "; " + ", ".join(f"{_short(v)} ({n:,})" for v, n in one.most)
    return told


def _texts(heading: str, one: Texts | None) -> Iterator[str]:
    if one is None:
        return
    yield from _heading(heading)
    share = f"({one.filled / one.count:.1%})"
    yield f"  {one.filled:,} of {one.count:,} {share}, {one.different:,} different"
    if one.filled:
        for unit in ("words", "characters"):
            median, longest = getattr(one, unit)
            yield f"  {unit}: median {median:g}, longest {longest:,}"


def _links(one: Links) -> Iterator[str]:
    arrow = "->" if one.directed else "--"
    yield f"  {one.name}: {one.heads_of} {arrow} {one.tails_of}, {one.links:,} links"
    sides = [(one.heads_of, one.heads)]
    if one.heads_of != one.tails_of:
        sides.append((one.tails_of, one.tails))
    for kind, (touched, count) in sides:
        yield f"    {touched:,} of {count:,} {kind}s have one ({touched / count:.1%})"
    if one.weights is not None:
        low, high = one.weights.min, one.weights.max
        yield f"    weights {low:g} to {high:g}, median {one.weights.median:g}"


def _parts(one: Parts) -> Iterator[str]:
    if one.test is None:
        yield from _wrapped(f"  {one.rule}: {one.reason}")
        return
    yield f"  {one.rule}: {one.train:,} train"
    for name, part in (("valid", one.valid), ("test", one.test)):
        if isinstance(part, Part):
            yield f"    {name:<5} {part.interactions:>9,}: cold are " + (
                f"{part.cold_users:,} of {part.users:,} users, "
                f"{part.cold_items:,} of {part.items:,} items; "
                f"{part.cold_interactions:,} rows"
            )


def _checks(checks: Sequence[Check]) -> Iterator[str]:
    yield from _heading("looked for")
    for check in checks:
        mark = "!" if check.suspicious else "-"
        yield from _wrapped(
            f"  {mark} {check.found:,} of {check.of:,} {check.asked}", indent=4
        )


def _warnings(warnings: Sequence[str]) -> Iterator[str]:
    if warnings:
        yield from _heading("warnings")
        for warning in warnings:
            yield from _wrapped(f"  - {warning}", indent=4)


def _spread(
    heading: str, one: Spread | None, label: Callable[[Bin], str]
) -> Iterator[str]:
    if one is None:
        return
    yield from _heading(heading)
    yield f"  min {one.min:g}, median {one.median:g}, mean {one.mean:.4g}, " + (
        f"p90 {one.p90:g}, max {one.max:g}"
    )
    yield from _bars(one.bins, label)


def _bars(bins: Sequence[Bin], label: Callable[[Bin], str]) -> Iterator[str]:
    """Empty bins at both ends are left out; what is not empty has a bar."""
    filled = [at for at, bin_ in enumerate(bins) if bin_.count]
    shown = bins[filled[0] : filled[-1] + 1]
    most = max(bin_.count for bin_ in shown)
    width = max(len(label(bin_)) for bin_ in shown)
    for bin_ in shown:
        bar = "#" * math.ceil(_BAR * bin_.count / most)
        yield f"  {label(bin_):>{width}} {bin_.count:>10,} {bar}".rstrip()


def _whole(bin_: Bin) -> str:
    low, high = int(bin_.low), int(bin_.high)
    return f"{low:,}" if low == high else f"{low:,}-{high:,}"


def _between(bin_: Bin) -> str:
    if bin_.low == bin_.high:
        return f"{bin_.low:g}"
    return f"{bin_.low:g} to {bin_.high:g}"


def _date(bin_: Bin) -> str:
    try:
        return datetime.datetime.fromtimestamp(bin_.low, datetime.UTC).strftime(
            "%Y-%m-%d"
        )
    except (ValueError, OverflowError, OSError):
        return f"{bin_.low:g}"


def _heading(text: str) -> Iterator[str]:
    yield ""
    yield text


def _wrapped(text: str, *, indent: int = 6) -> Iterator[str]:
    yield from textwrap.wrap(text, _WIDTH, subsequent_indent=" " * indent)


def _short(text: str) -> str:
    return text if len(text) <= 24 else text[:23] + "…"
