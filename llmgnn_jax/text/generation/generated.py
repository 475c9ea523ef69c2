"""`Generated`: what came after a prompt, as text.

Shapes: B rows, N new tokens at most.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from llmgnn_jax.text.generation.loop import Decoded
from llmgnn_jax.text.generation.prompt_tokens import PromptTokenizer
from llmgnn_jax.text.generation.stops import cut_at


@dataclass(frozen=True, kw_only=True)
class Generated:
    """What was generated after a prompt.

    Attributes:
        text: Without the stop.
        ids: Its tokens; where a text ended it, those up to the one that completed that.
        finished: "stop", or "length" where it was cut.
        log_probability: The sum of its tokens', by the model itself.
    """

    text: str
    ids: tuple[int, ...]
    finished: Literal["stop", "length"]
    log_probability: float

    @classmethod
    def of(
        cls,
        decoded: Decoded,
        row: int,
        *,
        tokenizer: PromptTokenizer,
        after: int,
        stop: Sequence[str],
    ) -> "Generated":
        """What was generated of a row.

        Args:
            decoded: Of all rows, on the host.
            row: Which.
            tokenizer: Of the model.
            after: The prompt's last token.
            stop: Texts that end one.
        """
        count = int(decoded.lengths_B[row])
        ids = decoded.ids_BN[row, :count].tolist()
        text = tokenizer.decode(ids, after=after)
        finished: Literal["stop", "length"] = "length"
        if count < decoded.ids_BN.shape[1]:
            finished = "stop"
        if (cut := cut_at(text, stop)) is not None:
            # As many tokens as it takes to say the stop; there are few to try.
            count = next(
                n
                for n in range(1, count + 1)
                if cut_at(tokenizer.decode(ids[:n], after=after), stop) is not None
            )
            ids, text, finished = ids[:count], cut, "stop"
        gained = decoded.log_probabilities_BN[row, :count]
        return cls(
            text=text,
            ids=tuple(ids),
            finished=finished,
            log_probability=float(gained.sum(dtype=np.float64)),
        )
