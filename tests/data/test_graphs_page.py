"""The examples of docs/graphs_in_memory.md give what the page says they give."""

import doctest
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "graphs_in_memory.md"


@pytest.mark.parametrize("heading", ["NetworkX", "jraph", "PyTorch Geometric"])
def test_examples(heading: str) -> None:
    if heading == "PyTorch Geometric":
        pytest.importorskip("torch", reason="PyTorch is absent")
        pytest.importorskip(
            "torch_geometric", reason="PyTorch is absent: its torch_geometric"
        )
    sections = PAGE.read_text("utf-8").split("\n## ")
    section = next(one for one in sections if one.startswith(heading))
    examples = doctest.DocTestParser().get_doctest(
        section.replace("```", ""), {}, heading, str(PAGE), 0
    )
    assert len(examples.examples) >= 8
    told: list[str] = []
    doctest.DocTestRunner().run(examples, out=told.append)
    assert told == []
