"""What `--json` puts on stdout."""

import json
from typing import Any


def print_json(document: Any) -> None:
    """Prints the one document; what JSON has no type for becomes a string."""
    print(json.dumps(document, indent=2, ensure_ascii=False, default=str))
