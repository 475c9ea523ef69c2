"""Imports go down one list of rooms, and heavy ones stay where they belong."""

import ast
import re
from pathlib import Path

import llmgnn_jax

ROOMS = (
    *("errors", "config", "assets", "native", "data", "graph", "text"),
    *("parallel", "models"),
    *("evaluation", "evidence", "training", "tuning", "planning", "serving"),
    *("speaking", "recipes", "cli"),
)
# What a configuration or a dataset is read with must not start an accelerator.
JAX = {"jax", "jaxlib", "flax", "optax", "orbax", "jraph"}
WITHOUT_JAX = {"errors", "config", "assets", "data"}
# What hands graphs to PyTorch imports it, and only when it is asked to.
HANDS_TO_TORCH = {"data/sources/pyg_writer.py"}
PACKAGE = Path(llmgnn_jax.__file__).parent


def imported(source: str) -> set[str]:
    """Dotted names of all imports, those inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def violations(room: str, source: str) -> list[str]:
    to_the_right = ROOMS[ROOMS.index(room) + 1 :] if room in ROOMS else ()
    found = []
    for name in sorted(imported(source)):
        top, _, rest = name.partition(".")
        if top == "torch" or (top in JAX and room in WITHOUT_JAX):
            found.append(f"{room} imports {top}")
        if top == "llmgnn_jax" and rest.split(".")[0] in to_the_right:
            found.append(f"{room} imports {rest.split('.')[0]}")
    return found


def test_rooms() -> None:
    found = violations("train.py", (PACKAGE.parent / "train.py").read_text("utf-8"))
    for file in sorted(PACKAGE.rglob("*.py")):
        room = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        assert room in (*ROOMS, "__init__"), f"{room}: not in the list of rooms"
        source = file.read_text("utf-8")
        if file.relative_to(PACKAGE).as_posix() in HANDS_TO_TORCH:
            assert "torch" in {name.split(".")[0] for name in imported(source)}
            assert not re.search(r"^(import|from) torch", source, re.MULTILINE)
            source = re.sub(r"^ +import torch$", "", source, flags=re.MULTILINE)
        found += violations(room, source)
    assert found == []


def test_it_finds_them() -> None:
    wrong = "def f():\n    from llmgnn_jax.models.fusion import X\n    import jax.numpy"
    assert violations("data", wrong) == ["data imports jax", "data imports models"]
    assert violations("models", wrong) == []
    assert violations("cli", "import torch") == ["cli imports torch"]
    assert violations("graph", "from llmgnn_jax import cli") == ["graph imports cli"]
