"""What happened on a GPU while a container had it: others' processes, slowed clocks, temperature, memory. Measured on the host.

A process is the container's own if its cgroup says so (/proc/PID/cgroup, cgroups(7)); everything else that computes there is a stranger.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from sandbox.engine import SandboxError
from sandbox.gpu import GpuProbe, GpuState, GpuUse
from sandbox.periodically import periodically
from sandbox.spec import Lease

_LOOK_S = 2.0


class GpuMeter:
    """`is_ours` says of a process whether it is the container's own; None if it has ended."""

    def __init__(
        self, uuid: str, probe: GpuProbe, is_ours: Callable[[int], bool | None], every_s: float = _LOOK_S
    ) -> None:
        self._uuid, self._probe, self._is_ours, self._every_s = uuid, probe, is_ours, every_s
        self._seen: list[tuple[bool, GpuState]] = []

    def look(self) -> None:
        try:
            pids = self._probe.processes(self._uuid)
            state = self._probe.state(self._uuid)
        except SandboxError:  # it has fallen off the bus: `sandbox.gpu_check` says so
            return
        self._seen.append((any(self._is_ours(pid) is False for pid in pids), state))

    @property
    def use(self) -> GpuUse | None:
        """None where the driver told nothing."""
        if not self._seen:
            return None
        states, count = [state for _, state in self._seen], len(self._seen)
        reasons = [reason for state in states for reason in state.slowed_by]
        clocks = [s.clock_mhz / s.max_clock_mhz for s in states if s.clock_mhz and s.max_clock_mhz]
        return GpuUse(
            samples=count,
            strangers_share=sum(stranger for stranger, _ in self._seen) / count,
            slowed_share=sum(bool(state.slowed_by) for state in states) / count,
            slowed_by=max(reasons, key=reasons.count, default=""),
            utilisation=_mean([s.utilisation for s in states if s.utilisation is not None]),
            clock_share=_mean(clocks),
            hottest_c=max((s.temperature_c for s in states if s.temperature_c is not None), default=None),
            memory_peak_bytes=max(state.used_bytes for state in states),
        )

    def looking(self) -> AbstractContextManager[None]:
        """Measure every few seconds, on a thread; not at the start, when the container has nothing on the GPU yet."""
        return periodically(self.look, self._every_s)


def is_in(container: str, pid: int, proc: Path = Path("/proc")) -> bool | None:
    """Whether the process is in the container's cgroup; None if there is no such process."""
    try:
        return container in (proc / str(pid) / "cgroup").read_text()
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        return False  # of another user, where /proc hides it
    return False if (proc / str(pid)).exists() else None


def meter(lease: Lease, probe: GpuProbe | None, container: str) -> GpuMeter | None:
    """None without a GPU, or without a driver to ask."""
    if lease.gpu_uuid is None or probe is None:
        return None
    return GpuMeter(lease.gpu_uuid, probe, lambda pid: is_in(container, pid))


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
