"""A whole run in a bucket, which a server on this machine stands for."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest

from llmgnn_jax.config import replace

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("gcsfs") is None, reason="gcsfs is out of reach"
    ),
]


class Server:
    """The bucket `runs-bucket` in a process of its own."""

    def __init__(self, *options):
        script = Path(__file__).with_name("gcs_server.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script), "runs-bucket", *options],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = self.process.stdout.readline().strip()
        self._objects = f"{self.url}/storage/v1/b/runs-bucket/o"

    def names(self):
        with urlopen(self._objects) as answer:
            return {one["name"] for one in json.load(answer)["items"]}

    def read(self, name):
        with urlopen(f"{self._objects}/{quote(name, safe='')}?alt=media") as answer:
            return answer.read().decode()

    def delete(self, name):
        where = f"{self._objects}/{quote(name, safe='')}"
        urlopen(Request(where, method="DELETE")).close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def llmgnn_at(workplace, cache_folder):
    """(server, arguments, code=) -> stdout, stderr of a command."""

    def run(server, *arguments, code=0):
        environment = {
            **os.environ,
            "JAX_PLATFORMS": "cpu",
            "LLMGNN_CACHE": str(cache_folder),
            "LLMGNN_OFFLINE": "1",
            "STORAGE_EMULATOR_HOST": server.url,
            "TENSORSTORE_GCS_HTTP_URL": server.url,
        }
        done = subprocess.run(
            [sys.executable, "-m", "llmgnn_jax.cli", *map(str, arguments)],
            cwd=workplace,
            env=environment,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == code, done.stdout + done.stderr
        # Tensorstore's own: it looks for credentials, which this server asks for none.
        lines = done.stderr.splitlines()
        return done.stdout, [one for one in lines if "google_auth_provider" not in one]

    return run


@pytest.fixture
def words(tiny_config, as_typed):
    config = replace(
        tiny_config,
        **{
            "models": ("graph",),
            "train.steps": 60,
            "train.steps_per_call": 5,
            "train.validate_every": 20,
            "train.checkpoint_every": 20,
            "train.keep_checkpoints": 2,
            "evaluation.baselines": False,
        },
    )
    return ["train", "synthetic", *as_typed(config)]


def logged(text):
    return [
        (one["model"], one.get("step"), one.get("loss"), one.get("valid"))
        for one in map(json.loads, text.splitlines())
    ]


def qualities(text):
    models = json.loads(text)["models"]
    return {name: (model["valid"], model["test"]) for name, model in models.items()}


@pytest.mark.timeout(600)
def test_it_is_the_run_of_a_folder(llmgnn_at, words, workplace):
    url = "gs://runs-bucket/some/run"
    with Server() as server:
        llmgnn_at(server, *words, "--out", "here")
        here = workplace / "here"
        out, err = llmgnn_at(server, *words, "--out", url)
        assert out.splitlines()[-1] == f"report  {url}/report.html"
        assert not [line for line in err if "Traceback" in line]
        files = {
            name.removeprefix("some/run/").partition("/")[0] for name in server.names()
        }
        assert files == {path.name for path in here.iterdir()}
        local = (here / "metrics.jsonl").read_text("utf-8")
        assert logged(server.read("some/run/metrics.jsonl")) == logged(local)
        results = (here / "results.json").read_text("utf-8")
        assert qualities(server.read("some/run/results.json")) == qualities(results)
        # Nothing of it is on this machine.
        assert not (workplace / "gs:").exists()

        question = ("recommend", "--user", "u3", "--json")
        answers = [
            json.loads(llmgnn_at(server, question[0], run, *question[1:])[0])["items"]
            for run in ("here", url)
        ]
        assert answers[0] == answers[1]
        server.delete("some/run/report.html")
        llmgnn_at(server, "evaluate", url)
        assert "some/run/report.html" in server.names()

        # As if it had been killed while the last checkpoint was written.
        server.delete("some/run/checkpoints/graph/60/commit_success.txt")
        _, err = llmgnn_at(server, *words, "--out", url, "--resume")
        assert f"{url}/checkpoints/graph: step 60 is not complete and is skipped" in err
        assert "graph: resumed at step 40" in err
        assert logged(server.read("some/run/metrics.jsonl")) == logged(local)
        assert "some/run/checkpoints/graph/60/commit_success.txt" in server.names()
        assert not [one for one in server.names() if "/graph/20/" in one]

        _, err = llmgnn_at(server, *words, "--out", url, code=2)
        assert err[-1].startswith(f"error: {url}: expected a new or empty folder")
        llmgnn_at(server, *words, "--out", url, "--overwrite", "--train.steps", "5")
        assert (
            max(
                step or 0
                for _, step, *_ in logged(server.read("some/run/metrics.jsonl"))
            )
            == 5
        )


def test_what_cannot_be_reached_is_one_line(llmgnn_at, words):
    with Server("--read-only") as server:
        for name, reason in (
            ("gs://runs-bucket/run", "Forbidden"),
            ("gs://another-bucket/run", "does not exist"),
        ):
            _, err = llmgnn_at(server, *words, "--out", name, code=2)
            assert err[-1].startswith(
                f"error: {name}: expected a bucket that can be reached"
            )
            assert reason in err[-1]
            assert not [line for line in err if "Traceback" in line]
    _, err = llmgnn_at(server, "recommend", "gs://runs-bucket/run", code=2)
    assert err[-1].startswith("error: gs://runs-bucket/run: expected a bucket")
    assert not [line for line in err if "Traceback" in line]
