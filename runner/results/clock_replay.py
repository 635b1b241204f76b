"""What a tape of clock answers tells: how far a replay came, and why its weights may differ from the recorded ones.

A tape (trainer_jax/wallclock.py) is float64: an answer is never negative, a mark always is. Both tapes were written by the
script's process, so nothing here decides that a result came back: only the hash of the weights does. A tape explains
why a replay that gave other weights proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

SAVING, SAVED, EXPORTED = -1.0, -2.0, -3.0
"""As trainer_jax/wallclock.py writes them."""


class Interrupted(StrEnum):
    """Why a replay cannot be compared."""

    CUT_SHORT = "replay_cut_short"
    """It was ended at its time limit."""
    STOPPED_EARLY = "replay_stopped_early"
    """The script ended before it had asked for all answers: something else than the clock decided its steps."""
    PAST_THE_TAPE = "replay_past_the_tape"
    """The script asked for more answers than were recorded."""
    LAST_SAVE_UNKNOWN = "last_save_unknown"
    """The recorded run was killed between writing its last weights and noting so: nobody knows which weights count."""


@dataclass(frozen=True, slots=True)
class Tape:
    """`needed` counts the answers up to the last mark: what came later had no effect on what was handed over.
    `answers` counts all. `saves` counts weights written."""

    answers: int
    needed: int
    saves: int
    last_save_unknown: bool


def read(path: Path) -> Tape:
    """Raises OSError."""
    import numpy as np

    values = np.fromfile(path, "<f8")
    marks = np.flatnonzero(values < 0.0)
    answered = values >= 0.0
    answers = int(answered.sum())
    saving, saved = int((values == SAVING).sum()), int((values == SAVED).sum())
    needed = int(answered[: marks[-1]].sum()) if len(marks) else answers
    return Tape(answers, needed, saved, saving > saved)


def interrupted(recorded: Tape, replayed: Tape, *, timed_out: bool) -> Interrupted | None:
    """Why a replay with other weights proves nothing; None where it played the whole tape and nothing but the tape."""
    if timed_out:
        return Interrupted.CUT_SHORT
    if replayed.needed < recorded.needed or replayed.saves < recorded.saves:
        return Interrupted.STOPPED_EARLY
    if replayed.needed > recorded.needed:
        return Interrupted.PAST_THE_TAPE
    return Interrupted.LAST_SAVE_UNKNOWN if recorded.last_save_unknown else None


NOTHING = Tape(0, 0, 0, False)
"""Of a replay that left no tape."""
