"""Verbs that only read the ledger: status, ls, show, logs, diff, best. Nothing heavy is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from runner import workspace as workspaces
from runner.cli.output import envelope, number, say, table
from runner.errors import NothingEvaluated, UsageError
from runner.ledger import Attempt, Experiment, Ledger, Run
from runner.lock import locked
from sandbox.text import one_line

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
RunId = Annotated[str | None, typer.Option("--run", help="Which run; the newest if not said.")]
Number = Annotated[int, typer.Argument(help="The experiment's number, as `ls` shows it.")]
_RECENT = 8


def _open(run: str | None) -> tuple[workspaces.Workspace, Ledger, Run]:
    workspace = workspaces.find(Path.cwd())
    ledger = Ledger(workspace.ledger, read_only=True)
    return workspace, ledger, ledger.run(run)


def status(run: RunId = None, json: Json = False) -> None:
    """One screen: is a runner alive, the best, the last experiments."""
    workspace, ledger, found = _open(run)
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
            best=_row(kept[-1], found) if kept else None,
            current={"number": now.number, "state": str(now.state), "attempt": len(now.attempts)}
            if now
            else None,
            counts=_counts(experiments),
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
    print(_listing(experiments[-_RECENT:]))


def ls(run: RunId = None, json: Json = False) -> None:
    """All experiments of a run."""
    _, ledger, found = _open(run)
    experiments = ledger.experiments(found.id)
    if json:
        envelope(
            "ls", run=found.id, counts=_counts(experiments), experiments=[_row(e, found) for e in experiments]
        )
    else:
        print(_listing(experiments))


def show(experiment: Number, run: RunId = None, json: Json = False) -> None:
    """One experiment: what was tried, every attempt, the decision."""
    from runner.compile_check import report_in, sentence

    _, ledger, found = _open(run)
    item = ledger.experiment(found.id, experiment)
    if json:
        envelope(
            "show", run=found.id, experiment=_row(item, found), attempts=[_attempt(a) for a in item.attempts]
        )
        return
    for name, value in _row(item, found).items():
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
    for a in item.attempts:
        if (check := report_in(a.folder)) is not None:
            print(f"attempt {a.attempt}: {sentence(check)}")


def logs(
    experiment: Number,
    run: RunId = None,
    attempt: Annotated[int | None, typer.Option(help="Which attempt.")] = None,
    json: Json = False,
) -> None:
    """The end of what the script printed, made harmless. Not evidence of anything."""
    _, ledger, found = _open(run)
    attempts = [a for a in ledger.experiment(found.id, experiment).attempts if attempt in {None, a.attempt}]
    if attempt is not None and not attempts:
        raise UsageError(
            f"experiment {experiment} has no attempt {attempt}; `autoresearch show {experiment}` lists them"
        )
    text = attempts[-1].log_tail if attempts else ""
    if json:
        envelope("logs", run=found.id, number=experiment, log_tail=text)
    elif text:
        print(text)
    else:
        say("it printed nothing" if attempts else "it has not run")


def diff(
    a: Annotated[int, typer.Argument(help="An experiment's number.")],
    b: Annotated[int | None, typer.Argument(help="Another one; its parent if not said.")] = None,
    run: RunId = None,
    json: Json = False,
) -> None:
    """What changed from one experiment's train.py to another's."""
    from runner.report.html import diff as unified

    _, ledger, found = _open(run)
    first = ledger.experiment(found.id, a)
    if b is None:
        before, after = ledger.experiment(found.id, first.parent if first.parent is not None else a), first
    else:
        before, after = first, ledger.experiment(found.id, b)
    text = unified(before, after)
    if json:
        envelope("diff", run=found.id, before=before.number, after=after.number, diff=text)
    elif text:
        print(text)
    else:
        say("nothing changed" if before.number != after.number else "it has no parent to compare it with")


def best(run: RunId = None, json: Json = False) -> None:
    """The best kept experiment and how to get it back."""
    workspace, ledger, found = _open(run)
    kept = [e for e in ledger.experiments(found.id) if e.status == "keep"]
    if not kept:
        raise NothingEvaluated(f"run {found.id} has kept nothing yet")
    if json:
        envelope("best", run=found.id, best=_row(kept[-1], found))
    else:
        print(f"{number(kept[-1].val_bpb)}  experiment {kept[-1].number}  {one_line(kept[-1].title)}")
        at_work = locked(workspace.state) and found.finished_at is None
        makes = "the run at work makes it next" if at_work else "`autoresearch resume` makes it"
        print(_command(kept[-1], found) or f"its image is not made yet; {makes}")


def _listing(experiments: list[Experiment]) -> str:
    rows = [
        (
            str(e.number),
            e.status,
            number(e.val_bpb),
            "" if e.delta is None else f"{e.delta:+.4f}",
            str(len(e.attempts)),
            one_line(e.title, max_chars=60),
            one_line(e.reason or "", max_chars=40),
        )
        for e in experiments
    ]
    return table(rows, ("#", "status", "val_bpb", "delta", "runs", "description", "reason"))


def _command(e: Experiment, run: Run) -> str | None:
    """What reproduces it, None without an image."""
    from runner.report.command import reproduce_command

    return reproduce_command(e.tag, run.settings) if e.tag else None


def _row(e: Experiment, run: Run) -> dict[str, Any]:
    return {
        "number": e.number,
        "status": e.status,
        "state": str(e.state),
        "title": one_line(e.title),
        "category": one_line(e.category),
        "author": one_line(e.author),
        "hypothesis": one_line(e.hypothesis, max_chars=600),
        "expected_gain": e.expected_gain,
        "risk": e.risk,
        "constants_only": bool(e.constants_only),
        "parent": e.parent,
        "val_bpb": e.val_bpb,
        "delta": e.delta,
        "margin": e.margin,
        "reason": e.reason,
        "runs": len(e.measured),
        "tag": e.tag,
        "image": e.image,
        "commit": e.git_commit,
        "reproduce": _command(e, run),
    }


def _attempt(a: Attempt) -> dict[str, Any]:
    from runner.compile_check import report_in

    return {
        "attempt": a.attempt,
        "outcome": a.outcome,
        "reason": a.reason,
        "val_bpb": a.val_bpb,
        "seconds": a.seconds,
        "seed": a.seed,
        "contended": a.contended,
        "params_sha256": a.params_sha256,
        "memory_bytes": a.memory_bytes,
        "compile_check": report_in(a.folder),
        "folder": str(a.folder),
    }


def _counts(experiments: list[Experiment]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for experiment in experiments:
        counts[experiment.status] = counts.get(experiment.status, 0) + 1
    return counts
