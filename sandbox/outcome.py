"""The result of a container: how it ended, whose fault that was, and what was collected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from sandbox.cpu_use import CpuUse
from sandbox.gpu import GpuUse

MAX_LOG_CHARS = 16_000
"""Largest part of a container's log that leaves the sandbox: its beginning and its end."""


class Ending(StrEnum):
    """How a container ended, as the host saw it. A closed enum."""

    EXITED = "exited"
    TIMED_OUT = "timed_out"
    """Killed by the host at its deadline. Not a failure by itself: it may have saved its work."""
    STOPPED_EARLY = "stopped_early"
    """Killed by the host before its deadline, because of what `Job.monitor` saw; `Outcome.detail` says why."""
    OUT_OF_MEMORY = "out_of_memory"
    """The kernel's OOM killer killed a process in the container."""
    LOST = "lost"
    """Somebody else removed or killed it, or the engine restarted under it."""
    REFUSED = "refused"
    """The engine would not have run exactly what was requested, so nothing was started."""
    ENGINE_FAILED = "engine_failed"
    """The engine did not answer, answered with an error, or its disk is full."""
    LATE = "late"
    """It lived longer than its deadline, because the engine was away or nobody killed it. What it wrote does not count."""
    UNKILLABLE = "unkillable"
    """It survived SIGKILL: its GPU or CPUs must not be used again before a person has checked."""


NOBODYS_FAULT = frozenset({Ending.LOST, Ending.REFUSED, Ending.ENGINE_FAILED, Ending.LATE, Ending.UNKILLABLE})


class Fault(StrEnum):
    NONE = "none"
    CANDIDATE = "candidate"
    INFRASTRUCTURE = "infrastructure"


class Refusal(StrEnum):
    """Why an output was not collected."""

    MISSING = "missing"
    SYMLINK = "symlink"
    NOT_REGULAR = "not_regular"
    HARD_LINKED = "hard_linked"
    TOO_LARGE = "too_large"
    SPARSE = "sparse"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class CollectedFile:
    """A copy that the host owns. `sha256` (hex) was computed from the bytes as they were copied."""

    path: Path
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """The only thing that comes back from a container.

    `seconds` runs from the start request to the death, on the host's monotonic clock;
    `log_tail` is text already stripped of control sequences and cut; `detail` is for the operator only
    and never for the agent.
    """

    ending: Ending
    exit_code: int | None
    seconds: float
    log_tail: str = ""
    files: Mapping[str, CollectedFile] = field(default_factory=dict)
    refusals: Mapping[str, Refusal] = field(default_factory=dict)
    memory_peak_bytes: int | None = None
    detail: str = ""
    cpu: CpuUse | None = None
    """CPU time used on its CPUs while it lived; None if the host cannot see that."""
    gpu: GpuUse | None = None
    """What happened on its GPU; None without one, or if the host cannot see that."""

    @property
    def fault(self) -> Fault:
        """Whose fault the ending was. The candidate chooses its exit code: 0 means only that it reported no error."""
        if self.ending in NOBODYS_FAULT:
            return Fault.INFRASTRUCTURE
        if self.ending is Ending.EXITED and self.exit_code == 0:
            return Fault.NONE
        return Fault.CANDIDATE
