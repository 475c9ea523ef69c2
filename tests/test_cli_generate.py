"""`llmgnn generate`: to the terminal, as a document, and how it refuses."""

import io
import json

import pytest

from llmgnn_jax.text.generation.chat import Turn
from llmgnn_jax.text.generation.generator import TextGenerator
from tests.text.generation.conftest import tiny_decoder

__all__ = ["tiny_decoder"]


def test_it_says_what_the_generator_says(
    llmgnn, workplace, tiny_decoder, monkeypatch
) -> None:
    command = ("generate", "--decoder", tiny_decoder, "--max-new-tokens", 12)
    code, out, err = llmgnn(*command, "hero")
    assert code == 0, err
    generator = TextGenerator.load(tiny_decoder)
    prompt = generator.chat([Turn(role="user", text="hero")])
    (found,) = generator.generate([prompt], max_new_tokens=12)
    assert out == found.text + "\n"
    assert err == ""

    code, out, _ = llmgnn(*command, "hero", "--json")
    document = json.loads(out)
    assert document["text"] == found.text
    assert document["ids"] == list(found.ids)
    assert document["prompt"] == prompt
    assert document["prompt_tokens"] == generator.count_tokens([prompt])[0]

    monkeypatch.setattr("sys.stdin", io.StringIO("hero"))
    drawing = ("--temperature", 2, "--top-k", 9, "--top-p", 0.9, "--seed", 3)
    code, out, _ = llmgnn(*command, "-", "--plain", *drawing, "--json")
    document = json.loads(out)
    assert document["prompt"] == "hero"
    assert 0 < len(document["ids"]) <= 12
    again = json.loads(llmgnn(*command, "hero", "--plain", *drawing, "--json")[1])
    assert again["ids"] == document["ids"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--max-new-tokens", 0), "--max-new-tokens: expected 1 or more, got 0"),
        (("--temperature", -1), "temperature: expected 0, or a number"),
        (("--plain", "--system", "x"), "--system: expected none with --plain"),
        (("--stop", ""), "stop: expected texts that are not empty"),
        (("--decoder", "no/such/folder"), "no/such/folder"),
    ],
)
def test_refusals(refused, workplace, tiny_decoder, words, message) -> None:
    assert message in refused("generate", "hero", "--decoder", tiny_decoder, *words)
