"""The nearest accepted name, for messages about an unknown one."""

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, accepted: Iterable[str]) -> str:
    """Returns "did you mean 'x'?", or "" where nothing is near."""
    near = difflib.get_close_matches(name, list(accepted), n=1)
    return f"did you mean {near[0]!r}?" if near else ""
