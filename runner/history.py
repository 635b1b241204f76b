"""What a proposer may know of the past: rounded scores, closed words, sanitised text."""

from __future__ import annotations

from collections.abc import Sequence

from runner.decide import Noise
from runner.ledger import Experiment
from runner.protocols import Context, PastExperiment
from sandbox.text import one_line, sanitise

_DECIMALS = 4
"""Scores are told to 1e-4 bits per byte: fine enough to steer by, too coarse to read the hidden text through."""


def context_for(
    experiments: Sequence[Experiment],
    best: Experiment,
    noise: Noise | None,
    *,
    memo: str,
    seconds_left: float,
    number: int,
    notes: str = "",
    wall_clock_s: float = 0.0,
) -> Context:
    """The context of proposal `number`. The sealed test score is not in it."""
    return Context(
        memo=memo,
        best_source=best.source,
        best_val_bpb=_rounded(best.val_bpb),
        noise_sigma=_rounded(noise.sigma) if noise else None,
        history=tuple(_past(experiment) for experiment in experiments),
        seconds_left=max(seconds_left, 0.0),
        number=number,
        best_number=best.number,
        notes=sanitise(notes),
        wall_clock_s=wall_clock_s,
        best_constants=best.facts.constants,
    )


def _past(experiment: Experiment) -> PastExperiment:
    last = experiment.attempts[-1] if experiment.attempts else None
    failed = experiment.status == "failed" and last is not None
    return PastExperiment(
        number=experiment.number,
        title=one_line(experiment.title),
        category=one_line(experiment.category),
        status=str(last.outcome) if failed and last else experiment.status,
        val_bpb=_rounded(experiment.val_bpb),
        delta=_rounded(experiment.delta),
        source=experiment.source,
        parent=experiment.parent,
        reason=experiment.reason,
        log_tail=sanitise(last.log_tail, max_chars=4000) if failed and last else "",
        margin=_rounded(experiment.margin),
        author=experiment.author,
        fingerprint=experiment.fingerprint,
        constants=experiment.facts.constants,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DECIMALS)
