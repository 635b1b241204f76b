"""CPU time used on the leased CPUs: by the container and by others. Both numbers come from the host's kernel, none from the container.

/proc/stat (proc(5)) has the time used on each CPU, including that of the hypervisor (steal); the container's cgroup has its own. The
difference was used by others. All threads of the container count as its own, however much they delay each other.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox import cgroup
from sandbox.periodically import periodically

STAT = Path("/proc/stat")
_LOOK_S = 0.5
_IDLE, _IOWAIT, _GUEST = 3, 4, 8


@dataclass(frozen=True, slots=True)
class CpuUse:
    """CPU seconds while a container lived: its own, those of others on the same CPUs, and the total that these CPUs had."""

    own_s: float
    others_s: float
    capacity_s: float

    @property
    def others_share(self) -> float:
        return self.others_s / self.capacity_s if self.capacity_s > 0 else 0.0


class CpuMeter:
    """Measures one container on `cpus` (the host's numbers). `own_s` returns its CPU seconds so far, None if it is gone."""

    def __init__(self, cpus: Collection[int], own_s: Callable[[], float | None], stat: Path = STAT) -> None:
        self._cpus, self._own_s, self._stat = cpus, own_s, stat
        self._first: tuple[float, float, float] | None = None
        self._last: tuple[float, float, float] | None = None

    def look(self) -> None:
        """Call it at the start and then often: what happens after the last call is not counted."""
        try:
            busy, capacity = busy_and_capacity(self._cpus, self._stat)
        except OSError:
            return
        own = self._own_s()
        if own is None:
            return
        self._last = (own, busy, capacity)
        self._first = self._first or self._last

    @property
    def use(self) -> CpuUse | None:
        """None if this kernel does not report it."""
        if self._first is None or self._last is None or self._last[2] <= self._first[2]:
            return None
        own, busy, capacity = (last - first for last, first in zip(self._last, self._first, strict=True))
        return CpuUse(own, max(busy - own, 0.0), capacity)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Measure every half second, on a thread."""
        self.look()
        with periodically(self.look, _LOOK_S):
            yield


def meter(container: str, cpus: Collection[int]) -> CpuMeter:
    """A meter for a container whose engine is on this machine."""
    return CpuMeter(cpus, lambda: cgroup.cpu_seconds(container))


def busy_share(
    cpus: Collection[int], seconds: float, sleep: Callable[[float], object] = time.sleep, stat: Path = STAT
) -> float:
    """The share of `cpus` in use during the next `seconds`, in [0, 1]; 0 if the kernel does not report it."""
    try:
        busy, capacity = busy_and_capacity(cpus, stat)
        sleep(seconds)
        busy_then, capacity_then = busy_and_capacity(cpus, stat)
    except OSError:
        return 0.0
    return (busy_then - busy) / (capacity_then - capacity) if capacity_then > capacity else 0.0


def busy_and_capacity(cpus: Collection[int], stat: Path = STAT) -> tuple[float, float]:
    """CPU seconds since the boot that were used on `cpus` (or taken by the hypervisor), and all that there were. Raises OSError."""
    busy = capacity = 0
    wanted = {f"cpu{cpu}" for cpu in cpus}
    for line in stat.read_text().splitlines():
        name, *numbers = line.split()
        if name in wanted:
            ticks = [int(number) for number in numbers[:_GUEST]]  # user time includes guests
            capacity += sum(ticks)
            busy += sum(ticks) - ticks[_IDLE] - ticks[_IOWAIT]
    hertz = os.sysconf("SC_CLK_TCK")
    return busy / hertz, capacity / hertz
