"""How the report writes numbers."""

import math


def metric(value: float | None) -> str:
    """Four decimals, or a dash where there is no value."""
    return "–" if value is None else f"{value:.4f}"


def seconds(value: float | None) -> str:
    """Seconds, to a tenth below ten."""
    if value is not None and value < 9.95:
        return f"{value:.1f}"
    return count(value)


def chance(value: float | None) -> str:
    """A p-value with its letter, to a thousandth."""
    if value is None:
        return "p –"
    return "p\u00a0<\u00a00.001" if value < 0.001 else f"p\u00a0{value:.3f}"


def count(value: float | None) -> str:
    """Whole numbers with thin spaces between thousands."""
    return "–" if value is None else f"{value:,.0f}".replace(",", "\u202f")


def tick(value: float, step: float) -> str:
    """The label of an axis tick, with as many decimals as its step needs."""
    if step >= 1_000 and step % 1_000 == 0:
        return f"{value / 1_000:g}k" if value else "0"
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:.{decimals}f}"


def ticks(low: float, high: float, *, about: int = 5) -> tuple[list[float], float]:
    """Round values that cover [low, high], and their step (1, 2 or 5 times 10^n)."""
    span = (high - low) or abs(high) or 1.0
    rough = span / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    return [round(i * step, 12) for i in range(first, last + 1)], step
