"""The process that compiles: a request as JSON on stdin, the plan on stdout."""

import json
import logging
import sys

from llmgnn_jax.errors import UserError
from llmgnn_jax.planning.plan import Request, plan


def main() -> int:
    """0, or 2 with one line on stderr."""
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    try:
        document = plan(Request(**json.load(sys.stdin)))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
