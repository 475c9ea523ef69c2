"""`TextEncoder`: texts to vectors of unit length.

    encoder = TextEncoder.load("minilm-l6")
    vectors = encoder.encode(["a heist film with robots"])   # (1, 384) float32

Shapes: B rows, L tokens, D width, N texts.
"""

import copy
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encoder_options import (
    batch_tokens_or_default,
    check_dtype,
    check_fits,
)
from llmgnn_jax.text.encoder_program import EncoderProgram
from llmgnn_jax.text.encoders.layers import ComputeDtype
from llmgnn_jax.text.encoders.model import (
    EncoderModel,
    Params,
    with_kernels_in,
)
from llmgnn_jax.text.fingerprint import params_hash
from llmgnn_jax.text.heads import Head
from llmgnn_jax.text.identity import identity_of
from llmgnn_jax.text.interface import EncodedBatch, in_order
from llmgnn_jax.text.length_buckets import TokenBatch, length_buckets
from llmgnn_jax.text.packing import PackedBatch, packed_batches, packs_well
from llmgnn_jax.text.pooling import TextPooling
from llmgnn_jax.text.pretrained import load_encoder, save_encoder, weights_hash
from llmgnn_jax.text.pretrained.folder import folder_of
from llmgnn_jax.text.pretrained.gguf import gguf_of
from llmgnn_jax.text.readout import (
    READOUT,
    Readout,
    check_readout,
    without_readout,
)
from llmgnn_jax.text.readout_file import load_readout, save_readout
from llmgnn_jax.text.tokens import Tokenizer, load_tokenizer

logger = logging.getLogger(__name__)


