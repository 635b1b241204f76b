"""The verb status."""

from __future__ import annotations

from runner.cli.experiment_rows import (
    command_to_resume,
    confirmation_rows,
    experiment_row,
    is_running,
    listing,
    open_run,
)
from runner.cli.options import Json, RunId, Workspace
from runner.cli.output import envelope, number
from runner.protocols import Event
from runner.scoring.best_script import best_of
from runner.scoring.claim_text import claim_sentence
from runner.store.ledger import Ledger
from sandbox.sanitise import one_line

_RECENT = 8


def _window(ledger: Ledger, run: str) -> Event | None:
    """What was said when it began to wait for its nightly window; None while it does not."""
    last = ledger.last_event(run, ("launch", "window_closed", "window_open"))
    return last if last is not None and last.kind == "window_closed" else None


def status(run: RunId = None, workspace: Workspace = None, json: Json = False) -> None:
    """One screen: is a runner alive, the best, the last experiments."""
    place, ledger, found = open_run(run, workspace)
    best, now = best_of(ledger, found.id), ledger.open(found.id)
    running = is_running(place, ledger, found)
    money = ledger.spent(found.id)
    waits = _window(ledger, found.id) if running else None
    rows = [{"number": e.number, "state": str(e.state), "attempt": len(e.attempts)} for e in now]
    if json:
        envelope(
            "status",
            run=found.id,
            running=running,
            finished_at=found.finished_at,
            stop_reason=found.stop_reason,
            spent_s=found.spent_s,
            cost_usd=round(money.usd, 6),
            tokens=money.tokens,
            calls=money.calls,
            best=experiment_row(best, found) if best else None,
            current=rows[0] if rows else None,
            open=rows,
            counts=ledger.counts(found.id),
            waiting_until=waits.data["until"] if waits else None,
            confirmations=confirmation_rows(ledger, found),
        )
        return
    state = (
        f"waiting for {waits.data['opens']}"
        if waits
        else "running"
        if running
        else f"ended: {found.stop_reason}"
        if found.stop_reason
        else f"not running; `{command_to_resume(ledger, found)}` goes on"
    )
    print(f"run {found.id}  {one_line(state)}  {found.spent_s:.0f} s spent")
    if money.calls:
        print(f"cost {money.usd:.2f} dollars at most, {money.tokens} tokens in {money.calls} calls")
    if best:
        print(f"best {number(best.val_bpb)} (experiment {best.number}: {one_line(best.title)})")
    for c in confirmation_rows(ledger, found)[-1:]:
        print(f"experiment {c['candidate']} against {c['reference']}: {claim_sentence(c)}")
    for experiment in now:
        what = "now " if running else "open"
        print(f"{what} experiment {experiment.number}, {experiment.state}: {one_line(experiment.title)}")
    print(listing(ledger.lines(found.id, newest=_RECENT)))
