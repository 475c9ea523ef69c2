"""MKL, which does PyTorch's products on a CPU, told to use all of an AMD processor.

MKL asks a function of its own whether the processor is Intel's, and on others takes
kernels for older ones: on an EPYC with AVX-512 its float32 products run at half the
speed that they have with the rest. A library that is loaded first answers yes for it.
Nothing installs that by itself; a baseline that is to be the strongest has it.
"""

import functools
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from benchmarks.harness import runtime

_BUILT = Path(__file__).resolve().parents[2] / "build" / "mkl" / "all_kernels.so"
_SOURCE = "int mkl_serv_intel_cpu_true(void) { return 1; }\n"


@functools.cache
def all_kernels() -> dict[str, str]:
    """Variables that a worker starts with; none where they would change nothing.

    None either where there is no C compiler: `document` says so then.
    """
    if platform.system() != "Linux" or "AMD" not in runtime.cpu_model():
        return {}
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if not _BUILT.exists():
        if compiler is None:
            return {}
        _BUILT.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_BUILT.parent) as folder:
            made = Path(folder) / "made.so"
            command = [compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", str(made)]
            subprocess.run(command, input=_SOURCE, text=True, check=True)
            made.replace(_BUILT)
    before = os.environ.get("LD_PRELOAD")
    return {"LD_PRELOAD": ":".join(filter(None, (str(_BUILT), before)))}


def kernels() -> str:
    """For a document: which kernels MKL had."""
    if "AMD" not in runtime.cpu_model():
        return "its own choice"
    return "all" if all_kernels() else "those for other processors than Intel's"
