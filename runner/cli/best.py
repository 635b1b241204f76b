"""The verb best."""

from __future__ import annotations

from runner.cli.experiment_rows import command_to_reproduce, experiment_row, open_run
from runner.cli.options import Json, RunId
from runner.cli.output import envelope, number
from runner.errors import NothingEvaluated
from runner.store.workspace_lock import locked
from sandbox.sanitise import one_line


def best(run: RunId = None, json: Json = False) -> None:
    """The best kept experiment and how to get it back."""
    workspace, ledger, found = open_run(run)
    kept = [e for e in ledger.experiments(found.id) if e.status == "keep"]
    if not kept:
        raise NothingEvaluated(f"run {found.id} has kept nothing yet")
    if json:
        envelope("best", run=found.id, best=experiment_row(kept[-1], found))
    else:
        print(f"{number(kept[-1].val_bpb)}  experiment {kept[-1].number}  {one_line(kept[-1].title)}")
        at_work = locked(workspace.state) and found.finished_at is None
        makes = "the run at work makes it next" if at_work else "`autoresearch resume` makes it"
        print(command_to_reproduce(kept[-1], found) or f"its image is not made yet; {makes}")
