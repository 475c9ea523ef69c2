"""`Taught`: a pupil and the run whose users and items it speaks of; on disk.

    taught = Taught.load("runs/cards/20260101-120000/words/adapter")
    taught.review("A1B2C3", "Amazon eGift Card")

A folder `RUN/words/NAME` holds `words.json` (what it is, and what it came to),
`weights.safetensors` (what was trained), and of a small decoder `tokenizer.json`. There
is no text in it that a user wrote. It goes with the very model that it was taught from:
another one has other vectors.

Shapes: N pairs.
"""

import dataclasses
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from llmgnn_jax.assets.named_path import named_path
from llmgnn_jax.errors import UserError
from llmgnn_jax.speaking.adapter import Adapter
from llmgnn_jax.speaking.known import Known, ReviewPair
from llmgnn_jax.speaking.pupil import ADAPTER, Pupil
from llmgnn_jax.speaking.pupils import PupilOptions, small_decoder
from llmgnn_jax.text.generation.generator import GREEDY, TextGenerator
from llmgnn_jax.text.generation.sampling import SamplingOptions
from llmgnn_jax.text.generation.small.config import SmallConfig
from llmgnn_jax.text.generation.small.decoder import SmallDecoder
from llmgnn_jax.text.generation.small.pieces import PieceTokenizer
from llmgnn_jax.text.parameters import flat, nested
from llmgnn_jax.text.pretrained import weights_hash
from llmgnn_jax.text.pretrained.folder import folder_of
from llmgnn_jax.text.pretrained.save import write_json, write_tensors

