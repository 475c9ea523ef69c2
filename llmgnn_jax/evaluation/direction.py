"""Which way a metric is better."""

LOWER_IS_BETTER = ("rmse", "mae", "mse")
"""Metrics that are errors; of all others a larger value is better."""


def lower_is_better(metric: str) -> bool:
    """Whether a smaller value of a metric is the better one."""
    return metric in LOWER_IS_BETTER


def as_gain(metric: str, value: float) -> float:
    """A value so that larger is better; the same function turns it back."""
    return -value if lower_is_better(metric) else value
