"""Writes results.tsv, progress.png and report.html into the workspace. A file of the user's with one of these names is set aside."""

from __future__ import annotations

import tempfile
from pathlib import Path

from runner.store import user_files
from runner.store.ledger import Ledger
from runner.store.workspace import Workspace


def write(workspace: Workspace, ledger: Ledger, run: str) -> dict[str, Path]:
    """Write all three into the workspace; returns their paths."""
    from runner.report.html import write_html
    from runner.report.plot import write_plot
    from runner.report.tsv import write_tsv

    experiments = ledger.experiments(run)
    try:
        temporary = tempfile.TemporaryDirectory(dir=workspace.state, prefix="report-")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(workspace.state)) from error
    with temporary as name:
        made = Path(name)
        write_tsv(made / "results.tsv", experiments)
        write_plot(made / "progress.png", experiments)
        write_html(
            made / "report.html",
            ledger.run(run),
            experiments,
            made / "progress.png",
            ledger.confirmations(run),
            [data for _, kind, data in ledger.events(run) if kind == "gpu_left_out"],
        )
        paths = {file: workspace.folder / file for file in ("results.tsv", "progress.png", "report.html")}
        for file, path in paths.items():
            user_files.put(workspace.state, path, (made / file).read_bytes())
    return {"results": paths["results.tsv"], "plot": paths["progress.png"], "report": paths["report.html"]}
