"""The report of a run: `write_report(run_dir)` makes a self-contained `report.html`."""

from llmgnn_jax.evaluation.report.page import write_report

__all__ = ["write_report"]
