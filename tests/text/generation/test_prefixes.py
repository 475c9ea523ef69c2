"""What prompts begin with is read once, and nothing else changes."""

import collections
import concurrent.futures
import copy
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.text.generation import prefixes
from llmgnn_jax.text.generation.batches import prompt_batches
from llmgnn_jax.text.generation.generator import TextGenerator
from llmgnn_jax.text.generation.model import PrefixModel, PrefixState, Prompt
from llmgnn_jax.text.generation.prefixes import PrefixCache
from tests.text.generation.decoders import SHAPES, TINY, greedy, noisy

NEW = 8
CUT = 6
FACTS = "You say why a film is recommended, in one plain sentence, by its facts. "
OTHER = "Of a film, and of nothing else at all, you say for whom it may have been. "


def whole_and_cut(model: Any, params: Any) -> tuple[Prompt, Prompt]:
    """Rows of different lengths and beginnings, and the same behind those."""
    ids = np.random.default_rng(1).integers(3, 70, (4, 16)).astype(np.int32)
    ids[2] = ids[0]
    ids[2, CUT:] += 1
    lengths = np.array([16, 7, 12, 9], np.int32)
    after = jax.jit(model.read_prefix)(params, ids[:, :CUT])
    return Prompt(ids, lengths), Prompt(ids[:, CUT:], lengths - CUT, after=after)


@pytest.mark.parametrize("shape", ["llama", "qwen3", "gemma"])
def test_tokens_behind_a_prefix_are_those_of_the_whole(lay_out, shape: str) -> None:
    model, params = lay_out(noisy(dataclasses.replace(TINY, **SHAPES[shape])))
    assert isinstance(model, PrefixModel)
    whole, behind = whole_and_cut(model, params)
    wanted, found = (
        greedy(model, params, each, NEW, stop_ids=(0, 2)) for each in (whole, behind)
    )
    np.testing.assert_array_equal(found.ids_BN, wanted.ids_BN)
    np.testing.assert_array_equal(found.lengths_B, wanted.lengths_B)
    np.testing.assert_allclose(
        found.log_probabilities_BN, wanted.log_probabilities_BN, atol=2e-4
    )


def test_logits_behind_a_prefix_are_those_of_the_whole(lay_out) -> None:
    model, params = lay_out(noisy(TINY))
    whole, behind = whole_and_cut(model, params)
    wanted = np.asarray(jax.jit(model.all_logits)(params, whole))[:, CUT:]
    found = np.asarray(jax.jit(model.all_logits)(params, behind))
    mask = np.arange(16 - CUT)[None] < np.asarray(behind.lengths_B)[:, None]
    assert np.abs(found - wanted)[mask].max() <= 2e-5 * np.abs(wanted[mask]).max()


def test_bfloat16_behind_a_prefix(lay_out) -> None:
    model, params = lay_out(noisy(TINY), dtype="bfloat16")
    whole, behind = whole_and_cut(model, params)
    prefill = jax.jit(model.prefill, static_argnames="capacity")
    wanted, _ = prefill(params, whole, capacity=1)
    found, _ = prefill(params, behind, capacity=1)
    np.testing.assert_allclose(found, wanted, atol=0.02 * np.abs(wanted).max())


@dataclass(frozen=True, eq=False)
class Echo:
    """Its keys are the tokens times the parameters; `reads` are what it was given."""

    reads: list[Any] = dataclasses.field(default_factory=list)
    vocab_size: int = 1000
    max_tokens: int = 1000

    def prefill(self, params: Any, prompt: Prompt, *, capacity: int) -> Any:
        raise NotImplementedError

    step = all_logits = prefill

    def read_prefix(self, params: Any, ids_BS: jax.Array) -> PrefixState:
        jax.debug.callback(lambda ids: self.reads.append(ids.tolist()), ids_BS)
        keys = (params * ids_BS)[None, :, :, None, None]
        return PrefixState(keys, -keys)


def prompts_of(*shapes: tuple[int, int, int]) -> list[list[int]]:
    """For each (kind, tokens that the kind begins with, tokens of its own) a prompt."""
    return [
        [*range(100 * kind, 100 * kind + common), *(900 + np.arange(own) + 7 * row)]
        for row, (kind, common, own) in enumerate(shapes)
    ]


def test_rows_are_cut_where_it_costs_least() -> None:
    cache, params = PrefixCache(Echo()), jnp.float32(2)
    asked = prompts_of(*[(1, 70, 20), (2, 75, 11)] * 8, (3, 70, 9))
    (first, second) = prompt_batches(asked, new=4, reader=cache.reader(params, asked))
    batch = first.prompt
    assert batch.after is not None
    assert batch.after.num_tokens == 64
    for place, number in enumerate(first.rows):
        row = (
            *np.asarray(batch.after.keys_nBSGK)[0, place, :, 0, 0] / 2,
            *np.asarray(batch.ids_BL)[place, : batch.lengths_B[place]],
        )
        assert list(row) == asked[number]
        values = batch.after.values_nBSGK[0, place]
        np.testing.assert_array_equal(values, -batch.after.keys_nBSGK[0, place])
    # Nobody else begins as the last one does: it is read whole.
    assert second.prompt.after is None
    assert second.rows.tolist() == [16]
    assert np.asarray(second.prompt.ids_BL)[0, :79].tolist() == asked[16]
    # Rows of padding stand behind anything.
    three = prompts_of(*[(1, 100, 20)] * 3)
    (found,) = prompt_batches(three, new=4, reader=cache.reader(params, three))
    assert found.rows.tolist() == [0, 1, 2, -1]
    assert found.prompt.after is not None
    assert found.prompt.after.keys_nBSGK.shape[1] == 4


