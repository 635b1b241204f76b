"""Whether a failed call of a language model is made again, and after how long."""

from __future__ import annotations

import random
from email.utils import parsedate_to_datetime

from runner.clock import Clock
from runner.llm.messages import CallFailed

TRIES = 3
"""Of one model, for one answer."""
_FIRST_WAIT_S, _LONGEST_WAIT_S = 2.0, 60.0
_LONGEST_RETRY_AFTER_S = 120.0


def wait_s(attempt: int, error: CallFailed, rng: random.Random, clock: Clock) -> float | None:
    """Seconds until the next try after the failed try number `attempt` (from 0): twice as long each time, spread by `rng`, no less than the
    provider asks for. None where no other try is made: the last failed, the cause does not pass, or the provider asks for a longer
    wait than a run allows."""
    asked = retry_after_s(error, clock.time())
    if attempt >= TRIES - 1 or not error.cause.is_transient or (asked or 0.0) > _LONGEST_RETRY_AFTER_S:
        return None
    backoff = rng.uniform(0.5, 1.0) * min(_FIRST_WAIT_S * 2.0**attempt, _LONGEST_WAIT_S)
    return max(asked or 0.0, backoff)


def retry_after_s(error: CallFailed, now: float) -> float | None:
    """Seconds, from either form of the header (RFC 9110, section 10.2.3). `now` is the time of day (seconds since 1970)."""
    if not error.retry_after:
        return None
    try:
        seconds = float(error.retry_after)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(error.retry_after).timestamp() - now
        except (ValueError, TypeError):
            return None
    return min(max(seconds, 0.0), 86_400.0) if seconds == seconds else None  # noqa: PLR0124  NaN
