"""RecBole's own LightGCN, as its library runs it, in an environment of its own.

RecBole 1.2 calls a method of SciPy's matrices that is gone since SciPy 1.13, which in
turn wants an old NumPy: `make setup-recbole` makes an environment that has both, and no
JAX. `RECBOLE_PYTHON` names another interpreter that has it.
"""

import os
from pathlib import Path

_OWN = Path(__file__).resolve().parents[2] / ".venv-recbole" / "bin" / "python"


def interpreter() -> str:
    """The Python that has RecBole; it may not be there."""
    return os.environ.get("RECBOLE_PYTHON") or str(_OWN)
