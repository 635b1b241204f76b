"""What is left in the morning: results.tsv, progress.png, report.html. All can be made again from the ledger; a file of
the user's that has one of these names is set aside."""

from __future__ import annotations

import tempfile
from pathlib import Path

from runner import own_files
from runner.ledger import Ledger
from runner.workspace import Workspace


def write(workspace: Workspace, ledger: Ledger, run: str) -> dict[str, Path]:
    """Write all three into the workspace; returns their paths."""
    from runner.report.html import write_html
    from runner.report.plot import write_plot
    from runner.report.tsv import write_tsv

    experiments = ledger.experiments(run)
    with tempfile.TemporaryDirectory(dir=workspace.state, prefix="report-") as name:
        made = Path(name)
        write_tsv(made / "results.tsv", experiments)
        write_plot(made / "progress.png", experiments)
        write_html(made / "report.html", ledger.run(run), experiments, made / "progress.png")
        paths = {file: workspace.folder / file for file in ("results.tsv", "progress.png", "report.html")}
        for file, path in paths.items():
            own_files.put(workspace.state, path, (made / file).read_bytes())
    return {"results": paths["results.tsv"], "plot": paths["progress.png"], "report": paths["report.html"]}