DOCUMENT = "words.json"
WEIGHTS = "weights.safetensors"
_FORMAT = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Taught:
    """A pupil that can be asked for reviews.

    Attributes:
        options: Which pupil.
        pupil: As it was taught.
        known: What the run knows.
    """

    options: PupilOptions
    pupil: Pupil
    known: Known

    def review(
        self,
        user: str,
        item: str,
        *,
        max_new_tokens: int = 64,
        options: SamplingOptions = GREEDY,
        seed: int = 0,
    ) -> str:
        """A review that a user might write of an item.

        Args:
            user: External id of a user of the run's data.
            item: An item's id or title.
            max_new_tokens: Most tokens of it.
            options: How they are drawn.
            seed: Of the draws.

        Raises:
            UserError: If there is no such user or item.
        """
        who, what = self.known.user_slot(user), self.known.item_slot(item)
        pair = ReviewPair(
            user=who, item=what, prompt=self.known.prompt(who, what), review=""
        )
        return self.reviews(
            [pair], max_new_tokens=max_new_tokens, options=options, seed=seed
        )[0]

    def reviews(
        self,
        pairs: Sequence[ReviewPair],
        *,
        max_new_tokens: int = 64,
        options: SamplingOptions = GREEDY,
        seed: int = 0,
    ) -> list[str]:
        """A review for each pair, on one line; what they wrote is not looked at."""
        vectors_NC = self.vectors(pairs)
        found = self.pupil.speaks().generate(
            self.pupil.prompts([pair.prompt for pair in pairs]),
            max_new_tokens=max_new_tokens,
            options=options,
            seed=seed,
            prefix_BPD=self.pupil.soft_tokens(vectors_NC),
        )
        return [" ".join(one.text.split()) for one in found]

    def vectors(self, pairs: Sequence[ReviewPair]) -> np.ndarray:
        """(N, C) what is told of each pair."""
        return self.known.vectors_of(pairs, told=self.options.told)

    def save(self, folder: Path, results: Mapping[str, Any]) -> None:
        """Writes it, all or nothing.

        Args:
            folder: Replaced if it is there.
            results: What it came to, for whoever reads `words.json`.

        Raises:
            UserError: If it cannot be written.
        """
        unfinished = folder.with_name(f".{folder.name}.{os.getpid()}")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            unfinished.mkdir()
            arrays = flat(self.pupil.trained)
            write_tensors(
                unfinished / WEIGHTS,
                {name: np.asarray(array) for name, array in arrays.items()},
            )
            if self.pupil.pieces is not None:
                self.pupil.pieces.save(unfinished)
            write_json(unfinished / DOCUMENT, self._document(results))
            if folder.exists():
                shutil.rmtree(folder)
            unfinished.rename(folder)
        except OSError as error:
            raise UserError.field(
                str(folder),
                expected="a folder that can be written",
                got=error.strerror or error,
            ) from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def _document(self, results: Mapping[str, Any]) -> dict[str, Any]:
        adapter = self.pupil.adapter
        assert adapter is not None, "what is kept is told of its pairs"
        document: dict[str, Any] = {
            "format": _FORMAT,
            "pupil": dataclasses.asdict(self.options),
            "model": self.known.model_name,
            "version": self.known.version,
            "adapter": dataclasses.asdict(adapter),
            "results": dict(results),
        }
        if isinstance(self.pupil.model, SmallDecoder):
            document["shape"] = dataclasses.asdict(self.pupil.model.config)
        else:
            document["words_hash"] = weights_hash(folder_of(self.options.words))
        return document

    @classmethod
    def load(cls, folder: str | Path, *, known: Known | None = None) -> "Taught":
        """Reads what `save` wrote.

        Args:
            folder: `RUN/words/NAME`.
            known: What the run knows, where it is loaded already.

        Raises:
            UserError: If it is not whole, the run is not there, or the run's model or
                the language model are no longer those that it was taught with.
        """
        folder = named_path(folder)
        document = _read(folder / DOCUMENT)
        try:
            options = PupilOptions(**document["pupil"])
            model, version = document["model"], document["version"]
            adapter = Adapter(**document["adapter"])
            config = None
            if options.decoder != "adapter":
                config = SmallConfig(**document["shape"])
        except (KeyError, TypeError) as error:
            raise UserError.field(
                str(folder / DOCUMENT),
                expected="what `llmgnn teach` writes",
                got=f"another document ({error})",
            ) from error
        if known is None:
            known = Known.load(folder.parent.parent, model=model)
        if known.version != version:
            raise UserError.field(
                str(folder),
                expected="words for the run's model as it is now",
                got="words for another model or an earlier state of it",
                fix="teach again",
            )
        if config is None:
            if weights_hash(folder_of(options.words)) != document.get("words_hash"):
                raise UserError.field(
                    f"words {options.words!r}",
                    expected="the language model that the adapter was taught with",
                    got="another one of that name",
                    fix="teach again",
                )
            # As it generates fastest; only training wants matrices laid out in rows.
            pupil = Pupil(
                generator=TextGenerator.load(options.words, dtype=options.dtype),
                adapter=adapter,
                trained={ADAPTER: adapter.initial(seed=options.seed)},
            )
        else:
            pupil = small_decoder(
                options,
                config=config,
                pieces=PieceTokenizer.load(folder),
                inputs=adapter.inputs,
            )
        trained = _read_weights(folder / WEIGHTS, pupil.trained)
        return cls(options=options, pupil=pupil.taught(trained), known=known)


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError.field(
            str(path.parent),
            expected="a folder that `llmgnn teach` wrote",
            got=f"none with a {path.name} that can be read",
            fix="teach first, or name another RUN/words/NAME",
        ) from error
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise UserError.field(
            str(path), expected=f"words of format {_FORMAT}", got="another document"
        )
    return document


def _read_weights(path: Path, template: Any) -> dict[str, Any]:
    try:
        found = safetensors.numpy.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError.field(
            str(path), expected="the weights", got=str(error), fix="teach again"
        ) from error
    wanted = {name: leaf.shape for name, leaf in flat(template).items()}
    if {name: array.shape for name, array in found.items()} != wanted:
        raise UserError.field(
            str(path),
            expected="the tensors that words.json tells of",
            got="others",
            fix="teach again",
        )
    return nested({name: jnp.asarray(array) for name, array in found.items()})
