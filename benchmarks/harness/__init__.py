"""Times systems against one another: each in a process of its own, in strict turns.

    CASE = Case(size=..., precision="float32", unit="ms", inputs=make, systems=(...))
    main("propagation", cases)

A system is a function `setup(inputs, **options) -> Task` in a module that its worker
alone imports, so that torch and JAX never share a process. What happens to a case:

1. `inputs` are made once and saved; every worker maps the same files.
2. Every worker sets up, and saves what it computes from the inputs.
3. Parity: outputs and gradients of all are compared. Nothing is timed unless they
   agree.
4. One run of each compiles and is timed apart; a few more are warm-up.
5. Rounds: one worker after the other has a turn, the others are blocked on a pipe.

A system whose packages are absent is missing from the rows, with the reason.
"""

from benchmarks.harness.command import main
from benchmarks.harness.system import Case, System, Task, Unavailable, Work

__all__ = ["Case", "System", "Task", "Unavailable", "Work", "main"]
