"""What a compile check found, as it lies in an attempt's folder. Imports nothing heavy: `show` reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runner.durations import format_duration

REPORT = "check.json"
_GIB = 1 << 30


def report_in(folder: Path) -> dict[str, Any] | None:
    """What the check of an attempt found; None without one."""
    try:
        found: dict[str, Any] = json.loads((folder / REPORT).read_text())
    except (OSError, ValueError):
        return None
    return found


def sentence(report: dict[str, Any]) -> str:
    """A report in words."""
    memory = [
        f"{report[key] / _GIB:.2f} GiB {where}"
        for key, where in (("memory_peak_bytes", "of memory"), ("device_memory_bytes", "on the device"))
        if report[key] is not None
    ]
    words = ", ".join([f"after {format_duration(report['seconds'])}", *memory])
    return f"compile check: {report['outcome']} {words}"
