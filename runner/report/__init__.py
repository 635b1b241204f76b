"""What is left in the morning: results.tsv, progress.png, report.html. All can be made again from the ledger."""

from __future__ import annotations

from pathlib import Path

from runner.ledger import Ledger
from runner.workspace import Workspace


def write(workspace: Workspace, ledger: Ledger, run: str) -> dict[str, Path]:
    """Write all three into the workspace; returns their paths."""
    from runner.report.html import write_html
    from runner.report.plot import write_plot
    from runner.report.tsv import write_tsv

    experiments = ledger.experiments(run)
    paths = {name: workspace.folder / name for name in ("results.tsv", "progress.png", "report.html")}
    write_tsv(paths["results.tsv"], experiments)
    write_plot(paths["progress.png"], experiments)
    write_html(paths["report.html"], ledger.run(run), experiments, paths["progress.png"])
    return {"results": paths["results.tsv"], "plot": paths["progress.png"], "report": paths["report.html"]}
