"""The verb status."""

from __future__ import annotations

from runner.cli.experiment_rows import experiment_row, listing, open_run, status_counts
from runner.cli.options import Json, RunId
from runner.cli.output import envelope, number
from runner.store.workspace_lock import locked
from sandbox.sanitise import one_line

_RECENT = 8


def status(run: RunId = None, json: Json = False) -> None:
    """One screen: is a runner alive, the best, the last experiments."""
    workspace, ledger, found = open_run(run)
    experiments = ledger.experiments(found.id)
    kept = [e for e in experiments if e.status == "keep"]
    running = locked(workspace.state) and found.finished_at is None
    now = next((e for e in experiments if e.status == "open"), None)
    money = ledger.spent(found.id)
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
            best=experiment_row(kept[-1], found) if kept else None,
            current={"number": now.number, "state": str(now.state), "attempt": len(now.attempts)}
            if now
            else None,
            counts=status_counts(experiments),
        )
        return
    state = (
        "running"
        if running
        else f"ended: {found.stop_reason}"
        if found.stop_reason
        else "not running; --resume goes on"
    )
    print(f"run {found.id}  {one_line(state)}  {found.spent_s:.0f} s spent")
    if money.calls:
        print(f"cost {money.usd:.2f} dollars at most, {money.tokens} tokens in {money.calls} calls")
    if kept:
        print(f"best {number(kept[-1].val_bpb)} (experiment {kept[-1].number}: {one_line(kept[-1].title)})")
    if now:
        print(f"now  experiment {now.number}, {now.state}: {one_line(now.title)}")
    print(listing(experiments[-_RECENT:]))
