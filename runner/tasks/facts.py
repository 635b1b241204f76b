"""What the host measured of a stage. The candidate cannot influence these numbers but by what it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.outcome import Outcome

SCHEMA = "autoresearch/task-facts/1"


@dataclass(frozen=True, slots=True)
class StageFacts:
    """Seconds from the request to start the container to its death, on the host's monotonic clock; CPU seconds and the peak of
    memory are None where this machine does not report them. `outputs` maps a name to its size in bytes."""

    stage: str
    seconds: float
    cpu_seconds: float | None
    others_share: float
    """Of the CPUs' time, what others used meanwhile."""
    memory_peak_bytes: int | None
    outputs: Mapping[str, int]


def facts_of(stage: str, outcome: Outcome) -> StageFacts:
    return StageFacts(
        stage,
        outcome.seconds,
        outcome.cpu.own_s if outcome.cpu else None,
        outcome.cpu.others_share if outcome.cpu else 0.0,
        outcome.memory_peak_bytes,
        {name: file.bytes for name, file in outcome.files.items()},
    )


def for_scorer(facts: Sequence[StageFacts]) -> dict[str, Any]:
    """The object that the scorer reads as /task/facts.json."""
    return {
        "schema": SCHEMA,
        "stages": {
            each.stage: {
                "seconds": each.seconds,
                "cpu_seconds": each.cpu_seconds,
                "memory_peak_bytes": each.memory_peak_bytes,
                "outputs": dict(each.outputs),
            }
            for each in facts
        },
    }
