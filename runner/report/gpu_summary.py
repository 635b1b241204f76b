"""What the host saw of the GPUs during a run's trainings, in one sentence for the report. The files are the host's own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from runner.store.records import Attempt, Experiment
from sandbox.gpu import GPU_USE
from sandbox.sanitise import one_line


def gpu_summary(experiments: Sequence[Experiment], left_out: Sequence[Mapping[str, Any]] = ()) -> str:
    """Empty where nothing was trained on a GPU. `left_out` are the events of GPUs that failed again and again."""
    seen = [(attempt, use) for e in experiments for attempt in e.attempts if (use := _use(attempt))]
    seconds = sum(attempt.seconds or 0.0 for attempt, _ in seen)
    if not seconds:
        return ""
    parts = [f"GPUs: {seconds / 3600:.1f} hours in {len(seen)} trainings"]
    used = [
        ((a.seconds or 0.0) * u["utilisation"], a.seconds or 0.0)
        for a, u in seen
        if u.get("utilisation") is not None
    ]
    if used:
        parts.append(
            f"{sum(part for part, _ in used) / sum(whole for _, whole in used):.0%} of the time in use"
        )
    if heat := [use["hottest_c"] for _, use in seen if use.get("hottest_c") is not None]:
        parts.append(f"at most {max(heat)} °C")
    void = [attempt.seconds or 0.0 for attempt, _ in seen if attempt.contended]
    if void:
        parts.append(
            f"{len(void)} of them ({sum(void) / 3600:.1f} hours) voided by others' work or a slowed GPU"
        )
    gone = "".join(f" {e['gpu']} was left out: {one_line(str(e['why']))}." for e in left_out)
    return ", ".join(parts) + f".{gone}"


def _use(attempt: Attempt) -> dict[str, Any] | None:
    """None where there is none, or it was damaged."""
    try:
        found = json.loads((attempt.folder / GPU_USE).read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
