"""The verb show."""

from __future__ import annotations

from collections.abc import Iterator

from runner.cli.experiment_rows import (
    attempt_row,
    command_to_reproduce,
    confirmation_rows,
    experiment_row,
    open_run,
)
from runner.cli.options import Json, Number, RunId, Workspace
from runner.cli.output import envelope, number, table
from runner.scoring.claim_text import claim_sentence
from runner.store.records import Attempt, Experiment, Run
from sandbox.sanitise import one_line


def show(experiment: Number, run: RunId = None, workspace: Workspace = None, json: Json = False) -> None:
    """One experiment: what was tried, every attempt, the decision."""
    from runner.evaluation.compile_report import report_in, sentence

    _, ledger, found = open_run(run, workspace)
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
    for name, value in _lines(item, found):
        print(f"{name:19} {value}")
    print(table([_row(a) for a in item.attempts], _COLUMNS))
    for c in concerning:
        print(
            f"confirmation {c['id']}, experiment {c['candidate']} against {c['reference']}: {claim_sentence(c)}"
        )
    for a in item.attempts:
        if (check := report_in(a.folder)) is not None:
            print(f"attempt {a.attempt}: {sentence(check)}")


def _lines(e: Experiment, run: Run) -> Iterator[tuple[str, str]]:
    """What is known of it, each with a name in plain words. Differences are in bits per byte, below 0 is better."""
    yield "experiment", f"{e.number} of run {run.id}"
    yield "title", one_line(e.title)
    reason = f", {one_line(e.reason)}" if e.reason else ""
    yield "status", f"{e.status}{reason}{', confirmed' if e.confirmed else ''}"
    yield "last step", str(e.state)
    yield "proposed by", f"{one_line(e.author)} ({one_line(e.category)})"
    if e.parent is not None:
        what = "constants only" if e.constants_only else "code"
        yield "changed", f"{what}, from experiment {e.parent}"
    if e.hypothesis:
        yield "hypothesis", one_line(e.hypothesis, max_chars=600)
    if e.expected_gain is not None or e.risk:
        gain = "" if e.expected_gain is None else f"a gain of {number(e.expected_gain)} "
        yield "its author expects", f"{gain}{f'(risk {one_line(e.risk)})' if e.risk else ''}".strip()
    if e.val_bpb is not None:
        yield "val_bpb", f"{number(e.val_bpb, 6)} bits per byte, the mean of the runs it was decided by"
    if e.delta is not None:
        yield "measured difference", f"{_with_error(e.delta, e.delta_error)} to the best script then"
    if e.expected_delta is not None:
        chance = "" if e.better is None else f", better with probability {e.better:.2f}"
        yield "expected difference", f"{_with_error(e.expected_delta, e.expected_error)}{chance}"
    confirming = sum(a.confirmation is not None for a in e.counted)
    yield (
        "runs that count",
        f"{len(e.counted)}{f', {confirming} of them for a confirmation' if confirming else ''}",
    )
    for name, kept in (("tag", e.tag), ("image", e.image), ("commit", e.git_commit)):
        if kept:
            yield name, kept
    if command := command_to_reproduce(e, run):
        yield "reproduce with", command


def _with_error(value: float, error: float | None) -> str:
    return f"{value:+.4f}" + ("" if error is None else f" ± {error:.4f}")


_COLUMNS = ("attempt", "outcome", "val_bpb", "seconds", "seed", "made for", "counts", "reason")


def _row(a: Attempt) -> tuple[str, ...]:
    counts = "yes" if a.counts else "no, others computed here" if a.contended else "no"
    return (
        str(a.attempt),
        a.outcome or "running",
        number(a.val_bpb, 6),
        number(a.seconds, 1),
        str(a.seed),
        "the search" if a.confirmation is None else f"confirmation {a.confirmation}",
        counts if a.outcome else "",
        a.reason or "",
    )
