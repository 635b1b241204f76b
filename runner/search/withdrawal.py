"""When a kept script is withdrawn: it failed too often when it ran again, so nothing is built on it or claimed of it."""

from __future__ import annotations

from runner.search.recorder import Recorder
from runner.store.records import Experiment

MAX_FAILURES = 2
"""Failures of a kept script's further runs, after which it is withdrawn."""
_NOT_ITS_FAULT = {None, "ok", "infrastructure"}


def failures(experiment: Experiment, confirmation: int | None = None) -> int:
    """How often a kept script ran again, or ran in this confirmation, and came to nothing."""
    return sum(
        a.outcome not in _NOT_ITS_FAULT and not a.contended and confirmation in {None, a.confirmation}
        for a in experiment.attempts
    )


def withdraw(recorder: Recorder, experiment: Experiment, why: str) -> None:
    """The baseline stays, whatever it does."""
    if experiment.number > 0:
        recorder.set(experiment.number, status="discard", reason=f"withdrawn: {why}")
        recorder.emit("withdrawn", number=experiment.number, reason=why)
