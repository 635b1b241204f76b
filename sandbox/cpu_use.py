"""Who computed on a lease's CPUs: the container, or others. Both numbers are the host kernel's, none is the container's word.

What a CPU did is in /proc/stat (proc(5)), the hypervisor's share (steal) among it; what the container did is in its cgroup.
The difference was done by others. However many threads a container has, and however they delay each other, all of them
are its own.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox import cgroup

STAT = Path("/proc/stat")
_LOOK_S = 0.5
_IDLE, _IOWAIT, _GUEST = 3, 4, 8


@dataclass(frozen=True, slots=True)
class CpuUse:
    """Seconds of CPU while a container lived: its own, those of others on the same CPUs, and what these CPUs have in that
    time."""

    own_s: float
    others_s: float
    capacity_s: float

    @property
    def others_share(self) -> float:
        return self.others_s / self.capacity_s if self.capacity_s > 0 else 0.0


class CpuMeter:
    """Of one container on `cpus` (numbers of the host). `own_s` tells its CPU seconds so far, None when it is gone."""

    def __init__(self, cpus: Collection[int], own_s: Callable[[], float | None], stat: Path = STAT) -> None:
        self._cpus, self._own_s, self._stat = cpus, own_s, stat
        self._first: tuple[float, float, float] | None = None
        self._last: tuple[float, float, float] | None = None

    def look(self) -> None:
        """To be called from the start on and often: nothing that happens after the last call is seen."""
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
        """None where this kernel does not tell."""
        if self._first is None or self._last is None or self._last[2] <= self._first[2]:
            return None
        own, busy, capacity = (last - first for last, first in zip(self._last, self._first, strict=True))
        return CpuUse(own, max(busy - own, 0.0), capacity)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look every half second, on a thread."""
        over = threading.Event()

        def look() -> None:
            while not over.wait(_LOOK_S):
                self.look()

        self.look()
        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def meter(container: str, cpus: Collection[int]) -> CpuMeter:
    """Of a container of an engine on this machine."""
    return CpuMeter(cpus, lambda: cgroup.cpu_seconds(container))


def busy_share(
    cpus: Collection[int], seconds: float, sleep: Callable[[float], object] = time.sleep, stat: Path = STAT
) -> float:
    """How much of `cpus` is in use over the next `seconds`, in [0, 1]; 0 where the kernel does not tell."""
    try:
        busy, capacity = busy_and_capacity(cpus, stat)
        sleep(seconds)
        busy_then, capacity_then = busy_and_capacity(cpus, stat)
    except OSError:
        return 0.0
    return (busy_then - busy) / (capacity_then - capacity) if capacity_then > capacity else 0.0


def busy_and_capacity(cpus: Collection[int], stat: Path = STAT) -> tuple[float, float]:
    """Seconds since the boot that `cpus` computed for anybody (or the hypervisor computed elsewhere), and all seconds they
    had. Raises OSError."""
    busy = capacity = 0
    wanted = {f"cpu{cpu}" for cpu in cpus}
    for line in stat.read_text().splitlines():
        name, *numbers = line.split()
        if name in wanted:
            ticks = [int(number) for number in numbers[:_GUEST]]  # guests are in user time already
            capacity += sum(ticks)
            busy += sum(ticks) - ticks[_IDLE] - ticks[_IOWAIT]
    hertz = os.sysconf("SC_CLK_TCK")
    return busy / hertz, capacity / hertz
