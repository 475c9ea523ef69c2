"""The blocks of the walk-through that need a database."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
RUN_ALL = """
import sys
sys.path.insert(0, sys.argv[1])
import make_notebook
blocks = make_notebook.pages_of(make_notebook.HERE)["walkthrough.md"]
made = make_notebook.run(blocks, has=["neo4j"])
assert make_notebook.with_outputs(blocks, made) == blocks
ran = [b for n, b in enumerate(blocks) if n in made and b.option == "neo4j"]
print(len(ran))
"""


def test_from_the_database_to_a_sentence_and_back(server, workplace):
    page = (ROOT / "docs" / "walkthrough.md").read_text("utf-8")
    (shown,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    tables = shown.replace('name = "shop"\n', "")
    tables = re.sub(r"\[neo4j\]\n(.+\n)+", "", tables)
    mapping = 'name = "shop"\n' + server.toml(tables)
    (workplace / "shop.toml").write_text(mapping, "utf-8")
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL, str(ROOT / "docs")],
        cwd=workplace,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        timeout=800,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "3\n"
    written = server.ask(
        "MATCH (u:User {id: 'u1'})-[r:RECOMMENDED]->(i:Item) "
        "RETURN r.rank AS rank ORDER BY rank"
    )
    assert written == [(1,), (2,), (3,)]