class TextEncoder:
    """A frozen encoder with its tokenizer, compiled once for each shape of batch.

    On one processor and with the same versions, a text's vector depends on the text,
    `identity` and `batch_tokens` alone: not on what is encoded with it, to the last bit
    in the BERT family, to rounding elsewhere.

    Args:
        model: The encoder.
        tokenizer: Its tokenizer.
        weights: Hex hash of the parameters' values.
        pooling: How token vectors become one.
        head: "dense", which is by that pooling, or "convolutional", see `readout`.
        learned: Parameters of the readout, where it has some; None: at their first
            values.
        max_length: Longest text in tokens; what is longer is cut.
        dtype: Operands of the matrix products, as `model` was declared.
        batch_tokens: Places of a batch, padding included; by the device if None.

    Raises:
        UserError: If pooling, head, max_length or batch_tokens are out of range, or the
            tokenizer has ids that the encoder lacks.
    """

    def __init__(
        self,
        *,
        model: EncoderModel,
        tokenizer: Tokenizer,
        weights: str,
        pooling: TextPooling = "mean",
        head: Head = "dense",
        learned: Params | None = None,
        max_length: int = 256,
        dtype: ComputeDtype = "float32",
        batch_tokens: int | None = None,
    ) -> None:
        config = model.config
        readout = Readout(
            head=head, pooling=pooling, inputs=config.out_features, dtype=dtype
        )
        check_fits(config, tokenizer=tokenizer, max_length=max_length)
        self.packs = packs_well(config)
        self.model = model
        self.config = config
        self.readout = readout
        self.max_length = max_length
        self.dtype = dtype
        self.batch_tokens = batch_tokens_or_default(batch_tokens, packs=self.packs)
        self.learned = readout.initial(seed=0) if learned is None else learned
        self._params = with_kernels_in(dtype, self.params)
        self._tokenizer = tokenizer
        self._weights: str | None = weights
        self._program = EncoderProgram(model.graphdef, readout)

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        pooling: TextPooling = "mean",
        head: Head = "dense",
        max_length: int = 256,
        dtype: ComputeDtype = "float32",
        batch_tokens: int | None = None,
    ) -> "TextEncoder":
        """Loads a pretrained encoder.

        Args:
            source: The name of an asset ("minilm-l6", fetched if it is not cached), or
                a folder in Hugging Face's layout, or a GGUF file, or, where there is no
                such folder, a name on the Hugging Face hub ("owner/model", likewise).
            pooling: "mean", "cls", "last" or "attention", whose query starts at 0 where
                the folder has none.
            head: "dense", or "convolutional", likewise with random filters.
            max_length: Longest text in tokens; what is longer is cut.
            dtype: Operands of the matrix products: "float32", or "bfloat16", which is
                faster where the processor has units for it.
            batch_tokens: Places of a batch, padding included; by the device if None.

        Raises:
            UserError: If it is unknown, cannot be fetched or read, is of an
                architecture that is not supported, or an option is out of range.
        """
        check_dtype(dtype)
        check_readout(head=head, pooling=pooling)
        folder = folder_of(source)
        started = time.perf_counter()
        with gguf_of(folder) as opened:
            model = load_encoder(folder, dtype=dtype, opened=opened)
            tokenizer = load_tokenizer(folder, opened=opened)
        width = model.config.out_features
        encoder = cls(
            model=model,
            tokenizer=tokenizer,
            weights=weights_hash(folder),
            pooling=pooling,
            head=head,
            learned=load_readout(
                folder, Readout(head=head, pooling=pooling, inputs=width)
            ),
            max_length=max_length,
            dtype=dtype,
            batch_tokens=batch_tokens,
        )
        seconds = time.perf_counter() - started
        logger.info("loaded the text encoder %s in %.1f s", source, seconds)
        return encoder

    def with_params(self, params: Params) -> "TextEncoder":
        """The same encoder with other parameters; nothing is compiled anew.

        Args:
            params: Like `params`, without adapters. They are hashed when the identity
                is asked for, as a store does.
        """
        other = copy.copy(self)
        other.model = self.model._replace(params=without_readout(params))
        other.learned = {READOUT: params[READOUT]} if self.readout.learned else {}
        other._params = with_kernels_in(self.dtype, params)
        other._weights = None
        return other

    def with_learned(self, learned: Params) -> "TextEncoder":
        """The same encoder with a readout that has learned something else.

        Args:
            learned: As `Readout.initial` gives it.
        """
        other = copy.copy(self)
        other.learned = learned
        other._params = {**self._params, **with_kernels_in(self.dtype, learned)}
        return other

    def save(self, folder: str | Path) -> None:
        """Writes weights, shape and tokenizer in Hugging Face's layout.

        `load` reads it again, given the same pooling, head and `max_length`; so does
        transformers, unless it is an encoder over a table of words.

        Args:
            folder: Made if absent; files of the same names are replaced.

        Raises:
            UserError: If it cannot be written.
        """
        path = Path(folder)
        try:
            save_encoder(path, params=self.model.params, config=self.config)
            save_readout(path, self.learned)
            self._tokenizer.save(path)
        except OSError as error:
            raise UserError.field(
                str(path),
                expected="a folder that can be written",
                got=error.strerror or error,
            ) from error

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The token ids of each text, cut to `max_length`."""
        return self._tokenizer.encode(texts, max_length=self.max_length)

    @property
    def pooling(self) -> TextPooling:
        """How token vectors become one, with the head "dense"."""
        return self.readout.pooling

    @property
    def params(self) -> Params:
        """All parameters: the encoder's, and what its readout has learned."""
        return {**self.model.params, **self.learned}

    @property
    def pad_id(self) -> int:
        """The token id that fills rows up."""
        return self._tokenizer.pad_id

    @property
    def dim(self) -> int:
        """D, the width of the vectors."""
        return self.readout.out_features

    @property
    def identity(self) -> str:
        """Hex hash of all that decides a text's vector: equal ones, equal vectors.

        Covers weights, shape of the encoder, tokenizer, readout, max_length, dtype,
        kind of device and whether our kernels run.
        """
        if self._weights is None:
            self._weights = params_hash(self.model.params)
        return identity_of(
            self.config,
            weights=self._weights,
            tokenizer=self._tokenizer.fingerprint,
            readout=self.readout,
            learned=self.learned,
            max_length=self.max_length,
            dtype=self.dtype,
        )

    @property
    def num_compilations(self) -> int:
        """Shapes of batch that were compiled so far."""
        return self._program.num_compilations

    def encode(
        self,
        texts: Sequence[str],
        progress: Callable[[int], None] | None = None,
    ) -> np.ndarray:
        """Encodes texts.

        Args:
            texts: Any strings: "" too; what is above `max_length` tokens is cut.
            progress: Called with the number of texts done after each batch.

        Returns:
            (N, D) float32 of unit length, in the order of the texts.

        Raises:
            UserError: If one of them is no str.
            FloatingPointError: If the weights give vectors that are not finite.
        """
        batches = self.encode_batches(texts)
        return in_order(batches, count=len(texts), dim=self.dim, progress=progress)

    def encode_batches(self, texts: Sequence[str]) -> Iterator[EncodedBatch]:
        """Encodes texts, giving each batch as it is finished (`encode`, in parts)."""
        if isinstance(texts, str):
            raise UserError.field("texts", expected="a list of texts", got="one str")
        yield from self._program.run(self._params, self.lay_out(texts))

    def lay_out(self, texts: Sequence[str]) -> Iterator[TokenBatch | PackedBatch]:
        """The batches in which texts are encoded."""
        ids, pad_id = self.tokens(texts), self.pad_id
        if not self.packs:
            yield from length_buckets(
                ids,
                batch_tokens=self.batch_tokens,
                max_length=self.max_length,
                pad_id=pad_id,
            )
            return
        most = max(self.batch_tokens, self.max_length)
        yield from packed_batches(ids, most=most, pad_id=pad_id)
