"""The verb best."""

from __future__ import annotations

from runner.cli.experiment_rows import (
    command_to_reproduce,
    command_to_resume,
    confirmation_rows,
    experiment_row,
    is_running,
    open_run,
)
from runner.cli.options import Json, RunId, Workspace
from runner.cli.output import envelope, number
from runner.errors import NothingEvaluated
from runner.scoring.best_script import best_of
from runner.scoring.claim_text import closing_sentence
from sandbox.sanitise import one_line


def best(run: RunId = None, workspace: Workspace = None, json: Json = False) -> None:
    """The best kept experiment and how to get it back."""
    place, ledger, found = open_run(run, workspace)
    best = best_of(ledger, found.id)
    if best is None:
        raise NothingEvaluated(f"run {found.id} has kept nothing yet")
    if json:
        envelope(
            "best",
            run=found.id,
            best=experiment_row(best, found),
            confirmations=confirmation_rows(ledger, found),
        )
    else:
        print(f"{number(best.val_bpb)}  experiment {best.number}  {one_line(best.title)}")
        print(
            closing_sentence(
                ledger.kept(found.id),
                ledger.confirmations(found.id),
                read_repeated=lambda: ledger.repeated(found.id),
            )
        )
        at_work = is_running(place, ledger, found)
        makes = (
            "the run at work makes it next" if at_work else f"`{command_to_resume(ledger, found)}` makes it"
        )
        print(command_to_reproduce(best, found) or f"its image is not made yet; {makes}")