@pytest.mark.parametrize(
    "asked",
    [
        prompts_of(*[(1, 20, 50)] * 4),
        prompts_of((1, 70, 20), (2, 70, 20), (3, 70, 20)),
    ],
    ids=["too little in common", "nothing in common"],
)
def test_what_would_not_pay_is_read_whole(asked: list[list[int]]) -> None:
    reader = PrefixCache(Echo()).reader(jnp.float32(1), asked)
    assert all(
        batch.prompt.after is None
        for batch in prompt_batches(asked, new=4, reader=reader)
    )


def test_prefixes_are_kept_between_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Echo()
    cache, params = PrefixCache(model), jnp.float32(1)

    def cut(asked: list[list[int]], params: jax.Array) -> int:
        reader = cache.reader(params, asked)
        (batch,) = prompt_batches(asked, new=4, reader=reader)
        jax.effects_barrier()
        after = batch.prompt.after
        return 0 if after is None else after.num_tokens

    def kind(number: int, count: int = 8) -> list[list[int]]:
        return prompts_of(*[(number, 99, 20)] * count)

    assert cut(kind(1), params) == 96
    assert cut(kind(1), params) == 96
    assert model.reads == [[list(range(100, 196))]]
    # Of what is kept the beginning alone, for a prompt that asks for no more.
    assert cut(prompts_of(*[(1, 50, 30)] * 8), params) == 32
    assert len(model.reads) == 1
    # The first prompts of a kind do not know that others will come.
    assert [cut(kind(4, 2), params) for _ in range(3)] == [0, 96, 96]
    assert len(model.reads) == 2
    # Other parameters have other keys.
    other = jnp.float32(3)
    assert cut(kind(1), other) == 96
    assert len(model.reads) == 3
    # What was used last stays, however little there is room for.
    monkeypatch.setattr(prefixes, "_KEPT_BYTES", 0)
    assert [cut(kind(number), other) for number in (2, 2, 1)] == [96, 96, 96]
    assert len(model.reads) == 5


def test_calls_with_other_parameters_go_on_side_by_side() -> None:
    """Batches are made when they are asked for: others may have been in between."""
    cache, asked = PrefixCache(Echo()), prompts_of(*[(1, 99, 20)] * 32)
    both = [
        prompt_batches(asked, new=4, reader=cache.reader(jnp.float32(by), asked))
        for by in (2, 3)
    ]
    for batches in zip(*both, strict=True):
        for by, batch in zip((2, 3), batches, strict=True):
            assert batch.prompt.after is not None
            keys = np.asarray(batch.prompt.after.keys_nBSGK)[0, 0, :, 0, 0]
            np.testing.assert_array_equal(keys, by * np.arange(100, 196))


def test_threads_share_what_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefixes, "_KEPT", 2)
    cache, params = PrefixCache(Echo()), (jnp.float32(1), jnp.float32(2))

    def read(number: int) -> float:
        kind, by = 1 + number % 5, number % 2
        asked = prompts_of(*[(kind, 99, 20)] * 8)
        reader = cache.reader(params[by], asked)
        (batch,) = prompt_batches(asked, new=4, reader=reader)
        assert batch.prompt.after is not None
        return float(batch.prompt.after.keys_nBSGK[0, 0, 0, 0, 0])

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(read, range(200)))
    assert found == [100 * (1 + n % 5) * (1 + n % 2) for n in range(200)]


def without(generator: TextGenerator, prompts: list[str]) -> list[tuple[int, ...]]:
    """Tokens of prompts that are read whole, each by itself."""
    found = []
    for ids in generator.tokenizer.encode(prompts):
        prompt = Prompt.whole(
            np.pad(np.array([ids], np.int32), ((0, 0), (0, 128 - len(ids))))
        )
        prompt = prompt._replace(lengths_B=np.array([len(ids)], np.int32))
        decoded = greedy(
            generator.model, generator.params, prompt, NEW, stop_ids=(0, 2)
        )
        found.append(tuple(decoded.ids_BN[0, : decoded.lengths_B[0]].tolist()))
    return found


@pytest.mark.parametrize("layout", ["auto", "rows"])
def test_a_generator_says_the_same(
    tiny_decoder: Path, layout: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = collections.Counter()
    read = PrefixCache.read

    def counted(self: PrefixCache, prefix: Any, params: Any) -> PrefixState:
        reads[len(prefix)] += 1
        return read(self, prefix, params)

    monkeypatch.setattr(PrefixCache, "read", counted)
    generator = TextGenerator.load(tiny_decoder, layout=layout)
    prompts = [FACTS + "x" * own for own in range(0, 20, 3)]
    prompts += [OTHER + "y" * own for own in range(1, 20, 3)]
    wanted = without(generator, prompts)
    for _ in range(2):
        found = generator.generate(prompts, max_new_tokens=NEW)
        assert [one.ids for one in found] == wanted
    assert reads == {64: 4}
    for prompt, one in zip(prompts[:2], found, strict=False):
        assert "".join(generator.stream(prompt, max_new_tokens=NEW)) == one.text
    stopped = generator.generate(prompts, max_new_tokens=NEW, stop=["never"])
    assert [one.ids for one in stopped] == wanted
    # Behind soft tokens, which are others for each, all places are others.
    soft = np.random.default_rng(0).normal(size=(14, 2, generator.dim))
    reads.clear()
    generator.generate(prompts, max_new_tokens=NEW, prefix_BPD=soft)
    assert not reads
    # With other parameters nothing is left of what the old ones read.
    other = copy.copy(generator)
    other.params = jax.tree.map(lambda leaf: leaf * 1.25, generator.params)
    for each in (other, generator):
        found = each.generate(prompts, max_new_tokens=NEW)
        assert [one.ids for one in found] == without(each, prompts)
    assert without(other, prompts) != wanted
