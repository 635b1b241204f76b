"""Durations as people write them: 40s, 5m, 8h, 1h30m."""

from __future__ import annotations

import re

from runner.errors import UsageError

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

LONGEST_S = 10 * 365 * 86400.0


def parse_duration(text: str) -> float:
    """Seconds. Raises UsageError; a bare number is refused, because 8 could be hours or seconds."""
    if not re.fullmatch(r"(\d+(\.\d+)?[smhd])+", text):
        raise UsageError(f"{text!r} is not a duration: write for example 40s, 5m, 8h or 1h30m")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in re.findall(r"([\d.]+)([smhd])", text))
    if seconds > LONGEST_S:
        raise UsageError(f"{text[:40]!r} is longer than ten years")
    if seconds <= 0:
        raise UsageError(f"{text!r} is no time at all")
    return seconds


def format_duration(seconds: float) -> str:
    """As short as it can be said: 40s, 5m, 1h30m."""
    whole = round(seconds)
    parts = [(whole // 3600, "h"), (whole % 3600 // 60, "m"), (whole % 60, "s")]
    return "".join(f"{value}{unit}" for value, unit in parts if value) or "0s"
