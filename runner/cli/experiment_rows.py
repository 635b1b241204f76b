"""Runs and experiments as the verbs that read the ledger show them: text tables and JSON objects."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from runner.cli.output import number, table
from runner.scoring.best_script import best_of
from runner.store import workspace as workspaces
from runner.store.ledger import Ledger
from runner.store.records import Attempt, Experiment, Line, Run
from runner.store.workspace_lock import locked
from sandbox.sanitise import one_line


def open_run(run: str | None, folder: Path | None) -> tuple[workspaces.Workspace, Ledger, Run]:
    """Of the workspace `folder`; without one, of that of the present folder."""
    workspace = workspaces.named(folder)
    ledger = Ledger(workspace.ledger, read_only=True)
    return workspace, ledger, ledger.run(run)


def is_running(workspace: workspaces.Workspace, ledger: Ledger, run: Run) -> bool:
    """Whether a runner is at work on this run: it is the one that was begun or resumed last."""
    return locked(workspace.state) and run.finished_at is None and ledger.run().id == run.id


def command_to_resume(ledger: Ledger, run: Run) -> str:
    return "autoresearch resume" + ("" if ledger.run().id == run.id else f" --run {run.id}")


def run_row(workspace: workspaces.Workspace, ledger: Ledger, run: Run) -> dict[str, Any]:
    """`experiments` are proposals, `kept` those that were adopted: the baseline is neither."""
    lines = ledger.lines(run.id)
    kept = [e for e in lines if e.status == "keep"]
    return {
        "run": run.id,
        "created_at": run.created_at,
        "finished_at": run.finished_at,
        "running": is_running(workspace, ledger, run),
        "stop_reason": run.stop_reason,
        "spent_s": run.spent_s,
        "experiments": sum(e.number > 0 for e in lines),
        "kept": sum(e.number > 0 for e in kept),
        "confirmed": sum(e.confirmed for e in kept),
        "best_val_bpb": best.val_bpb if (best := best_of(ledger, run.id)) else None,
    }


def listing(lines: list[Line]) -> str:
    rows = [
        (
            str(e.number),
            "confirmed" if e.confirmed else e.status,
            number(e.val_bpb),
            "" if e.delta is None else f"{e.delta:+.4f}",
            str(e.attempts),
            one_line(e.title, max_chars=60),
            one_line(e.reason or "", max_chars=40),
        )
        for e in lines
    ]
    return table(rows, ("#", "status", "val_bpb", "delta", "runs", "description", "reason"))


def confirmation_rows(ledger: Ledger, run: Run) -> list[dict[str, Any]]:
    return [asdict(confirmation) for confirmation in ledger.confirmations(run.id)]


def command_to_reproduce(e: Experiment, run: Run) -> str | None:
    """What reproduces it, None without an image."""
    from runner.report.reproduce_command import reproduce_command

    return reproduce_command(e.tag, run.settings) if e.tag else None


def experiment_row(e: Experiment, run: Run) -> dict[str, Any]:
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
        "delta_error": e.delta_error,
        "expected_delta": e.expected_delta,
        "expected_error": e.expected_error,
        "better": e.better,
        "confirmed": e.confirmed,
        "reason": e.reason,
        "runs": len(e.counted),
        "tag": e.tag,
        "image": e.image,
        "commit": e.git_commit,
        "reproduce": command_to_reproduce(e, run),
    }


def attempt_row(a: Attempt) -> dict[str, Any]:
    from runner.evaluation.compile_report import report_in

    return {
        "attempt": a.attempt,
        "outcome": a.outcome,
        "reason": a.reason,
        "val_bpb": a.val_bpb,
        "seconds": a.seconds,
        "seed": a.seed,
        "contended": a.contended,
        "counts": a.counts,
        "confirmation": a.confirmation,
        "early_stop": a.early_stop or None,
        "params_sha256": a.params_sha256,
        "memory_bytes": a.memory_bytes,
        "compile_check": report_in(a.folder),
        "folder": str(a.folder),
    }
