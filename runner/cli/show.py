"""The verb show."""

from __future__ import annotations

from runner.cli.experiment_rows import attempt_row, confirmation_rows, experiment_row, open_run
from runner.cli.options import Json, Number, RunId
from runner.cli.output import envelope, number, table
from runner.scoring.claim_text import claim_sentence
from sandbox.sanitise import one_line


def show(experiment: Number, run: RunId = None, json: Json = False) -> None:
    """One experiment: what was tried, every attempt, the decision."""
    from runner.evaluation.compile_report import report_in, sentence

    _, ledger, found = open_run(run)
    item = ledger.experiment(found.id, experiment)
    concerning = [
        c for c in confirmation_rows(ledger, found) if experiment in {c["candidate"], c["reference"]}
    ]
    if json:
        envelope(
            "show",
            run=found.id,
            experiment=experiment_row(item, found),
            attempts=[attempt_row(a) for a in item.attempts],
            confirmations=concerning,
        )
        return
    for name, value in experiment_row(item, found).items():
        print(f"{name:12} {one_line(str(value)) if value is not None else '-'}")
    rows = [
        (
            str(a.attempt),
            a.outcome or "running",
            number(a.val_bpb, 6),
            number(a.seconds, 1),
            str(a.seed),
            a.reason or "",
        )
        for a in item.attempts
    ]
    print(table(rows, ("attempt", "outcome", "val_bpb", "seconds", "seed", "reason")))
    for c in concerning:
        print(f"experiment {c['candidate']} against {c['reference']}: {claim_sentence(c)}")
    for a in item.attempts:
        if (check := report_in(a.folder)) is not None:
            print(f"attempt {a.attempt}: {sentence(check)}")
