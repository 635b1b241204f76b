"""Advice for a script that got no score."""

from __future__ import annotations

from runner.durations import format_duration
from runner.protocols import EvaluationOutcome

_ADVICE = {
    EvaluationOutcome.TIMEOUT_NO_ARTIFACT: "it saved no weights within {wall_clock}, imports and compilation included: "
    "give a longer --wall-clock, save earlier, or try again when the machine has less load",
    EvaluationOutcome.OOM: "it needed more memory than its limit: raise memory_gb in autoresearch.toml, or make the model or "
    "its batches smaller",
    EvaluationOutcome.TOO_SLOW: "the judge could not run its forward pass in time: raise judge_wall_clock in autoresearch.toml, or "
    "make the model smaller",
}


def unscored(outcome: str, wall_clock_s: float, *, look: str) -> str:
    """For a script that ended with `outcome` (a EvaluationOutcome's value) after at most `wall_clock_s`; the command `look` shows what
    it printed."""
    known = {str(key): text for key, text in _ADVICE.items()}
    advice = known.get(outcome, f"see `{look}`, and mend train.py")
    return advice.format(wall_clock=format_duration(wall_clock_s))
