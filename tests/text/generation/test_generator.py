"""`TextGenerator`: any number of prompts, stops, streams, likelihoods."""

from pathlib import Path

import numpy as np
import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.generation.chat import Turn
from llmgnn_jax.text.generation.generator import TextGenerator
from llmgnn_jax.text.generation.sampling import SamplingOptions
from llmgnn_jax.text.generation.stops import cut_at, held_back

DRAWN = SamplingOptions(temperature=1.5)
PROMPTS = ["hero", "", "a longer text about heroes and robots", "電影", "x"]


@pytest.fixture(scope="module")
def generator(tiny_decoder: Path) -> TextGenerator:
    return TextGenerator.load(tiny_decoder)


def test_prompts_keep_their_order_and_their_texts(generator: TextGenerator) -> None:
    # More than a batch holds.
    many = [PROMPTS[number % 5] + "!" * (number // 5) for number in range(23)]
    together = generator.generate(many, max_new_tokens=6)
    for row in (0, 1, 2, 17, 22):
        (alone,) = generator.generate([many[row]], max_new_tokens=6)
        assert alone.ids == together[row].ids
        assert alone.text == together[row].text
    assert generator.generate([]) == []


def test_draws_go_by_seed_and_number(generator: TextGenerator) -> None:
    one = generator.generate(PROMPTS, max_new_tokens=12, options=DRAWN, seed=4)
    again = generator.generate(PROMPTS, max_new_tokens=12, options=DRAWN, seed=4)
    other = generator.generate(PROMPTS, max_new_tokens=12, options=DRAWN, seed=5)
    assert one == again
    assert [found.ids for found in one] != [found.ids for found in other]


def test_a_stream_says_what_is_generated(generator: TextGenerator) -> None:
    for seed in range(4):
        keywords = {"max_new_tokens": 30, "options": DRAWN, "seed": seed}
        (whole,) = generator.generate(["hero"], **keywords)
        assert "".join(generator.stream("hero", **keywords)) == whole.text
        if len(whole.text) > 6:
            stop = [whole.text[4:6], "never"]
            (cut,) = generator.generate(["hero"], **keywords, stop=stop)
            assert cut.text == cut_at(whole.text, stop)
            assert cut.finished == "stop"
            assert stop[0] in generator.tokenizer.decode(cut.ids)
            assert "".join(generator.stream("hero", **keywords, stop=stop)) == cut.text


def test_the_models_own_stop_ends_a_text(generator: TextGenerator) -> None:
    assert generator.stop_ids == (0, 2)
    found = generator.generate(
        ["hero"] * 40, max_new_tokens=80, options=SamplingOptions(temperature=3.0)
    )
    ends = {one.finished for one in found}
    assert ends == {"stop", "length"}
    for one in found:
        assert not {0, 2} & set(one.ids)
        assert (len(one.ids) == 80) == (one.finished == "length")


def test_likelihoods_are_those_of_generating(generator: TextGenerator) -> None:
    found = generator.generate(PROMPTS, max_new_tokens=9)
    texts = [generator.tokenizer.ids(one.text) for one in found]
    said = generator.log_likelihoods(PROMPTS, [one.text for one in found])
    compared = 0
    for one, ids, likelihood in zip(found, texts, said, strict=True):
        assert likelihood.tokens == len(ids)
        # A text may be cut into other tokens than those that said it.
        if tuple(ids) == one.ids:
            assert abs(likelihood.total - one.log_probability) <= 1e-3
            compared += 1
    assert compared
    nothing = generator.log_likelihoods(["hero"], [""])[0]
    assert (nothing.total, nothing.tokens) == (0.0, 0)


def test_soft_tokens_go_with_their_prompts(generator: TextGenerator) -> None:
    prefix = np.random.default_rng(0).normal(size=(5, 3, generator.dim))
    keywords = {"max_new_tokens": 8}
    together = generator.generate(PROMPTS, prefix_BPD=prefix, **keywords)
    plain = generator.generate(PROMPTS, **keywords)
    assert [one.ids for one in together] != [one.ids for one in plain]
    for row in range(5):
        (alone,) = generator.generate(
            [PROMPTS[row]], prefix_BPD=prefix[row : row + 1], **keywords
        )
        assert alone.ids == together[row].ids
        streamed = generator.stream(PROMPTS[row], prefix_PD=prefix[row], **keywords)
        assert "".join(streamed) == alone.text
    totals = generator.log_likelihoods(PROMPTS, PROMPTS, prefix_BPD=prefix)
    others = generator.log_likelihoods(PROMPTS, PROMPTS)
    assert totals != others


def test_what_cannot_be_is_one_line(generator: TextGenerator, tiny_encoder) -> None:
    cases = [
        (lambda: generator.generate("hero"), "prompts: expected a list"),
        (lambda: generator.generate([3]), "text 0: expected a str"),
        (
            lambda: generator.generate(["a", "b" * 300]),
            "prompt 1: expected at most 64 tokens beside what is to follow, got 300",
        ),
        (
            lambda: generator.generate(["a"], max_new_tokens=0),
            "max_new_tokens: expected 1 or more",
        ),
        (
            lambda: generator.generate(["a"], max_new_tokens=1000),
            "prompt 0: expected at most 0 tokens",
        ),
        (lambda: generator.generate(["a"], stop="b"), "stop: expected a list"),
        (lambda: generator.generate(["a"], stop=[""]), "stop: expected texts"),
        (
            lambda: generator.generate(["a"], prefix_BPD=np.zeros((2, 1, 40))),
            r"prefix_BPD: expected \(1, P, 40\)",
        ),
        (
            lambda: generator.log_likelihoods(["a"], ["b", "c"]),
            "continuations: expected one for each prompt",
        ),
        (
            lambda: TextGenerator.load(tiny_encoder),
            "model_type: expected a decoder's",
        ),
    ]
    for call, message in cases:
        with pytest.raises(UserError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_a_conversation(generator: TextGenerator) -> None:
    prompt = generator.chat([Turn(role="user", text="hero")])
    assert generator.count_tokens([prompt]) > generator.count_tokens(["hero"])
    (found,) = generator.generate([prompt], max_new_tokens=4)
    (other,) = generator.generate([str(prompt)], max_new_tokens=4)
    assert len(found.ids) <= 4
    assert found != other


def test_what_may_begin_a_stop_is_held_back() -> None:
    assert held_back("abc", ["cde"]) == 1
    assert held_back("abcd", ["cde", "bcdx"]) == 3
    assert held_back("abc", ["xyz"]) == 0
    assert held_back("", ["x"]) == 0
    assert cut_at("abcabc", ["ca", "bc"]) == "a"
    assert cut_at("abc", []) is None
